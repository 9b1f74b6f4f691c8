"""Pricing history again: corrections where the book or a contract has changed, and what other choices would have cost.

Both are pure functions of rows: what a call used, and what decided its price, stand in its row (`usage`,
`price_context`). A correction is a whole new row that takes the place of the charge it names; nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanledger import _ids
from spanledger._rows import put, write_money
from spanledger._types import Charge, Priced, Quantity, Row, Usage
from spanledger._units import money_text
from spanledger.errors import ConfigurationError
from spanledger.prices._book import instant
from spanledger.prices._engine import ENGINE, Engine
from spanledger.prices._layers import Contract, part_of_one

FLAW: Final = "usage: "
"""How the reason of a charge begins whose usage does not add up."""

MONEY: Final = ("currency", "list_cost", "contracted_cost", "effective_cost", "costs", "cost_status", "cost_reason")
REFERENCES: Final = ("price_ref", "billed_model")
COMPARED: Final = ("list_cost", "contracted_cost", "effective_cost", "cost_status")
PROCESSING: Final[Mapping[str, Mapping[str, str]]] = {
    "standard": {},
    "batch": {"batch": "true"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
}
CHOSEN: Final = ("batch", "service_tier", "speed", "traffic_type")
"""What of a context the choice of processing replaces."""


class Correction(NamedTuple):
    """A row that takes the place of a charge, and why: `priced`, `price`, `contract` or `status`."""

    row: Row
    before: Charge
    cause: str


class Difference(NamedTuple):
    """What corrections come to, for one model and cause."""

    billed_model: str | None
    cause: str
    charges: int
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        """How much more it is now."""
        return self.after - self.before


class Alternative(NamedTuple):
    """A charge, and what it would have cost."""

    charge: Charge
    priced: Priced


def reprice(
    charges: Iterable[Charge],
    *,
    as_of: date | str | None = None,
    book: str | Path | None = None,
    contract: Contract | None = None,
) -> Iterator[Correction]:
    """Prices charges again and yields a correction for each whose amounts or status change; of the others, none.

    By the book and layers of now; or by a `book` in another directory; or under one more `contract`; or, for all calls,
    at the prices `as_of` one day. Pricing the corrected charges again yields nothing: it is idempotent. Charges without
    a usage, and those that were not billed, are left alone.
    """
    engine = engine_of(book, contract)
    day = None if as_of is None else _day(as_of)
    for charge in charges:
        priced = _again(charge, engine, charge.row.get("price_context") or {}, day)
        if priced is not None:
            row = _row(charge, priced)
            cause = _cause(charge.row, row)
            if cause is not None:
                yield Correction(row, charge, cause)


def _day(as_of: date | str) -> int:
    try:
        return instant(str(as_of), 0)
    except ValueError:
        msg = f"as_of is {as_of!r}: write a day such as 2026-12-01"
        raise ConfigurationError(msg) from None


def what_if(
    charges: Iterable[Charge],
    *,
    model: str | None = None,
    provider_name: str | None = None,
    processing: str | None = None,
    cache_hit_rate: str | Decimal | None = None,
) -> Iterator[Alternative]:
    """What each charge would have cost under other choices: another model, processing, or share of cached input.

    `processing` is `standard`, `batch`, `flex`, `priority` or `fast`; `cache_hit_rate` the part of the input, as
    decimal text, that the cache would have served. Token counts stay: another model may need more or fewer.
    """
    if processing is not None and processing not in PROCESSING:
        msg = f"processing is {processing!r}: use one of {', '.join(PROCESSING)}"
        raise ConfigurationError(msg)
    rate = None if cache_hit_rate is None else _part(cache_hit_rate)
    for charge in charges:
        changed = _chosen(charge, model, provider_name)
        context = _processed(charge.row.get("price_context") or {}, processing)
        priced = _again(changed, ENGINE, context, None, rate)
        if priced is not None:
            yield Alternative(charge, priced)


def differences(corrections: Iterable[Correction]) -> list[Difference]:
    """Sums corrections up by model and cause, the largest change first."""
    found: dict[tuple[str | None, str], list[Decimal]] = {}
    for correction in corrections:
        key = (correction.row.get("billed_model") or correction.before.row.get("billed_model"), correction.cause)
        sums = found.setdefault(key, [Decimal(0), Decimal(0), Decimal(0)])
        sums[0] += 1
        sums[1] += Decimal(correction.before.row.get("effective_cost") or 0)
        sums[2] += Decimal(correction.row.get("effective_cost") or 0)
    rows = [Difference(model, cause, int(n), before, after) for (model, cause), (n, before, after) in found.items()]
    return sorted(rows, key=lambda row: (-abs(row.difference), row.billed_model or "", row.cause))


def stored(values: Mapping[str, Any]) -> Charge:
    """The charge of a row that an engine has read: moments, decimals and maps as they stand in a ledger."""
    return Charge({name: _stored(value) for name, value in values.items() if value is not None})


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {name: _stored(one) for name, one in value}
    return {name: _stored(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def engine_of(book: str | Path | None, contract: Contract | None) -> Engine:
    """The engine to price by: the one of this process, or one with another book or one more contract."""
    engine = ENGINE
    if book is not None:
        if not (Path(book) / "index.json").exists():
            msg = f"book={str(book)!r} is no price book: name a directory with an index.json"
            raise ConfigurationError(msg)
        engine = Engine(ENGINE.layers.copy(), Path(book))
    return engine if contract is None else engine.under(contract)


def _again(
    charge: Charge, engine: Engine, context: Mapping[str, str], day: int | None, cache_hit_rate: Decimal | None = None
) -> Priced | None:
    """The price of a charge's usage, `None` where it has none or was not billed."""
    row = charge.row
    usage = usage_of(row)
    if usage is None or row["cost_status"] == "not_billed":
        return None
    if cache_hit_rate is not None:
        usage = usage._replace(units=_cached(usage.units, cache_hit_rate))
    host = row.get("server_address")
    names = (row["provider_name"], row.get("response_model"), row.get("request_model"))
    at_ns = _started(row) if day is None else day
    return _qualified(row, engine.rate(usage, names, {**context, "server_address": host} if host else context, at_ns))


