"""DuckDB in this process: reads open segments and sealed Parquet as one relation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from spanledger._schema import Column, Instant, Money, MoneyMap, QuantityMap, Text
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._answer import PLAIN_KINDS, Few
from spanledger.ledger._facts import NO_FACTS, Facts
from spanledger.ledger._files import LONGEST_LINE, Files, by_day, padding
from spanledger.ledger._sql import Dialect

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NAMES: Final = tuple(column.name for column in COLUMNS)
_WRITTEN: Final = {column.name: "TIMESTAMPTZ" if isinstance(column, Instant) else column.sql for column in COLUMNS}
"""The types to read JSON as: text with an offset is a moment, which `_OPEN` brings to UTC."""


def literal(text: object) -> str:
    """A text as SQL has it."""
    escaped = str(text).replace("'", "''")
    return f"'{escaped}'"


def _unread(column: Column[Any]) -> str:
    """Whether the row has a value that the column's type cannot hold."""
    path = f"'$.{column.name}'"
    missing = f"{column.name} IS NULL"
    if column.sql.startswith("MAP"):
        missing = f"({missing} OR list_count(map_values({column.name})) < cardinality({column.name}))"
    return f"(coalesce(json_type(json, {path}), 'NULL') <> 'NULL' AND {missing})"


_KNOWN_KEYS: Final = literal("{" + ", ".join(f'"{name}": null' for name in NAMES) + "}")
_UNREAD: Final = " OR ".join(_unread(column) for column in COLUMNS if not isinstance(column, Text))
_UNKNOWN: Final = f"nullif(CAST(json_merge_patch(json, {_KNOWN_KEYS}) AS VARCHAR), '{{}}')"
_EXTRA: Final = f"CASE WHEN {_UNREAD} THEN CAST(json AS VARCHAR) ELSE {_UNKNOWN} END AS extra"
"""What the columns do not hold: keys that this version does not know, or the whole row where a value is no value."""

_LENIENT: Final = "ignore_errors=true, format='newline_delimited'"

TAG_COLUMN: Final = "tag_"
"""What the columns of sealed files begin with that are copies of tags. Names of the ledger's own never do."""

NARROW: Final[Mapping[type, str]] = {
    Money: "DECIMAL(18, 15)",
    MoneyMap: "MAP(VARCHAR, DECIMAL(18, 15))",
    QuantityMap: "MAP(VARCHAR, DECIMAL(18, 9))",
}
"""Types of 64 bits, for the columns of a file whose amounts all fit: engines add them several times as fast."""

MOST_FEW: Final = 10_000
"""Rows up to which an answer is worth having without Arrow."""

MEMORY: Final = "50%"
"""Of the memory there is, what a question may take before it goes on on disk."""

SHARE: Final = re.compile(r"(\d+)\s*%")

_abandoned: Final[list[Any]] = []
"""Connections of a parent process: closing one in a forked child waits for threads that are not there."""


class DuckDBDialect(Dialect):
    """DuckDB's, over `every_row`, which has a column for each tag that is asked for."""

    def lookup(self, column: str, key: str) -> str:
        """The tag's column, or the value of `key` in another map."""
        return self.name(tag_name(key)) if column == "tags" else super().lookup(column, key)


