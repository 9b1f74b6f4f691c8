"""Writing sealed files: rows of a segment, or of several sealed files, as typed, sorted, compressed Parquet.

What a file has that its columns do not say stands in its footer, and readers know it as `Facts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanledger._schema import Column, Instant, Integer, Millis, MoneyMap, QuantityMap, Text, TextList, TextMap
from spanledger._types import COLUMNS
from spanledger.ledger._facts import Facts
from spanledger.ledger._rolled import Rolled
from spanledger.ledger._sharing import share
from spanledger.ledger.engines.duckdb import NARROW, TAG_COLUMN, DuckDB, literal, open_rows, parquet

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP: Final = 122_880
"""Rows that are compressed, held in memory and read as one: as many as DuckDB gives a thread at once."""

BUFFER: Final = 1 << 20
"""Bytes that are written to a file at once."""

MOST_TAGS: Final = 256
"""A file whose charges have more tags than this does not say which."""

PROMOTED: Final = 16
"""So many tags of a file have a column of their own: reading one value out of a map costs ten times as much."""

FEW_VALUES: Final = 4096
"""Only a tag of no more values than this is copied to a column, where each takes next to nothing."""

_COSTS: Final = ("contracted_cost", "effective_cost")
"""What is the same as `list_cost` where no contract makes a difference."""

_IDS: Final = frozenset(
    f"{name}_id" for name in ("call", "response", "trace", "span", "parent_span", "workflow", "session")
) | {"corrects"}
_ENCODINGS: Final = {Instant: "DELTA_BINARY_PACKED", Integer: "DELTA_BINARY_PACKED"}
_STORED: Final[Mapping[type, str]] = {**NARROW, Millis: "DECIMAL(18, 3)"}
"""What a column is in a file where that holds every value of it exactly: half the bits, and faster to read."""

_LEAVES: Final = {
    TextList: ("list.element",),
    **dict.fromkeys((TextMap, MoneyMap, QuantityMap), ("key_value.key", "key_value.value")),
}
DICTIONARY_LEVEL: Final = 6
"""Of zstd, for what has a dictionary. The rest has Arrow's own, 1: a higher one makes ids larger."""

_FORM: Final[Mapping[str, Any]] = {
    "compression": "zstd",
    "data_page_version": "1.0",  # compresses the levels of maps as well, which are a byte a row otherwise
    "store_decimal_as_integer": True,
    "store_schema": False,
}


class Layout(NamedTuple):
    """How some rows lie in a file: the type and the SQL of each column, and what the footer says of them."""

    select: str
    facts: Facts


def load(database: DuckDB, segment: Path) -> int:
    """Reads a segment into the table `batch`, each charge once, and says how many rows it had."""
    run = database.connection.execute
    run(f"CREATE OR REPLACE TEMP TABLE batch AS {open_rows([segment], extra=True)}")
    rows, different = run("SELECT count(*), count(DISTINCT charge_id) FROM batch").fetchall()[0]
    if rows != different:
        run("DELETE FROM batch WHERE rowid NOT IN (SELECT min(rowid) FROM batch GROUP BY charge_id)")
    return int(rows)


def loaded_ids(database: DuckDB) -> set[str]:
    """The charges in `batch`."""
    return {charge_id for (charge_id,) in database.connection.execute("SELECT charge_id FROM batch").fetchall()}


def loaded_days(database: DuckDB) -> list[date]:
    """The days of `batch`."""
    days = database.connection.execute("SELECT DISTINCT CAST(started_at AS DATE) FROM batch ORDER BY 1").fetchall()
    return [day for (day,) in days]


def write_day(database: DuckDB, day: date, path: Path) -> None:
    """Writes one day of `batch` as Parquet."""
    write(database, f"SELECT * FROM batch WHERE CAST(started_at AS DATE) = {literal(day)}", path, ())


def write_merged(database: DuckDB, paths: Sequence[Path], path: Path, replaces: Sequence[str]) -> None:
    """Writes one Parquet file of all of `paths`, each charge once, that stands for the files `replaces`."""
    rows = f"SELECT * FROM {parquet(paths)}"
    ((repeated,),) = _ask(database, f"SELECT count(*) - count(DISTINCT charge_id) FROM ({rows})")
    once = " QUALIFY row_number() OVER (PARTITION BY charge_id) = 1" if repeated else ""
    write(database, rows + once, path, replaces)


def write(database: DuckDB, rows: str, path: Path, replaces: Sequence[str], rolled: Rolled | None = None) -> None:
    """Writes a SELECT in order of time; `rolled` says what was rolled up into it, if its rows are sums.

    Memory is bounded by a row group, and by DuckDB's own limit for the sorting.
    """
    layout = layout_of(database, rows)
    ordered = f"SELECT {layout.select} FROM ({rows}) ORDER BY started_at, charge_id"
    write_ordered(database, ordered, path, layout.facts._replace(replaces=tuple(replaces), rolled=rolled))


