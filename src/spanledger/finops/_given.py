"""Numbers that a user gives by owner: a mapping, a CSV file, or a pandas, polars or Arrow table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from spanledger.errors import PlanError
from spanledger.finops._exact import to_femto
from spanledger.finops._reading import csv_rows

Given: TypeAlias = "Mapping[str, Any] | str | Path | Any"


def by_owner(given: Given, owner: str, value: str) -> dict[str, int]:
    """Owner to value in 1e-15, values of one owner added up.

    A file or a table has the columns `owner` and `value`; `PlanError` names the column that is missing or wrong.
    """
    if isinstance(given, Mapping):
        return {str(key): _femto(value, amount) for key, amount in given.items()}
    totals: dict[str, int] = {}
    for row in _rows(given, value):
        if owner not in row or value not in row:
            msg = f"{value}: needs the columns {owner} and {value}, and has {', '.join(map(str, row))}"
            raise PlanError(msg)
        if row[value] not in (None, ""):
            key = str(row[owner])
            totals[key] = totals.get(key, 0) + _femto(value, row[value])
    return totals


def _femto(name: str, amount: Any) -> int:
    try:
        return to_femto(repr(amount) if isinstance(amount, float) else amount)
    except PlanError as error:
        msg = f"{name}: {error}"
        raise PlanError(msg) from None


def _rows(given: Any, value: str) -> Iterable[Mapping[str, Any]]:
    if isinstance(given, str | Path):
        return csv_rows(Path(given), lambda what: PlanError(f"{value}: {given} {what}"))
    return _rows_of_table(given, value)


def _rows_of_table(given: Any, value: str) -> Iterable[Mapping[str, Any]]:
    for method, kwargs in (("to_pylist", {}), ("to_dicts", {}), ("to_dict", {"orient": "records"})):
        if hasattr(given, method):
            found: list[Mapping[str, Any]] = getattr(given, method)(**kwargs)
            return found
    msg = f"{value}: takes a mapping, a CSV file, or a pandas, polars or Arrow table, not {type(given).__name__}"
    raise PlanError(msg)