class DuckDB:
    """A connection of its own to an in-memory DuckDB, made anew after a fork."""

    def __init__(self, threads: int | None = None, memory: str = MEMORY, spill: Path | None = None) -> None:
        """`spill` is a directory for what does not fit into memory. Without one, a question that needs it fails."""
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._process = 0
        self._threads = threads
        self._memory = memory
        self._spill = spill
        self._facts: dict[Path, Facts] = {}

    def dialect(self) -> Dialect:
        """DuckDB's own."""
        return DuckDBDialect()

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The rows of a question as an Arrow table. Raises `LedgerError` with the engine's own words."""
        connection = self.connection
        try:
            answer: duckdb.DuckDBPyRelation | None = connection.sql(sql, params=list(params))
            return _no_rows() if answer is None else _arrow(answer)
        except _errors() as error:
            raise LedgerError(_readable(error)) from error

    def answer(self, sql: str, params: Sequence[Any] = ()) -> pa.Table | Few:
        """The rows of a question as `query` gives them, or as Python values where there are few. Raises likewise."""
        try:
            kept = _kept(self.connection.sql(sql, params=list(params)))
            kinds = tuple(map(str, kept.types))
            if len(kept) > MOST_FEW or not all(kind.startswith(PLAIN_KINDS) for kind in kinds):
                return _arrow(kept)
            return Few(_apart(kept.columns), kinds, kept.fetchall())
        except _errors() as error:
            raise LedgerError(_readable(error)) from error

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement of the ledger's own. Raises `LedgerError` with the engine's own words."""
        try:
            return self.connection.execute(sql).fetchall()
        except _errors() as error:
            raise LedgerError(_readable(error)) from error

    def batches(self, sql: str, rows: int) -> pa.RecordBatchReader:
        """The rows of a question as Arrow batches of `rows`, made as they are read.

        Raises `LedgerError` with the engine's own words; of what goes wrong later, Arrow's reader raises `OSError`.
        """
        try:
            relation: Any = self.connection.sql(sql)
            return relation.to_arrow_reader(rows)
        except _errors() as error:
            raise LedgerError(_readable(error)) from error

    def over(self, tables: Mapping[str, pa.Table], sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The rows of a question to Arrow tables, each under its name for as long as the question runs."""
        for name, table in tables.items():
            self.connection.register(name, table)
        try:
            return self.query(sql, params)
        finally:
            for name in tables:
                self.connection.unregister(name)

    def facts(self, paths: Iterable[Path]) -> dict[Path, Facts]:
        """What sealed files say of themselves. They never change, so each is asked once."""
        wanted = list(paths)
        if missing := [path for path in wanted if path not in self._facts]:
            self._facts.update(self._read_facts(missing))
        return {path: self._facts[path] for path in wanted}

    def _read_facts(self, paths: Sequence[Path]) -> dict[Path, Facts]:
        try:
            told = self.rows(f"SELECT file_name, key, value FROM parquet_kv_metadata({listed(paths)})")
        except LedgerError as error:
            if len(paths) > 1:
                return {path: self._read_facts([path])[path] for path in paths}
            msg = f"{paths[0]}: cannot be read: {error}"
            raise LedgerError(msg) from error
        said: dict[Path, dict[str, str]] = {path: {} for path in paths}
        for file, key, value in told:
            said[Path(file)][_text(key)] = _text(value)
        return {path: Facts.of(path, values) for path, values in said.items()}

    @contextmanager
    def spilling(self, folder: Path) -> Iterator[None]:
        """In the block, what does not fit into memory goes to `folder`: by another connection, which ends with it."""
        with _connect(self._threads, self._memory, folder) as other:
            before, self._connection = self._connection, other
            try:
                yield
            finally:
                self._connection = before

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of this process. Raises `MissingExtraError` where DuckDB is not installed."""
        if self._connection is None or self._process != os.getpid():
            _abandoned.append(self._connection)
            self._connection, self._process = _connect(self._threads, self._memory, self._spill), os.getpid()
        return self._connection


def _library() -> Any:
    """DuckDB itself. Raises `MissingExtraError` where it is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError(error.name or "duckdb", "ledger") from error
    return duckdb


