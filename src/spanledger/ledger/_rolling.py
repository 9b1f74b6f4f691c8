"""Summing up the charges of a day, in SQL: charges that are alike in all that is kept become one row.

Alike is: in every dimension that is kept, in what of them is known at all, in the units that they were billed for, and
in what a newer version wrote and this one does not understand. So a sum is unknown only where all of its parts are,
and each part of it is as many charges as the row says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanledger._schema import MoneyMap, QuantityMap
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError
from spanledger.ledger._files import Files, Sealed
from spanledger.ledger._relation import as_it_is_now
from spanledger.ledger._repeats import Repeats
from spanledger.ledger._result import Result
from spanledger.ledger._rolled import ALWAYS, COUNT, SUMMED, WEIGHT, Days
from spanledger.ledger.engines.duckdb import DuckDB, Shape, every_row, literal

MAPS: Final = tuple(column for column in SUMMED if isinstance(column, MoneyMap | QuantityMap))
PLAIN: Final = tuple(column for column in SUMMED if column not in MAPS)
NAMES: Final = frozenset(column.name for column in COLUMNS)

LOST: Final = """WITH RECURSIVE stored AS MATERIALIZED (SELECT charge_id, corrects FROM ({rows})),
lost AS (
  SELECT charge_id FROM stored WHERE corrects IS NOT NULL AND corrects NOT IN (SELECT charge_id FROM stored)
  UNION SELECT stored.charge_id FROM stored JOIN lost ON stored.corrects = lost.charge_id
) SELECT charge_id FROM lost"""
"""Corrections of charges that are not there, and corrections of those."""


class Summed(NamedTuple):
    """What was summed up: charges, rows that were not in force, the moments of single charges, and what had a value."""

    charges: int
    superseded: int
    first: Any
    last: Any
    columns: tuple[str, ...]


class Source(NamedTuple):
    """The files of a day, and the ids of rows in them that are left out."""

    files: Sequence[Path]
    day: date
    without: Sequence[str] = ()

    def rows(self) -> str:
        """Every row, as a SELECT."""
        rows = every_row(Files((), tuple(Sealed(path, self.day) for path in self.files)), Shape(extra=True))
        without = ", ".join(map(literal, self.without))
        return f"SELECT * FROM ({rows}) WHERE charge_id NOT IN ({without})" if without else rows


class Place(NamedTuple):
    """What charges have to be alike in: each part has a name in SQL, and what it is of a charge."""

    columns: tuple[str, ...]
    tags: tuple[str, ...]

    def of_charge(self) -> str:
        """The place of a charge."""
        parts = [f'"{name}"' for name in self.columns] + [f"tags[{literal(tag)}]" for tag in self.tags]
        parts += [f"{column.name} IS NULL" for column in SUMMED]
        parts += [f"list_sort(map_keys({column.name}))" for column in MAPS]
        parts += [f"list_sort([e.key for e in map_entries({column.name}) if e.value IS NULL])" for column in MAPS]
        return f"struct_pack({', '.join(f'k{number} := {part}' for number, part in enumerate(parts))})"

    def columns_again(self) -> Iterator[str]:
        """The columns of a row, from its place."""
        yield from (f'place.k{number} AS "{name}"' for number, name in enumerate(self.columns))
        if self.tags:
            start = len(self.columns)
            entries = (f"{{'key': {literal(tag)}, 'value': place.k{start + n}}}" for n, tag in enumerate(self.tags))
            yield f"map_from_entries([e for e in [{', '.join(entries)}] if e.value IS NOT NULL]) AS tags"


def lost_corrections(database: DuckDB, source: Source) -> list[dict[str, Any]]:
    """The rows of a day that correct charges which are not there."""
    rows = source.rows()
    lost = f"SELECT * FROM ({rows}) WHERE charge_id IN ({LOST.format(rows=rows)}) ORDER BY charge_id"
    return Result(database.query(lost)).rows()


def refuse_lost_corrections(database: DuckDB, rows: str, days: Days) -> None:
    """Refuses rows among which some correct a charge that was rolled up: what they change of its sum is not known."""
    of_days = ", ".join(f"DATE '{day.day}'" for day in days)
    some = f"SELECT * FROM ({rows}) WHERE CAST(started_at AS DATE) IN ({of_days})"
    found = database.rows(f"SELECT charge_id FROM ({LOST.format(rows=some)}) ORDER BY 1")
    if found:
        ids = ", ".join(charge_id for (charge_id,) in found[:3])
        told = f"{len(found)} corrections, e.g. {ids}, are of charges that have been rolled up since"
        msg = f"{told}: they cannot be told from the sums; `spanledger retain` puts them into quarantine/"
        raise LedgerError(msg)


def sum_up(database: DuckDB, source: Source, kept: Sequence[str], name: str) -> Summed:
    """Sums up the charges in force on a day, into the table `rolled`, by the columns and `tag:NAME` in `kept`.

    The rows are called `name/1` and so on.
    """
    run = database.rows
    rows = source.rows()
    place = _place(database, rows, kept)
    current = as_it_is_now(rows, rows, Repeats(duplicates=True, corrections=True))
    run(f"CREATE OR REPLACE TEMP TABLE rolling AS {_placed(place, current)}")
    run(f"CREATE OR REPLACE TEMP TABLE rolled AS {_rolled(place, source.day, name)}")
    counts = f"coalesce(sum({COUNT}), 0), count(*), min(moment), max(moment)"
    ((charges, in_force, first, last),) = run(f"SELECT {counts} FROM rolling")
    ((stored,),) = run(f"SELECT count(*) FROM ({rows})")
    return Summed(int(charges), stored - in_force, first, last, tuple(_with_values(database, rows, kept)))


def _placed(place: Place, rows: str) -> str:
    summed = ", ".join(column.name for column in SUMMED)
    moment = f"CASE WHEN {COUNT} IS NULL THEN started_at END AS moment"
    return f"SELECT {place.of_charge()} AS place, {WEIGHT} AS {COUNT}, {moment}, {summed} FROM ({rows})"


def _place(database: DuckDB, rows: str, kept: Sequence[str]) -> Place:
    described = database.rows(f"DESCRIBE SELECT * FROM ({rows})")
    unknown = [name for name, *_ in described if name not in NAMES]
    columns = [name for name in kept if not name.startswith("tag:")]
    tags = [name.removeprefix("tag:") for name in kept if name.startswith("tag:")]
    return Place((*ALWAYS, *columns, *unknown), tuple(tags))


def _rolled(place: Place, day: date, name: str) -> str:
    sums = [f"CAST(sum({column.name}) AS {column.sql}) AS {column.name}" for column in PLAIN]
    parts = [f"SELECT place, CAST(sum({COUNT}) AS BIGINT) AS {COUNT}, {', '.join(sums)} FROM rolling GROUP BY place"]
    parts += [_sum_of_map(column.name, column.sql) for column in MAPS]
    whole = [f"max({name}) AS {name}" for name in (COUNT, *(column.name for column in PLAIN))]
    whole += [f"any_value({column.name}) AS {column.name}" for column in MAPS]
    together = f"SELECT place, {', '.join(whole)} FROM ({' UNION ALL BY NAME '.join(parts)}) GROUP BY place"
    shown = [COUNT, *(column.name for column in SUMMED), *place.columns_again()]
    identity = f"{literal(f'{name}/')} || row_number() OVER () AS charge_id, TIMESTAMP '{day}' AS started_at"
    return f"SELECT {identity}, {', '.join(shown)} FROM ({together})"


def _sum_of_map(name: str, sql: str) -> str:
    """The sums of each key of a map; charges of one place have the same keys."""
    entries = f"SELECT place, unnest(map_entries({name})) AS e FROM rolling"
    sums = f"SELECT place, e.key AS key, sum(e.value) AS value FROM ({entries}) GROUP BY place, e.key"
    pairs = "list(struct_pack(key := key, value := value) ORDER BY key)"
    filled = f"SELECT place, CAST(map_from_entries({pairs}) AS {sql}) AS {name} FROM ({sums}) GROUP BY place"
    empty = f"SELECT DISTINCT place, CAST(MAP {{}} AS {sql}) AS {name} FROM rolling WHERE cardinality({name}) = 0"
    return f"{filled} UNION ALL BY NAME {empty}"


def _with_values(database: DuckDB, rows: str, kept: Sequence[str]) -> Iterator[str]:
    """What some rows have a value of that is not kept: columns, and tags."""
    names = [name for name in NAMES if name not in {*ALWAYS, *kept, COUNT, *(column.name for column in SUMMED)}]
    ordered = [column.name for column in COLUMNS if column.name in names]
    counts = ", ".join(f"count({name}) FILTER (WHERE {COUNT} IS NULL)" for name in ordered)
    (found,) = database.rows(f"SELECT {counts} FROM ({rows})")
    yield from (name for name, count in zip(ordered, found, strict=True) if count and name != "tags")
    keys = f"SELECT DISTINCT unnest(map_keys(tags)) AS key FROM ({rows}) ORDER BY key"
    tags = [f"tag:{key}" for (key,) in database.rows(keys)]
    yield from (tag for tag in tags if tag not in kept)
