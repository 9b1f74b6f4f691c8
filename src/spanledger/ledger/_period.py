"""`since=`, `until=`, `last=`: which stretch of time a question is about. UTC throughout; `until` is not included."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Final, NamedTuple, TypeAlias

from spanledger.errors import LedgerError

When: TypeAlias = "str | date | datetime | None"

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LAST: Final = re.compile(r"(\d{1,6})([mhdw])\Z")


class Period(NamedTuple):
    """From `since` up to and without `until`, both aware in UTC; `None` is open."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS: Final = Period()
"""All of time."""


def period(since: When = None, until: When = None, last: str | timedelta | None = None) -> Period:
    """The period of a question. Raises `LedgerError` where it cannot be read or ends before it begins."""
    if last is not None and since is not None:
        msg = "last: say either last= or since=, not both"
        raise LedgerError(msg)
    end = moment("until", until)
    start = moment("since", since)
    if last is not None:
        start = (end or datetime.now(timezone.utc)) - duration(last)
    if start and end and end <= start:
        msg = f"until: {end.isoformat()} is not after {start.isoformat()}"
        raise LedgerError(msg)
    return Period(start, end)


def duration(last: str | timedelta, name: str = "last") -> timedelta:
    """`30d`, `12h`, `4w`, `90m` as a span of time."""
    if isinstance(last, timedelta):
        return last
    if match := _LAST.match(last.strip()):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    msg = f"{name}: {last!r} is no duration; write a number and m, h, d or w, for example 30d"
    raise LedgerError(msg)


def moment(name: str, when: When) -> datetime | None:
    """A moment in UTC: ISO 8601 text, a date (its first instant) or a datetime; without a zone it is UTC."""
    if when is None:
        return None
    if isinstance(when, str):
        when = _parsed(name, when)
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day, tzinfo=timezone.utc)
    return when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when.astimezone(timezone.utc)


def _parsed(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        msg = f"{name}: {text!r} is no date; write 2026-11-25 or 2026-11-25T08:00:00Z"
        raise LedgerError(msg) from error