def write_ordered(database: DuckDB, rows: str, path: Path, facts: Facts) -> None:
    """Writes a SELECT that is in order of time and in the types of a layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = database.batches(rows, ROW_GROUP)
    # Without a buffer of ours, each page of each column is a write of its own.
    with (
        pa.output_stream(path, buffer_size=BUFFER) as file,
        pq.ParquetWriter(file, batches.schema, **_FORM, **_encodings(batches.schema)) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
        writer.add_key_value_metadata(facts.footer())
    share(path)


def layout_of(database: DuckDB, rows: str) -> Layout:
    """How these rows lie in a file."""
    described = _ask(database, f"DESCRIBE SELECT * FROM ({rows})")
    types = {name: kind for name, kind, *_ in described if not name.startswith(TAG_COLUMN)}
    facts = facts_of(database, rows, types)
    narrow = _narrow(database, rows, types)
    columns = [f'CAST("{name}" AS {narrow[name]}) AS "{name}"' if name in narrow else f'"{name}"' for name in types]
    columns += [f"tags[{literal(key)}] AS {name}" for key, name in (facts.tags or {}).items() if name]
    return Layout(", ".join(columns), facts)


def facts_of(database: DuckDB, rows: str, columns: Collection[str]) -> Facts:
    """What is true of some rows that have these columns."""
    costs = [name for name in _COSTS if {name, "list_cost"} <= set(columns)]
    same = [f"coalesce(bool_and({name} IS NOT DISTINCT FROM list_cost), false)" for name in costs]
    one = "CASE WHEN count(currency) = count(*) AND min(currency) = max(currency) THEN min(currency) END"
    asked = [
        "count(corrects)" if "corrects" in columns else "count(NULL)",
        one if "currency" in columns else "NULL",
        *same,
    ]
    ((corrections, currency, *found),) = _ask(database, f"SELECT {', '.join(asked)} FROM ({rows})")
    alike = tuple(name for name, is_same in zip(costs, found, strict=True) if is_same)
    tags = _tags(database, rows) if "tags" in columns else {}
    return Facts(corrections=corrections, tags=tags, alike=alike, currency=currency)


def _narrow(database: DuckDB, rows: str, types: Mapping[str, str]) -> dict[str, str]:
    """The columns whose values all fit in a narrower type, with that."""
    narrow = {column.name: _STORED[type(column)] for column in _wide(types)}
    fits = [
        f"coalesce(bool_and(TRY_CAST({name} AS {sql}) IS NOT DISTINCT FROM {name}), true)"
        for name, sql in narrow.items()
    ]
    if not fits:
        return {}
    ((*fitting,),) = _ask(database, f"SELECT {', '.join(fits)} FROM ({rows})")
    return {name: sql for (name, sql), fit in zip(narrow.items(), fitting, strict=True) if fit}


def _wide(types: Mapping[str, str]) -> Iterator[Column[Any]]:
    """The columns that these rows have in the type of the ledger where there is a narrower one."""
    for column in COLUMNS:
        if type(column) in _STORED and types.get(column.name, "").replace(" ", "") == column.sql.replace(" ", ""):
            yield column


def _tags(database: DuckDB, rows: str) -> dict[str, str] | None:
    """The tags of some rows, each with the name of the column that it is copied to, if it is; `None` if too many."""
    entries = f"SELECT unnest(map_keys(tags)) AS key, unnest(map_values(tags)) AS value FROM ({rows})"
    counted = f"SELECT key, count(*), count(DISTINCT value) FROM ({entries}) GROUP BY key ORDER BY 2 DESC, 1"
    found = _ask(database, f"{counted} LIMIT {MOST_TAGS + 1}")
    if len(found) > MOST_TAGS:
        return None
    plain = [key for key, _, values in found if values <= FEW_VALUES and _may_name_a_column(key)][:PROMOTED]
    return {key: f"{TAG_COLUMN}{key}" if key in plain else "" for key, *_ in found}


def _may_name_a_column(key: str) -> bool:
    """Whether every engine takes it: small letters, digits and underscores."""
    return key.isascii() and key.replace("_", "a").isalnum() and key == key.lower() and len(key) <= 60  # noqa: PLR2004


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """What Parquet calls it: a dictionary for whatever repeats, and for the rest what its kind takes least space in."""
    columns = [column for column in COLUMNS if column.name in schema.names]
    chosen = {column.name: encoding for column in columns if (encoding := _encoding(column, schema))}
    kinds = {column.name: _LEAVES.get(type(column), ()) for column in columns}
    given = [name for name in schema.names if name not in chosen]
    leaves = [f"{name}.{leaf}" for name in given for leaf in kinds.get(name, ())]
    return {
        "use_dictionary": given + leaves,
        "column_encoding": chosen,
        "compression_level": dict.fromkeys(given + leaves, DICTIONARY_LEVEL),
    }


def _encoding(column: Column[Any], schema: pa.Schema) -> str | None:
    import pyarrow as pa

    if isinstance(column, Millis):
        return "DELTA_BINARY_PACKED" if pa.types.is_decimal(schema.field(column.name).type) else "PLAIN"
    if column.name == "charge_id":
        return "DELTA_BYTE_ARRAY"  # ids of one moment begin alike
    if column.name in _IDS and isinstance(column, Text):
        return "DELTA_LENGTH_BYTE_ARRAY"
    return _ENCODINGS.get(type(column))


def _ask(database: DuckDB, sql: str) -> list[tuple[Any, ...]]:
    return database.connection.execute(sql).fetchall()
