"""Drivers: what a cost is shared by. A ledger measures some; others stand in the plan or in a file of telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from spanledger.finops import _sql
from spanledger.finops._conditions import ALWAYS, When
from spanledger.finops._reading import Section, csv_rows, did_you_mean

EVEN: Final = "even"
SEAT: Final = "seat"
"""The operation of a charge for a seat: a cost like any other, and no request."""

MEASURES: Final[Mapping[str, str]] = {
    "requests": f"CASE WHEN operation = '{SEAT}' THEN 0 ELSE {_sql.WEIGHT} END",
    "tokens": "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "latency": "CAST(round(duration_ms * 1000) AS BIGINT)",
    "seats": f"CASE WHEN operation = '{SEAT}' THEN {_sql.WEIGHT} ELSE 0 END",
}
"""What a ledger measures of one row, as a whole number; `latency` is in microseconds."""


class Measure(NamedTuple):
    """A driver that is summed over the charges which `among` lets through."""

    driver: str
    among: When = ALWAYS

    @property
    def places(self) -> int:
        """The decimal places of what it sums."""
        return 15 if self.driver == "direct_cost" else 9 if self.driver.startswith("usage.") else 0

    def sql(self, basis: str) -> str:
        """The exact sum; `basis` is the column of direct cost."""
        counted = f" FILTER (WHERE {self.among.sql()})" if self.among.alternatives else ""
        return f"coalesce(sum({self._of_one(basis)}){counted}, 0)"

    def _of_one(self, basis: str) -> str:
        """What one charge adds."""
        if self.driver == "direct_cost":
            return basis
        if self.driver.startswith("usage."):
            return _sql.entry("usage", self.driver.partition(".")[2])
        return MEASURES[self.driver]


@dataclass(frozen=True, slots=True)
class Basis:
    """A driver whose weights stand in the plan: heads, revenue, percent; or, by day, in a file of telemetry."""

    name: str
    to: str
    values: Mapping[str, Decimal]
    start: date | None = None
    until: date | None = None
    daily: Mapping[date, Mapping[str, Decimal]] = field(default_factory=dict)

    def weights(self, start: date, end: date) -> dict[str, Decimal]:
        """Owner to weight, for the days from `start` before `end`."""
        if not self.daily:
            return dict(self.values)
        found: dict[str, Decimal] = {}
        for day in (start + timedelta(days=number) for number in range((end - start).days)):
            for owner, value in self.daily.get(day, {}).items():
                found[owner] = found.get(owner, Decimal(0)) + value
        return found


Bases = Mapping[str, tuple[Basis, ...]]


def is_measured(name: str) -> bool:
    """Whether the ledger itself measures a driver of that name."""
    return name in MEASURES or name == "direct_cost" or (name.startswith("usage.") and len(name) > len("usage."))


def known(bases: Bases) -> list[str]:
    """The names that a pool can share by."""
    return [*MEASURES, "direct_cost", "usage.UNIT", EVEN, *bases]


def require(section: Section, where: str, name: str, bases: Bases) -> None:
    """Refuses a driver that nobody measures and the plan does not state."""
    if not (is_measured(name) or name == EVEN or name in bases):
        raise section.error(
            where, f"{name!r} is no driver: it takes {', '.join(known(bases))}{did_you_mean(name, bases)}"
        )


def read_bases(plan: Section, folder: Path) -> dict[str, tuple[Basis, ...]]:
    """The `[[drivers]]` of a plan, versions of one driver together, in order of date."""
    found: dict[str, list[Basis]] = {}
    for section in plan.sections("drivers", "driver"):
        basis = _read_basis(section, folder)
        found.setdefault(basis.name, []).append(basis)
        _refuse_two_at_once(section, sorted(found[basis.name], key=lambda one: one.start or date.min))
    return {name: tuple(sorted(versions, key=lambda one: one.start or date.min)) for name, versions in found.items()}


def _read_basis(section: Section, folder: Path) -> Basis:
    name, to = section.text("name"), section.text("to")
    if is_measured(name) or name == EVEN:
        raise section.error("name", f"is {name!r}, which the ledger measures: choose another")
    start, until, _ = section.day("from"), section.day("until"), section.text("note", "")
    if section.has("file"):
        daily = _read_telemetry(section, folder / section.text("file"))
        basis = Basis(name, to, {}, start, until, daily)
    else:
        basis = Basis(name, to, section.numbers("values"), start, until)
    section.done()
    return basis


def _refuse_two_at_once(section: Section, versions: list[Basis]) -> None:
    for before, after in pairwise(versions):
        if before.until is None or after.start is None or after.start < before.until:
            raise section.error("from", "overlaps another version of this driver: end that one with until")


def _read_telemetry(section: Section, path: Path) -> dict[date, dict[str, Decimal]]:
    """A CSV file of `date,key,value`."""
    days: dict[date, dict[str, Decimal]] = {}
    rows = csv_rows(path, lambda what: section.error("file", f"{path.name!r} {what}"))
    for number, row in enumerate(rows, 2):
        day, key, value = _telemetry_row(section, path, number, row)
        owners = days.setdefault(day, {})
        owners[key] = owners.get(key, Decimal(0)) + value
    return days


def _telemetry_row(section: Section, path: Path, number: int, row: Mapping[str, str]) -> tuple[date, str, Decimal]:
    try:
        day, key, value = date.fromisoformat(row["date"]), row["key"], Decimal(row["value"])
    except (KeyError, ValueError, TypeError, InvalidOperation):
        day, key, value = date.min, "", Decimal("NaN")
    if key and value.is_finite() and value >= 0:
        return day, key, value
    what = f"is {path.name!r}, whose line {number} is not date,key,value with a date and a number of zero or more"
    raise section.error("file", what)