def _connect(threads: int | None, memory: str, spill: Path | None) -> duckdb.DuckDBPyConnection:
    arrow = "pyarrow"
    if not find_spec(arrow):  # said here, before a question is half answered; loading it takes long
        raise MissingExtraError(arrow, "ledger")
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "temp_directory": str(spill / "spill") if spill else "",
        "preserve_insertion_order": False,
        **({"threads": threads} if threads else {}),
    }
    connection: duckdb.DuckDBPyConnection = _library().connect(config=settings)
    connection.execute(f"SET memory_limit = {literal(_sized(connection, memory))}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would stand in the middle of a report on standard output
    connection.execute("SET parquet_metadata_cache = true")  # no setting of `connect` in 1.5: Parquet is not loaded yet
    return connection


def _sized(connection: duckdb.DuckDBPyConnection, memory: str) -> str:
    """A share of the memory as a size, which is all that DuckDB takes before 2.0: its default is 80 % of what there is.

    That it knows of the limits of containers is why it is asked.
    """
    share = SHARE.fullmatch(memory)
    if share is None:
        return memory
    ((default,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    size, unit = default.split()
    return f"{float(size) * int(share[1]) / 80:.2f} {unit}"


def _text(found: bytes) -> str:
    """Text of a footer; what is none is no more than not understood."""
    return found.decode("utf-8", "replace")


def _arrow(relation: Any) -> pa.Table:
    table: pa.Table = relation.to_arrow_table()
    return table.rename_columns(_apart(table.column_names))


def _apart(names: Iterable[str]) -> tuple[str, ...]:
    """Columns of one name as DuckDB tells them apart since 2.0: `day`, `day_1`."""
    found: dict[str, None] = {}
    for name in names:
        free = (f"{name}_{number}" for number in count(1))
        found[name if name not in found else next(one for one in free if one not in found)] = None
    return tuple(found)


def _kept(relation: Any) -> Any:
    """The rows of a relation, asked for once: a method of another name before DuckDB 2.0."""
    return (getattr(type(relation), "materialize", None) or type(relation).execute)(relation)


def _errors() -> type[Exception]:
    error: type[Exception] = _library().Error
    return error


def _no_rows() -> pa.Table:
    """The answer of a statement that has none, such as `CREATE TABLE`."""
    import pyarrow as pa

    return pa.table({})


def is_out_of_memory(error: LedgerError) -> bool:
    """Whether a question needs more memory than it may have, and has no room on disk."""
    import duckdb

    return isinstance(error.__cause__, duckdb.OutOfMemoryException)


def _readable(error: Exception) -> str:
    return f"the ledger cannot answer: {error}"


class Shape(NamedTuple):
    """What a relation has besides the rows: `extra`, a column for each of `tags`, amounts of 64 bits where all fit."""

    extra: bool = False
    tags: Sequence[str] = ()
    narrow: bool = False


PLAIN: Final = Shape()


def every_row(files: Files, shape: Shape = PLAIN, facts: Mapping[Path, Facts] = NO_FACTS) -> str:
    """The relation of every stored row, before duplicates and corrections: a SELECT with each column of a charge.

    `shape.extra` adds what newer versions wrote, as JSON. Each of `shape.tags` adds a column of the name `tag_name`
    gives it. What is known of the files by `facts` spares reading the map of all tags, and columns that are alike.
    """
    parts = [_nothing(shape)]
    whole = [segment.path for segment in files.open if not segment.sealed_days]
    if whole:
        parts.append(open_rows(whole, extra=shape.extra))
    parts += [open_rows([path], extra=shape.extra, without=days) for path, days in files.open if days]
    told, others = _by_spared_columns(files, shape.tags, facts)
    parts += [_sealed(paths, columns) for columns, paths in others.items()]
    looked_up = [f"tags[{literal(tag)}] AS {_tag_column(tag)}" for tag in shape.tags]
    rest = f"SELECT {', '.join(['*', *looked_up])} FROM ({' UNION ALL BY NAME '.join(parts)})"
    return " UNION ALL BY NAME ".join([rest, *(_sealed(paths, columns) for columns, paths in told.items())])


def tag_name(tag: str) -> str:
    """The name of a tag's column in the relation: in digits, for DuckDB takes names in capitals for the same."""
    return f"tag:{tag.encode().hex()}"


def _tag_column(tag: str) -> str:
    return Dialect().name(tag_name(tag))


_ByColumns: TypeAlias = "dict[tuple[tuple[str, str], ...], list[Path]]"
"""Files by the columns that are not read as they are, each with the expression that stands for it."""


def _by_spared_columns(files: Files, tags: Sequence[str], facts: Mapping[Path, Facts]) -> tuple[_ByColumns, _ByColumns]:
    """Sealed files by the columns that they spare: those that say where the tags are, and those without these tags."""
    told: _ByColumns = {}
    others: _ByColumns = {}
    for file in files.sealed:
        known = facts.get(file.path, Facts())
        places = {tag_name(tag): _place(known, tag) for tag in tags}
        there = all(places.values())
        spared = {**_spared(known), **places} if there else _spared(known)
        (told if there else others).setdefault(tuple(spared.items()), []).append(file.path)
    return told, others


def _place(known: Facts, tag: str) -> str:
    """The expression of a tag in a file that says where it is, else nothing."""
    return "" if known.tags is None else known.tags.get(tag, "CAST(NULL AS VARCHAR)")


def _spared(known: Facts) -> dict[str, str]:
    """The columns that need not be read, each with the expression that has their value."""
    spared = dict.fromkeys(known.alike, "list_cost")
    return spared if known.currency is None else {**spared, "currency": literal(known.currency)}


def _sealed(paths: Sequence[Path], spared: Sequence[tuple[str, str]]) -> str:
    """The rows of sealed files without the copies of tags that they have, and with expressions for what is spared."""
    left_out = "".join(f" AND name <> {literal(name)}" for name, _ in spared)
    own = f"COLUMNS(lambda name: NOT starts_with(name, '{TAG_COLUMN}'){left_out})"
    instead = (f"{expression} AS {Dialect().name(name)}" for name, expression in spared)
    return f"SELECT {', '.join([own, *instead])} FROM {parquet(paths)}"


def open_rows(paths: Sequence[Path], *, extra: bool = False, without: Sequence[date] = ()) -> str:
    """The rows of open segments: lines that are no JSON are skipped, and so are those without an id and a moment."""
    columns = [_in_utc(name) for name in NAMES]
    known = "charge_id IS NOT NULL AND started_at IS NOT NULL"
    if without:
        known += f" AND CAST(started_at AT TIME ZONE 'UTC' AS DATE) NOT IN ({', '.join(map(literal, without))})"
    longest = 2 * LONGEST_LINE + max(map(padding, paths), default=0)  # zero bytes at the end are a line to DuckDB
    reading = f"{listed(paths)}, {_LENIENT}, maximum_object_size={longest}"
    if not extra and not _hides_the_next():
        types = ", ".join(f"{literal(name)}: {literal(sql)}" for name, sql in _WRITTEN.items())
        source = f"read_json({reading}, records='true', columns={{{types}}})"
        return f"SELECT {', '.join(columns)} FROM {source} WHERE {known}"
    shape = literal("{" + ", ".join(f'"{name}": "{sql}"' for name, sql in _WRITTEN.items()) + "}")
    objects = f"read_json_objects({reading}) WHERE json_type(json) = 'OBJECT'"
    source = f"SELECT json, unnest(json_transform(json, {shape})) FROM {objects}"
    chosen = [*columns, _EXTRA] if extra else columns
    return f"SELECT {', '.join(chosen)} FROM ({source}) WHERE {known}"


def _hides_the_next() -> bool:
    """Whether `read_json` drops, with a line that breaks off, the row after it too: DuckDB does before 2.0."""
    version: str = _library().__version__
    return version.startswith("1.")


def _in_utc(name: str) -> str:
    return f"{name} AT TIME ZONE 'UTC' AS {name}" if _WRITTEN[name] == "TIMESTAMPTZ" else name


def _nothing(shape: Shape) -> str:
    kinds = {column.name: NARROW.get(type(column), column.sql) if shape.narrow else column.sql for column in COLUMNS}
    kinds.update({"extra": "VARCHAR"} if shape.extra else {})
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in kinds.items())} WHERE false"


def parquet(paths: Iterable[Path]) -> str:
    """The relation of sealed files, whatever columns each has."""
    return f"read_parquet({listed(paths)}, union_by_name=true, hive_partitioning=false)"


def listed(paths: Iterable[Path]) -> str:
    """File names as SQL has a list of them."""
    return f"[{', '.join(literal(path) for path in paths)}]"


def in_force(database: DuckDB, files: Files) -> Files:
    """Without the sealed files that a merged one stands for: they are there from a merge to the end of its cleaning."""
    shared = [file.path for day in by_day(files.sealed).values() if len(day) > 1 for file in day]
    gone = {path.with_name(name) for path, facts in database.facts(shared).items() for name in facts.replaces}
    return files._replace(sealed=tuple(file for file in files.sealed if file.path not in gone))