def usage_of(row: Mapping[str, Any]) -> Usage | None:
    """The usage that a row was priced by, with the flaw that its reason tells of."""
    units = row.get("usage")
    if not units:
        return None
    reason = row.get("cost_reason") or ""
    flaw = reason.removeprefix(FLAW) if reason.startswith(FLAW) else None
    exact = {unit: _quantity(quantity) for unit, quantity in units.items()}
    return Usage(exact, flaw, usable=all(quantity >= 0 for quantity in exact.values()))


def _quantity(stored: int | str) -> Quantity:
    exact = Decimal(stored)
    return int(exact) if exact == exact.to_integral_value() else exact


def _started(row: Mapping[str, Any]) -> int:
    moment = datetime.fromisoformat(str(row["started_at"]).replace("Z", "+00:00")).astimezone(timezone.utc)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def _qualified(row: Mapping[str, Any], priced: Priced) -> Priced:
    """A price is as sure as the usage that it stands on: a broken stream stays a lower bound, an estimate one."""
    source = row.get("usage_source")
    if priced.status == "exact" and source in {"partial", "estimated"}:
        kept = row.get("cost_reason") if row["cost_status"] == source else None
        return priced._replace(status=source, reason=kept or f"usage: {source}")
    return priced


def _row(charge: Charge, priced: Priced) -> Row:
    row = {name: value for name, value in charge.row.items() if name not in (*MONEY, *REFERENCES)}
    row["corrects"] = charge.row["charge_id"]
    row["charge_id"] = _ids.uuid7()
    write_money(row, priced)
    return row


def _cause(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if all(_same(before.get(name), after.get(name)) for name in COMPARED):
        return None
    if before.get("list_cost") is None or after.get("list_cost") is None:
        return "priced"
    if not _same(before.get("list_cost"), after.get("list_cost")):
        return "price"
    same = all(_same(before.get(name), after.get(name)) for name in COMPARED[:3])
    return "status" if same else "contract"


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None or one == other:
        return bool(one == other)
    try:
        return Decimal(one) == Decimal(other)
    except ArithmeticError:
        return False


def _chosen(charge: Charge, model: str | None, provider_name: str | None) -> Charge:
    row = dict(charge.row)
    put(row, "provider_name", provider_name)
    if model is not None:
        row.update(request_model=model, response_model=model)
        row["usage"] = _without_parts(row.get("usage") or {})
    return Charge(row)


def _without_parts(units: Mapping[str, Any]) -> dict[str, Any]:
    """Another model would have done all of it."""
    merged: dict[str, Any] = {}
    for unit, quantity in units.items():
        name = unit.partition("@")[0]
        merged[name] = quantity if name not in merged else Decimal(merged[name]) + Decimal(quantity)
    return merged


def _processed(context: Mapping[str, str], processing: str | None) -> Mapping[str, str]:
    if processing is None:
        return context
    kept = {name: value for name, value in context.items() if name not in CHOSEN}
    return {**kept, **PROCESSING[processing]}


def _part(value: object) -> Decimal:
    part = part_of_one(value)
    if part is None:
        msg = f"cache_hit_rate is {value!r}: write a part of one as text, such as '0.8'"
        raise ConfigurationError(msg)
    return part


def _cached(units: Mapping[str, Quantity], rate: Decimal) -> dict[str, Quantity]:
    """The same input with this part of it served by the cache."""
    whole = units.get("input", 0) + units.get("cache_read", 0)
    served = int(whole * rate)
    return {**units, "input": whole - served, "cache_read": served}


def saved(alternatives: Iterable[Alternative]) -> dict[str, Decimal]:
    """What alternatives come to: `before`, `after` and the `difference`, of the charges that both have a price for."""
    before = after = Decimal(0)
    for charge, priced in alternatives:
        if charge.list_cost is not None and priced.list_cost is not None:
            before += charge.list_cost
            after += Decimal(money_text(priced.list_cost))
    return {"before": before, "after": after, "difference": after - before}
