"""Writing a row: each function puts one group of columns into it, and leaves out what is not known.

It runs for every call, so a row is written straight into one dict, with few calls and no copies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from spanledger._types import OWNERS, Priced, Row, Usage
from spanledger._units import EXACT, MEMBERS, PLACES, money_text, quantity_json

LONGEST: Final = 256
"""Names that a provider or an application chose are cut at this length."""

LARGEST_COST: Final = 10**12
"""A provider's own statement of a cost above this is no cost."""

SMALLEST_COST: Final = Decimal(1).scaleb(-PLACES)
"""To a multiple of this it is rounded."""

_totals: Final[dict[tuple[str, ...], list[tuple[str, list[str]]]]] = {}
MOST_USAGES: Final = 1024
"""For how many sets of units it is remembered which inclusive totals they have."""

_second: tuple[int, str] = (0, "1970-01-01T00:00:00")


def instant(at_ns: int | None = None) -> str:
    """A time as it stands in a row: ISO 8601, UTC, microseconds. `at_ns` is nanoseconds since 1970, or now."""
    global _second  # noqa: PLW0603 -- many calls begin within one second, whose text is made once
    second, nanos = divmod(time.time_ns() if at_ns is None else at_ns, 10**9)
    known, text = _second
    if known != second:
        text = datetime.fromtimestamp(second, timezone.utc).isoformat()[:19]
        _second = (second, text)
    return f"{text}.{nanos // 1000:06d}Z"


def millis(nanos: int) -> float:
    """A length of time as it stands in a row: milliseconds, to the microsecond."""
    return (nanos + 500) // 1000 / 1000


def put(row: Row, name: str, value: str | None) -> None:
    """Writes a name that somebody else chose, if it is known."""
    if value:
        row[name] = value[:LONGEST]


def write_tags(row: Row, base: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Writes tags, those of the process under those of the call: owners have columns, the rest one map."""
    rest: dict[str, str] = {}
    for name, value in ({**base, **tags} if tags else base).items():
        if name in OWNERS:
            row[name] = value
        else:
            rest[name] = value
    if rest:
        row["tags"] = rest


def write_run(row: Row, run: Any) -> None:
    """Writes the workflow that a call belongs to, and the trace that the workflow is."""
    if run is not None:
        row["workflow"] = run.workflow
        row["workflow_id"] = run.workflow_id
        row["trace_id"] = run.trace_id
        row["parent_span_id"] = run.span_id


def write_span(row: Row, span: Any) -> None:
    """Writes the ids of a span."""
    if span.trace_id:
        row["trace_id"] = span.trace_id
    if span.span_id:
        row["span_id"] = span.span_id
    if span.parent_span_id:
        row["parent_span_id"] = span.parent_span_id


def write_usage(row: Row, usage: Usage) -> None:
    """Writes every unit, and the inclusive totals that they sum up to."""
    units = usage.units
    if not units:
        return
    written: dict[str, Any] = {}
    whole: dict[str, int] = {}
    for unit, quantity in units.items():
        if quantity.__class__ is int:
            written[unit] = whole[unit] = quantity
        else:
            written[unit], whole[unit] = quantity_json(quantity), int(quantity)
    names = tuple(units)
    for column, members in _totals.get(names) or _totals_of(names):
        total = 0
        for unit in members:
            total += whole[unit]
        row[column] = total
    row["usage"] = written


def _totals_of(units: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """The columns of inclusive totals, each with those of the units that count in it."""
    members = {total: [unit for unit in units if unit.partition("@")[0] in known] for total, known in MEMBERS.items()}
    found = [(f"{total}_tokens", counted) for total, counted in members.items() if counted]
    if len(_totals) < MOST_USAGES:
        _totals[units] = found
    return found


def write_money(row: Row, priced: Priced) -> None:
    """Writes a price: no amount at all where none is known."""
    status, amount, costs, reason, price_ref, billed_model, contracted, effective, currency = priced
    row["cost_status"] = status
    if reason:
        row["cost_reason"] = reason[:LONGEST]
    if price_ref:
        row["price_ref"] = price_ref[:LONGEST]
    if billed_model:
        row["billed_model"] = billed_model[:LONGEST]
    if amount is None:
        return
    row["currency"] = currency
    row["list_cost"] = listed = money_text(amount)
    row["contracted_cost"] = text = listed if contracted is None or contracted == amount else money_text(contracted)
    row["effective_cost"] = text if effective is None else listed if effective == amount else money_text(effective)
    if costs:
        row["costs"] = texts = {}
        for unit, part in costs.items():
            texts[unit] = money_text(part)


def write_context(row: Row, context: Mapping[str, str]) -> None:
    """Writes what decided the price besides the model, so that the row can be priced again."""
    if not context:
        return
    row["price_context"] = written = {}
    for name, value in context.items():
        written[name] = value[:LONGEST]
    for name in ("service_tier", "region"):
        if name in context:
            put(row, name, context[name])


def write_provider_cost(row: Row, stated: str | None) -> None:
    """Writes a cost that the provider stated, where it is one."""
    if stated is None:
        return
    try:
        amount = Decimal(stated)
    except InvalidOperation:
        return
    if amount.is_finite() and 0 <= amount < LARGEST_COST:
        row["provider_cost"] = format(amount.quantize(SMALLEST_COST, context=EXACT).normalize(EXACT), "f")
        row["cost_source"] = "provider"
