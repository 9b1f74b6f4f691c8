"""Pricing a ledger again: `Ledger.reprice` and `Ledger.what_if`. Corrections are appended as charges are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypedDict

from spanledger import prices
from spanledger._appending import append
from spanledger._types import COLUMNS, Charge
from spanledger._units import money_text
from spanledger.errors import ConfigurationError
from spanledger.ledger import Ledger, Result
from spanledger.prices import Alternative, Contract
from spanledger.prices._reprice import stored

EVERY_COLUMN: Final = (*(column.name for column in COLUMNS), "extra")


class Terms(TypedDict):
    """What to price by: the parameters of `prices.reprice`."""

    as_of: date | str | None
    book: str | Path | None
    contract: Contract | None


def agreed(contract: object) -> Contract | None:
    """A contract, or one made of its terms. Raises `ConfigurationError` for what is neither."""
    if isinstance(contract, Mapping):
        return prices.contract_of(contract, "contract")
    if contract is None or isinstance(contract, Contract):
        return contract
    msg = f"contract is {contract!r}: write its terms, such as {{'provider': 'openai', 'discount': '0.12'}}"
    raise ConfigurationError(msg)


def charges_of(ledger: Ledger, question: Mapping[str, Any]) -> Iterator[Charge]:
    """The current charges that a question is about, each with its whole row."""
    for values in ledger.charges(columns=EVERY_COLUMN, **question):
        extra = values.pop("extra", None)
        yield stored({**(json.loads(extra) if extra else {}), **values})


def reprice(ledger: Ledger, question: Mapping[str, Any], terms: Terms, *, write: bool) -> Result:
    """See `Ledger.reprice`."""
    corrections = list(prices.reprice(charges_of(ledger, question), **terms))
    if write:
        append(ledger.path, (correction.row for correction in corrections))
    return _table(
        {
            "billed_model": row.billed_model,
            "cause": row.cause,
            "charges": row.charges,
            "before": row.before,
            "after": row.after,
            "difference": row.difference,
        }
        for row in prices.differences(corrections)
    )


def what_if(ledger: Ledger, question: Mapping[str, Any], choice: Mapping[str, Any]) -> Result:
    """See `Ledger.what_if`."""
    by_model: dict[str | None, list[Alternative]] = {}
    for alternative in prices.what_if(charges_of(ledger, question), **choice):
        by_model.setdefault(alternative.charge.billed_model, []).append(alternative)
    rows = (_alternative(model, alternatives) for model, alternatives in by_model.items())
    return _table(sorted(rows, key=_most_saved_first))


def _most_saved_first(row: Mapping[str, Any]) -> tuple[bool, Decimal, str]:
    """Models of which nothing is known come last."""
    return row["difference"] is None, row["difference"] or Decimal(0), row["billed_model"] or ""


def _alternative(model: str | None, alternatives: list[Alternative]) -> dict[str, Any]:
    """What the charges of one model would have cost; those without a price on either side are only counted.

    Where that is all of them, the amounts are unknown, not zero.
    """
    known = [one for one in alternatives if one.charge.list_cost is not None and one.priced.list_cost is not None]
    before = sum((one.charge.list_cost or Decimal(0) for one in known), Decimal(0))
    after = sum((Decimal(money_text(one.priced.list_cost or 0)) for one in known), Decimal(0))
    return {
        "billed_model": model,
        "cause": "what if",
        "charges": len(known),
        "before": before if known else None,
        "after": after if known else None,
        "difference": after - before if known else None,
        "unpriced": len(alternatives) - len(known),
    }


def _table(rows: Iterable[Mapping[str, Any]]) -> Result:
    import pyarrow as pa

    money = pa.decimal128(38, 15)
    fields = [("billed_model", pa.string()), ("cause", pa.string()), ("charges", pa.int64())]
    fields += [("before", money), ("after", money), ("difference", money)]
    listed = [dict(row) for row in rows]
    if any("unpriced" in row for row in listed):
        fields.append(("unpriced", pa.int64()))
    return Result(pa.Table.from_pylist(listed, schema=pa.schema(fields)))
