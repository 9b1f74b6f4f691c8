"""Days that were rolled up: what their files say of themselves, and how that is told.

A rolled-up row is the exact sum of charges that are alike in all that was kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import orjson

from spanledger._schema import Integer, Money, MoneyMap, QuantityMap
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError
from spanledger.ledger._fields import UNIT, Field
from spanledger.ledger._period import Period

if TYPE_CHECKING:
    import pyarrow as pa

    from spanledger.ledger._files import Files

KEY: Final = "rolled"
"""The entry of a file's footer that says what was rolled up into it."""

PREFIX: Final = "rolled-"
"""What the name of such a file begins with, so that one without the entry is not taken for charges."""

COUNT: Final = "charge_count"
WEIGHT: Final = f"coalesce({COUNT}, 1)"
"""How many charges a row stands for."""

ALWAYS: Final = (
    "provider_name",
    "operation",
    "request_model",
    "response_model",
    "billed_model",
    "status",
    "usage_source",
    "currency",
    "cost_status",
    "price_ref",
)
"""What sums and counts cannot do without: charges that differ in one of these are never added."""

SUMMED: Final = tuple(
    column
    for column in COLUMNS
    if isinstance(column, Integer | Money | MoneyMap | QuantityMap) and column.name != COUNT
)
"""What is added up. Whether a value is known is kept as well, so that unknown stays unknown and is counted."""

PERIODS: Final = frozenset({"day", "week", "month"})
"""What is left of the moment of a charge."""


class Rolled(NamedTuple):
    """What a file says was rolled up into it: the dimensions `kept` beside `ALWAYS`, and what is `forgotten`.

    `superseded` counts rows that were corrected or stood twice; `first` and `last` are moments of charges, as text.
    A `dropped` day has no rows at all.
    """

    kept: tuple[str, ...]
    forgotten: tuple[str, ...]
    charges: int
    rows: int
    superseded: int
    first: str | None
    last: str | None
    at: str
    dropped: bool = False

    def to_json(self) -> str:
        """As it stands in the footer."""
        return orjson.dumps(self._asdict()).decode()


class Day(NamedTuple):
    """One rolled-up file, and what it says."""

    path: Path
    day: date
    told: Rolled


class HasRolled(Protocol):
    """What is known of a file."""

    @property
    def rolled(self) -> Rolled | None:
        """What was rolled up into it, `None` where its rows are charges."""


Days: TypeAlias = "tuple[Day, ...]"


def told_by(path: Path, said: Mapping[str, str]) -> Rolled | None:
    """What a file's footer says of rolling up. Raises `LedgerError` where it should say so and does not."""
    if KEY not in said and not path.name.startswith(PREFIX):
        return None
    try:
        told = orjson.loads(said[KEY])
        lists = {name: tuple(map(str, told[name])) for name in ("kept", "forgotten")}
        counts = {name: int(told[name]) for name in ("charges", "rows", "superseded")}
        return Rolled(**{**told, **lists, **counts})
    except (KeyError, ValueError, TypeError) as error:
        msg = f"{path}: its footer does not say what was rolled up into it ({error!r}): restore it from a copy"
        raise LedgerError(msg) from error


def in_period(files: Files, facts: Mapping[Path, HasRolled], within: Period) -> Days:
    """The rolled-up files among these whose day the period touches, in order of time."""
    found = (Day(file.path, file.day, told) for file in files.sealed if (told := facts[file.path].rolled))
    return tuple(sorted((day for day in found if _overlaps(day.day, within)), key=lambda day: (day.day, day.path)))


def kept_name(field: Field) -> str | None:
    """What keeps a dimension: the name of its column or `tag:NAME`; `None` where it is kept always."""
    if field is UNIT or field.part in PERIODS or set(field.columns) <= {*ALWAYS}:
        return None
    if field.kind not in ("text", "flag") or len(field.columns) > 1:
        msg = f"by: {field.name} is no dimension that a rolled-up day can have; name texts, flags and tags"
        raise LedgerError(msg)
    return field.columns[0] if field.key is None else f"tag:{field.key}"


def columns_of(days: Days) -> list[str]:
    """The columns of a ledger that all of these days have."""
    kept = set.intersection(*(set(day.told.kept) for day in days))
    whole = not any(name.startswith("tag:") for day in days for name in day.told.forgotten)
    names = {*ALWAYS, *kept, *(column.name for column in SUMMED), COUNT, "started_at", *(["tags"] if whole else [])}
    return [column.name for column in COLUMNS if column.name in names]


def notes(days: Days) -> list[str]:
    """A sentence on each stretch of rolled-up days that an answer has in it."""
    return [f"{span_of(group)}: rolled up by {kept_of(group[0].told)}" for group in spans_of(days)]


def table(days: Days) -> pa.Table:
    """What is known of rolled-up days, a row each."""
    import pyarrow as pa

    kinds = {"charges": pa.int64(), "rows": pa.int64(), "superseded": pa.int64(), "dropped": pa.bool_()}
    lists = dict.fromkeys(("kept", "forgotten"), pa.list_(pa.string()))
    fields = [(name, {**kinds, **lists}.get(name, pa.string())) for name in Rolled._fields]
    rows = [{"day": day.day, **day.told._asdict()} for day in days]
    return pa.Table.from_pylist(rows, schema=pa.schema([("day", pa.date32()), *fields]))


def without(days: Days, column: str) -> list[str]:
    """The stretches of rolled-up days that did not keep a column."""
    return [span_of(group) for group in spans_of(tuple(day for day in days if column not in day.told.kept))]


def statements(days: Days) -> list[str]:
    """What is known of days that were rolled up: how much, and what is forgotten."""
    return [_statement(group) for group in spans_of(days)]


def _statement(days: Days) -> str:
    charges, rows = (sum(getattr(day.told, name) for day in days) for name in ("charges", "rows"))
    forgotten = dict.fromkeys(name for day in days for name in day.told.forgotten)
    how = "dropped" if days[0].told.dropped else f"rolled up into {rows} rows by {kept_of(days[0].told)}"
    superseded = sum(day.told.superseded for day in days)
    gone = f", {superseded} rows that were not in force" if superseded else ""
    moments = [moment for day in days for moment in (day.told.first, day.told.last) if moment]
    stretch = f", the first at {min(moments)}, the last at {max(moments)}" if moments else ""
    return f"{span_of(days)}: {charges} charges {how}{stretch}; forgotten: {', '.join(forgotten)}{gone}"


def _overlaps(day: date, within: Period) -> bool:
    start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
    return (within.until is None or start < within.until) and (
        within.since is None or start + timedelta(days=1) > within.since
    )


def kept_of(told: Rolled) -> str:
    """The dimensions that a day has kept, for a sentence."""
    return "nothing" if told.dropped else ", ".join(["day", "model", *told.kept])


def span_of(days: Days) -> str:
    """The first and the last of some days, for a sentence."""
    first, last = days[0].day, days[-1].day
    return f"{first}" if first == last else f"{first} to {last}"


def spans_of(days: Days) -> list[Days]:
    """The days in stretches without a gap, that kept the same."""
    spans: list[list[Day]] = []
    for day in days:
        if spans and _goes_on(spans[-1][-1], day):
            spans[-1].append(day)
        else:
            spans.append([day])
    return [tuple(span) for span in spans]


def _goes_on(before: Day, day: Day) -> bool:
    alike = (before.told.kept, before.told.dropped) == (day.told.kept, day.told.dropped)
    return alike and day.day - before.day <= timedelta(days=1)
