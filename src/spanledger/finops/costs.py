"""Where the cost of a pool comes from: a monthly amount, dated lines, charges of the ledger, or a bill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from spanledger._units import FEMTO
from spanledger.errors import PlanError
from spanledger.finops._conditions import Fields, When, read_when
from spanledger.finops._exact import tied, to_femto
from spanledger.finops._periods import Period
from spanledger.finops._reading import Section, csv_rows

SOURCES = ("amount", "lines", "take", "bill")


@dataclass(frozen=True, slots=True)
class Line:
    """A manual cost: so much a calendar month, or for the days from `start` before `until` altogether."""

    name: str
    amount: int
    start: date | None = None
    until: date | None = None

    def within(self, period: Period) -> Fraction:
        """The part of it that falls in a period, by days."""
        if self.start is None or self.until is None:
            part = period.overlap(self.start, self.until)
            return self.amount * part.months() if part else Fraction(0)
        part = period.overlap(self.start, self.until)
        return Fraction(self.amount * part.days, (self.until - self.start).days) if part else Fraction(0)


@dataclass(frozen=True, slots=True)
class Bill:
    """Rows of a provider's bill in CSV or Parquet, FOCUS columns by default."""

    path: Path
    where: str
    amount: str = "BilledCost"
    day: str = "ChargePeriodStart"
    only: Mapping[str, str] | None = None

    def by_day(self) -> dict[date, int]:
        """The sum of the amounts of each day."""
        days: dict[date, int] = {}
        for row in _rows(self.path, self.where):
            if all(str(row.get(name)) == value for name, value in (self.only or {}).items()):
                day = self._day(row)
                days[day] = days.get(day, 0) + self._amount(row)
        return days

    def _day(self, row: Mapping[str, Any]) -> date:
        value = row.get(self.day)
        if isinstance(value, date):
            return value.date() if isinstance(value, datetime) else value
        try:
            return date.fromisoformat(str(value)[:10])
        except ValueError:
            raise self._error(self.day, value, "a date") from None

    def _amount(self, row: Mapping[str, Any]) -> int:
        value = row.get(self.amount)
        try:
            return _stored(value)
        except PlanError:
            raise self._error(self.amount, value, "an amount") from None

    def _error(self, column: str, value: Any, takes: str) -> PlanError:
        return PlanError(f"{self.where}: bill {self.path.name!r}: column {column!r} is {value!r}: it takes {takes}")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a pool: manual lines, or charges taken from the ledger, or a bill."""

    lines: tuple[Line, ...] = ()
    take: When | None = None
    bill: Bill | None = None

    def within(self, segments: Sequence[Period]) -> list[int]:
        """What it comes to in each segment of a period, in integers of 1e-15; charges of the ledger are not in it.

        The whole is rounded to 1e-15 where days do not divide it, and the segments sum to the whole.
        """
        billed = self.bill.by_day() if self.bill else {}
        exact = {number: self._exact(segment, billed) for number, segment in enumerate(segments)}
        return list(tied(exact, round(sum(exact.values(), Fraction(0)))).values())

    def _exact(self, period: Period, billed: Mapping[date, int]) -> Fraction:
        lines = sum((line.within(period) for line in self.lines), Fraction(0))
        return lines + sum(amount for day, amount in billed.items() if period.start <= day < period.end)


def _stored(value: Any) -> int:
    """A bill in floating point means the decimal that it prints, at the 15 places that a ledger stores."""
    if isinstance(value, float):
        return round(Fraction(repr(value)) * FEMTO)
    return to_femto("" if value is None else value)


def read_cost(section: Section, fields: Fields, folder: Path) -> Cost:
    """The one source of cost of a pool."""
    found = [source for source in SOURCES if section.has(source)]
    if len(found) != 1:
        what = f"has {' and '.join(found) or 'no cost'}: a pool takes one of {', '.join(SOURCES)}"
        raise section.error("", what)
    if found == ["take"]:
        return Cost(take=read_when(section, fields, "take"))
    if found == ["bill"]:
        return Cost(bill=_read_bill(section, section.take("bill", (str, dict), "a file, or a table"), folder))
    if found == ["amount"]:
        return Cost(lines=(Line("amount", section.money("amount")),))
    return Cost(lines=tuple(_read_line(line) for line in section.sections("lines", "line")))


def _read_line(section: Section) -> Line:
    line = Line(section.text("name"), section.money("amount"), section.day("from"), section.day("until"))
    section.done()
    if line.start and line.until and line.until <= line.start:
        raise section.error("until", f"is {line.until}, not after from = {line.start}")
    return line


def _read_bill(section: Section, given: Any, folder: Path) -> Bill:
    inner = section.inner("bill", {"file": given} if isinstance(given, str) else given)
    where = f"{section.file}: {section.where}"
    bill = Bill(
        folder / inner.text("file"),
        where,
        inner.text("amount", "BilledCost"),
        inner.text("day", "ChargePeriodStart"),
        inner.take("where", dict, "a table of column to value", {}),
    )
    inner.done()
    if not bill.path.is_file():
        raise inner.error("file", f"is {bill.path.name!r}, and there is no such file beside the plan")
    return bill


def _rows(path: Path, where: str) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    yield from csv_rows(path, lambda what: PlanError(f"{where}: bill {path.name!r} {what}"))


def by_days(segments: Sequence[Period]) -> dict[int, int]:
    """The weight of each segment of a period: its days."""
    return {number: segment.days for number, segment in enumerate(segments)}


def cut(period: Period, at: set[date]) -> list[Period]:
    """A period cut at days within it."""
    days = sorted({period.start, period.end} | {day for day in at if period.start < day < period.end})
    return [Period(start, end) for start, end in pairwise(days)]
