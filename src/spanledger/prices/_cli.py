"""The commands `spanledger prices show | explain | check | diff | update`."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger import prices
from spanledger._types import Charge
from spanledger.errors import ConfigurationError
from spanledger.prices import _explain
from spanledger.prices._book import instant
from spanledger.prices._reprice import engine_of, stored, usage_of

if TYPE_CHECKING:
    from spanledger.cli import Commands

ADD: Final = "spanledger.prices.add(MODEL, provider=PLATFORM, input=..., output=...)"
STALE: Final = 45
"""A book older than this many days is worth a look."""


def add_commands(commands: Commands) -> None:
    """Adds `prices` and what it can do."""
    parser = commands.add_parser("prices", help="what models cost, and why a charge costs what it does")
    parser.add_argument("--prices", metavar="FILE", help="a TOML file of your own rows and contracts, over the book")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_show(actions)
    _add_explain(actions)
    _add_check(actions)
    _add_diff(actions)
    _add_update(actions)


def _add_show(actions: Commands) -> None:
    does = "the prices of a model"
    parser = actions.add_parser("show", help=does, description=does)
    parser.add_argument("model", metavar="MODEL", help="any name of it")
    parser.add_argument("--provider", help="only there; else everywhere it is sold")
    parser.add_argument("--at", metavar="DATE", help="only what holds on this day; else all that ever did")
    parser.set_defaults(run=_show)


def _show(asked: argparse.Namespace) -> int:
    _load(asked)
    rows = list(_explain.rows_named(prices.ENGINE, asked.model, asked.provider))
    if asked.at:
        rows = _explain.in_force(rows, instant(day(asked.at), 0))
    for row in rows:
        print(_explain.lines_of(row))
    if not rows:
        print(f"no price for {asked.model}: {ADD.replace('MODEL', repr(asked.model))}")
    return 0 if rows else 1


def _add_explain(actions: Commands) -> None:
    does = "which rows price a charge, and the arithmetic"
    parser = actions.add_parser("explain", help=does, description=does)
    parser.add_argument("charge_id", metavar="CHARGE_ID", help="as `charge_id` in the ledger")
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory")
    parser.set_defaults(run=_explain_charge)


def _explain_charge(asked: argparse.Namespace) -> int:
    _load(asked)
    charge = next(_charges(asked.ledger, {"charge_id": asked.charge_id}), None)
    if charge is None:
        print(f"{asked.ledger} has no charge {asked.charge_id}")
        return 1
    usage = usage_of(charge.row)
    stored = f"stored: {charge.row.get('list_cost')} {charge.row.get('currency') or ''} ({charge.cost_status})"
    print(f"{stored}  {charge.price_ref or ''}")
    if usage is None:
        print(f"  it has no usage: {charge.cost_reason or 'nothing was reported'}")
        return 0
    names = (charge.row["provider_name"], charge.response_model, charge.request_model)
    started = instant(str(charge.row["started_at"]), 0)
    print(_explain.explain(prices.ENGINE, usage, names, _context(charge), started))
    return 0


def _context(charge: Charge) -> dict[str, str]:
    host = charge.row.get("server_address")
    return {**(charge.row.get("price_context") or {}), **({"server_address": host} if host else {})}


def _add_check(actions: Commands) -> None:
    does = "models of a ledger that have no price, or no sure one, and stale books"
    parser = actions.add_parser("check", help=does, description=does)
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory")
    parser.add_argument("--stale", action="store_true", help="also price all of it again, and say what would change")
    parser.set_defaults(run=_check)


def _check(asked: argparse.Namespace) -> int:
    """Prints what is wrong and answers 1 where something is."""
    _load(asked)
    found: Counter[str] = Counter()
    for charge in _charges(asked.ledger, {"cost_status": ["unknown", "partial", "estimated"]}):
        name = charge.response_model or charge.request_model or "no model"
        found[f"{charge.cost_status}  {charge.row['provider_name']} {name}: {charge.cost_reason}"] += 1
    for line, count in found.most_common():
        print(f"{count:>8}  {line}")
    if any(line.startswith("unknown") for line in found):
        print(f"give what is unknown a price, and price it again: {ADD}; spanledger.Ledger({asked.ledger!r}).reprice()")
    stale = _print_stale(asked.ledger) if asked.stale else 0
    age = int(time.time() - instant(prices.ENGINE.version[:10], 0) / 10**9) // 86_400
    if age > STALE:
        print(
            f"the price book {prices.ENGINE.version} is {age} days old: update spanledger, or spanledger prices update"
        )
    return 1 if found or stale else 0


def _print_stale(ledger: str) -> int:
    """Prints what pricing again would change, by model and cause; returns in how many charges."""
    found = prices.differences(prices.reprice(_charges(ledger, {})))
    for row in found:
        print(f"{row.charges:>8}  stale    {row.billed_model}: {row.cause}, {row.difference:+f}: Ledger(...).reprice()")
    return sum(row.charges for row in found)


def _add_diff(actions: Commands) -> None:
    does = "what another book says otherwise"
    parser = actions.add_parser("diff", help=does, description=does)
    parser.add_argument("book", metavar="BOOK", help="the directory of the other book")
    parser.set_defaults(run=_diff)


def _diff(asked: argparse.Namespace) -> int:
    other = engine_of(asked.book, None)
    for change in _explain.changes(prices.ENGINE, other):
        print(f"{change.row} {change.unit}: {change.before or 'none'} -> {change.after or 'none'}")
    return 0


def _add_update(actions: Commands) -> None:
    does = "models that a newer genai-prices knows, as rows of your own"
    parser = actions.add_parser("update", help=does, description=does)
    parser.add_argument("file", metavar="FILE", help="the TOML file to write: load it with spanledger.prices.load")
    parser.set_defaults(run=_update)


def _update(asked: argparse.Namespace) -> int:
    from spanledger.prices._live import write

    added = write(Path(asked.file))
    print(f"{added} rows for models that the book {prices.ENGINE.version} does not have: {asked.file}")
    return 0


def _load(asked: argparse.Namespace) -> None:
    if asked.prices:
        prices.load(asked.prices)


def _charges(ledger: str, where: dict[str, Any]) -> Iterator[Charge]:
    from spanledger.ledger import Ledger

    for values in Ledger(ledger).charges(where=where):
        yield stored(values)


def day(text: str) -> str:
    """A day, for `--at`; `ConfigurationError` for what is none."""
    try:
        instant(text, 0)
    except ValueError:
        msg = f"--at is {text!r}: write a day such as 2026-12-01"
        raise ConfigurationError(msg) from None
    return text
