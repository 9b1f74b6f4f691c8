"""The commands `report` and `tail`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from spanledger.ledger import Ledger, Result
from spanledger.ledger._result import cell

if TYPE_CHECKING:
    from spanledger.cli import Commands

_FORMATS = {"text": Result.to_text, "csv": Result.to_csv, "json": Result.to_json, "html": Result.to_html}
_TAIL = ("started_at", "provider_name", "model", "status", "team", "feature", "customer")
_TAIL_FIGURES = ("input_tokens", "output_tokens", "list_cost", "cost_status")
_BACK = "1d"
"""How long a call may take and still be followed."""


def add_commands(commands: Commands) -> None:
    """Adds the commands of the ledger."""
    _add_report(commands)
    _add_tail(commands)


def add_period(parser: argparse.ArgumentParser) -> None:
    """The arguments that bound a question in time and by condition."""
    parser.add_argument("--since", metavar="WHEN", help="from this moment on, e.g. 2026-11-01 or 2026-11-01T08:00:00Z")
    parser.add_argument("--until", metavar="WHEN", help="up to and without this moment")
    parser.add_argument("--last", metavar="SPAN", help="the latest 30d, 12h, 4w, 90m")
    parser.add_argument("--where", metavar="CONDITION", help="e.g. \"team = 'growth' and status != 'ok'\"")


def _add_report(commands: Commands) -> None:
    parser = commands.add_parser("report", help="what was spent, by any dimension")
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory")
    parser.add_argument("--by", default="team", metavar="FIELDS", help="e.g. team,feature or day,model,tag:region")
    add_period(parser)
    parser.add_argument("--format", choices=_FORMATS, default="text")
    parser.set_defaults(run=_report)


def _report(asked: argparse.Namespace) -> int:
    costs = Ledger(asked.ledger).cost(
        asked.by, since=asked.since, until=asked.until, last=asked.last, where=asked.where
    )
    print(_FORMATS[asked.format](costs))
    return 0


def _add_tail(commands: Commands) -> None:
    parser = commands.add_parser("tail", help="the latest charges, and those to come")
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory")
    parser.add_argument("-n", type=int, default=10, metavar="COUNT", help="how many (10)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as charges come, until interrupted")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often to look (1)")
    add_period(parser)
    parser.set_defaults(run=_tail)


def _tail(asked: argparse.Namespace) -> int:
    ledger = Ledger(asked.ledger)
    chosen: dict[str, Any] = {"where": asked.where, "until": asked.until}
    columns = [*_TAIL, *_TAIL_FIGURES]
    seen = _ids(ledger, chosen) if asked.follow else set()
    shown: dict[str, Any] = {"columns": [*columns, "charge_id"], "limit": asked.n, "rolled": "skip"}
    found = ledger.charges(since=asked.since, last=asked.last, **shown, **chosen)
    print(found.select(columns).to_text(), flush=True)
    if asked.follow:
        _follow(ledger, columns, asked.every, chosen, seen | {row["charge_id"] for row in found})
    return 0


def _ids(ledger: Ledger, chosen: dict[str, Any]) -> set[str]:
    return {row["charge_id"] for row in ledger.charges(columns=["charge_id"], last=_BACK, **chosen)}


def _follow(ledger: Ledger, columns: list[str], every: float, chosen: dict[str, Any], seen: set[str]) -> None:
    """Prints charges as they come. A call that took long is booked late, so ids are remembered, not moments."""
    while True:
        time.sleep(every)
        fresh = [
            row
            for row in ledger.charges(columns=[*columns, "charge_id"], last=_BACK, **chosen)
            if row["charge_id"] not in seen
        ]
        for row in fresh:
            print("  ".join(cell(name, row[name]) or "-" for name in columns), flush=True)
        seen.update(row["charge_id"] for row in fresh)
