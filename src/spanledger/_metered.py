"""`meter`: costs that no model call makes (vector databases, rerankers, tools, GPU time), in the same ledger."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final, NamedTuple

from spanledger import _faults, _meter, _tags, prices
from spanledger._ids import uuid7
from spanledger._rows import instant, write_money, write_tags, write_usage
from spanledger._types import Charge, Priced, Row, Usage
from spanledger._units import FEMTO

Amount = int | str | float | Decimal
METERED: Final = "metered"
LARGEST: Final = 10**12
"""A cost above this is taken for a mistake."""


def meter(
    name: str,
    *,
    quantity: Amount = 1,
    unit: str = "requests",
    cost: Amount | None = None,
    currency: str = "USD",
    **tags: str,
) -> Charge:
    """Books one metered cost under the tags in force here: `meter("pinecone.query", quantity=12, unit="read_units")`.

    Args:
        name: the provider, a dot, and what it did; what it did is the model that the price book is asked for.
        quantity: how many, as an integer, decimal or text.
        unit: of what: one of the book's units where the book shall price it, else any name.
        cost: the whole cost, as decimal text, an integer or a `Decimal`; without it, the price book says, see
            `spanledger.prices.add`. A float counts as the decimal that it prints.
        currency: of `cost`, ISO 4217.
        tags: owners and tags of this charge alone.

    A cost in another currency than US dollars is in no sum of a workflow: `Run.unpriced` counts it.

    Never raises: a quantity or a cost that cannot be read makes a charge whose `cost_status` is `unknown` and whose
    `cost_reason` says why. Where nothing is instrumented the charge is made and kept nowhere.
    """
    at_ns = time.time_ns()
    provider, _, operation = (_tags.clean({"name": name}).get("name") or METERED).partition(".")
    row: Row = {
        "charge_id": uuid7(at_ns),
        "started_at": instant(at_ns),
        "provider_name": provider,
        "operation": operation or METERED,
        "request_model": operation or provider,
        "status": "ok",
    }
    if tags:
        write_tags(row, _tags.current_tags(), _tags.clean(tags))
    priced = _guarded(row, Given(quantity, unit, cost, currency, at_ns))
    write_money(row, priced)
    return _meter.book_row(row, priced.list_cost if priced.currency == "USD" else None)


class Given(NamedTuple):
    """What the application said of one metered cost."""

    quantity: Amount
    unit: str
    cost: Amount | None
    currency: str
    at_ns: int


def _guarded(row: Row, given: Given) -> Priced:
    try:
        return _priced(row, given)
    except Exception as error:  # noqa: BLE001 -- what is given is the application's, and may be anything
        _faults.record("meter", error)
        return Priced("unknown", reason=f"meter: {error}")


def _priced(row: Row, given: Given) -> Priced:
    """Writes what was used, and prices it: at the given cost, else by the book."""
    usage = Usage({given.unit: _exact("quantity", given.quantity)})
    write_usage(row, usage)
    row["usage_source"] = "reported"
    if given.cost is not None:
        femtos = round(Fraction(_exact("cost", given.cost)) * FEMTO)
        return Priced("exact", femtos, {given.unit: femtos}, currency=given.currency.upper(), price_ref="meter")
    return prices.rate(
        usage,
        provider_name=row["provider_name"],
        response_model=None,
        request_model=row["request_model"],
        context={},
        at_ns=given.at_ns,
    )


def _exact(name: str, given: Amount) -> Decimal:
    try:
        number = Decimal(repr(given) if isinstance(given, float) else given)
    except (InvalidOperation, TypeError, ValueError):
        number = Decimal("NaN")
    if isinstance(given, bool) or not number.is_finite() or number.copy_abs() > LARGEST:
        msg = f"{name} is {given!r}, which is no number: write it as an integer or as decimal text"
        raise ValueError(msg)
    return number
