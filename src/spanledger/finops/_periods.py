"""The period that a statement is for: whole UTC days, the end not included."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from spanledger.errors import PlanError

Given: TypeAlias = "str | tuple[date, date] | Period"
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})\Z")
DECEMBER: Final = 12


class Period(NamedTuple):
    """From `start` before `end`, in UTC days."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    @property
    def label(self) -> str:
        """`2026-11` for a calendar month, else `2026-11-01..2026-11-15`."""
        if self.start.day == 1 and self.end == month_after(self.start):
            return f"{self.start:%Y-%m}"
        return f"{self.start}..{self.end}"

    def each_day(self) -> list[date]:
        """Every day of it."""
        return [self.start + timedelta(days=number) for number in range(self.days)]

    def overlap(self, start: date | None, until: date | None) -> Period | None:
        """The part of it from `start` before `until`; `None` where there is none."""
        part = Period(max(self.start, start or self.start), min(self.end, until or self.end))
        return part if part.days > 0 else None

    def months(self) -> Fraction:
        """How many calendar months it is: a day is its month's part."""
        total, day = Fraction(0), self.start
        while day < self.end:
            after = month_after(day)
            month = (after - day.replace(day=1)).days
            total += Fraction((min(after, self.end) - day).days, month)
            day = after
        return total


def month_after(day: date) -> date:
    """The first day of the next month."""
    return date(day.year + day.month // DECEMBER, day.month % DECEMBER + 1, 1)


def read_period(given: Given) -> Period:
    """`"2026-11"`, `"2026-11-01..2026-11-15"` or two dates; the end is not included. Raises `PlanError`."""
    if isinstance(given, str):
        return _parsed(given)
    try:
        start, end = (value.date() if isinstance(value, datetime) else value for value in given)
        period = Period(start, end)
        ordered = period.days > 0
    except (TypeError, ValueError, AttributeError):
        ordered = False
    if ordered:
        return period
    msg = f"period: {given!r} is no period: it takes '2026-11', '2026-11-01..2026-11-15' or two dates, end not included"
    raise PlanError(msg)


def _parsed(text: str) -> Period:
    try:
        if match := _MONTH.match(text):
            start = date(int(match[1]), int(match[2]), 1)
            return Period(start, month_after(start))
        start, end = (date.fromisoformat(part) for part in text.split(".."))
    except ValueError:
        msg = f"period: {text!r} is no period: write 2026-11, or 2026-11-01..2026-11-15 with the end not included"
        raise PlanError(msg) from None
    return read_period((start, end))
