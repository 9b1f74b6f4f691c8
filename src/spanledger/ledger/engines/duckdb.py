"""DuckDB in this process: reads open segments and sealed Parquet as one relation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger._schema import Instant
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._files import LONGEST_LINE, Files, is_padded, lines_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NAMES: Final = tuple(column.name for column in COLUMNS)
_WRITTEN: Final = {column.name: "TIMESTAMPTZ" if isinstance(column, Instant) else column.sql for column in COLUMNS}
"""The types to read JSON as: text with an offset is a moment, which `_OPEN` brings to UTC."""


_LENIENT: Final = f"ignore_errors=true, format='newline_delimited', maximum_object_size={2 * LONGEST_LINE}"


_abandoned: Final[list[Any]] = []
"""Connections of a parent process: closing one in a forked child waits for threads that are not there."""


def literal(text: object) -> str:
    """A text as SQL has it."""
    escaped = str(text).replace("'", "''")
    return f"'{escaped}'"


class DuckDB:
    """A connection of its own to an in-memory DuckDB, made anew after a fork."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._process = 0

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The rows of a question as an Arrow table. Raises `LedgerError` with the engine's own words."""
        connection = self.connection
        try:
            answer: duckdb.DuckDBPyRelation | None = connection.sql(sql, params=list(params))
            return _no_rows() if answer is None else answer.to_arrow_table()
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

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of this process. Raises `MissingExtraError` where DuckDB is not installed."""
        if self._connection is None or self._process != os.getpid():
            _abandoned.append(self._connection)
            self._connection, self._process = _connect(), os.getpid()
        return self._connection


def _connect() -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
        import pyarrow as pa  # noqa: F401 -- said here, before a question is half answered
    except ImportError as error:
        raise MissingExtraError(error.name or "duckdb", "ledger") from error
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "temp_directory": str(Path(tempfile.gettempdir()) / f"spanledger-{os.getpid()}"),
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _errors() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _no_rows() -> pa.Table:
    """The answer of a statement that has none, such as `CREATE TABLE`."""
    import pyarrow as pa

    return pa.table({})


def _readable(error: Exception) -> str:
    return f"the ledger cannot answer: {error}"


def every_row(files: Files, *, extra: bool = False) -> str:
    """The relation of every stored row, before duplicates and corrections: a SELECT with each column of a charge.

    `extra` adds what newer versions wrote, as JSON.
    """
    parts = [_nothing(extra=extra)]
    if files.open:
        parts.append(open_rows(files.open, extra=extra))
    if files.sealed:
        parts.append(f"SELECT * FROM read_parquet({_listed(file.path for file in files.sealed)}, union_by_name=true)")
    return " UNION ALL BY NAME ".join(parts)


def open_rows(paths: Sequence[Path], *, extra: bool = False) -> str:
    """The rows of open segments: lines that are no JSON are skipped, and so are those without an id and a moment."""
    columns = [_in_utc(name) for name in NAMES]
    known = "charge_id IS NOT NULL AND started_at IS NOT NULL"
    reading = f"{_listed(paths)}, {_LENIENT}"
    if not extra:
        types = ", ".join(f"{literal(name)}: {literal(sql)}" for name, sql in _WRITTEN.items())
        source = f"read_json({reading}, records='true', columns={{{types}}})"
        return f"SELECT {', '.join(columns)} FROM {source} WHERE {known}"
    known_keys = literal("{" + ", ".join(f'"{name}": null' for name in NAMES) + "}")
    shape = literal("{" + ", ".join(f'"{name}": "{sql}"' for name, sql in _WRITTEN.items()) + "}")
    source = (
        f"(SELECT unnest(json_transform(json, {shape})), "
        f"nullif(CAST(json_merge_patch(json, {known_keys}) AS VARCHAR), '{{}}') AS extra "
        f"FROM read_json_objects({reading}) WHERE json_type(json) = 'OBJECT')"
    )
    return f"SELECT {', '.join([*columns, 'extra'])} FROM {source} WHERE {known}"


def readable(path: Path, scratch: Path) -> Path:
    """The segment itself, or a copy of its charges where it is padded with zero bytes, which DuckDB does not read."""
    if not is_padded(path):
        return path
    copy = scratch / path.name
    with copy.open("wb") as out:
        out.writelines(line + b"\n" for line in lines_of(path))
    return copy


def _in_utc(name: str) -> str:
    return f"{name} AT TIME ZONE 'UTC' AS {name}" if _WRITTEN[name] == "TIMESTAMPTZ" else name


def _nothing(*, extra: bool) -> str:
    columns = [f"CAST(NULL AS {column.sql}) AS {column.name}" for column in COLUMNS]
    return f"SELECT {', '.join([*columns, *(['CAST(NULL AS VARCHAR) AS extra'] if extra else [])])} WHERE false"


def _listed(paths: Any) -> str:
    return f"[{', '.join(literal(path) for path in paths)}]"
