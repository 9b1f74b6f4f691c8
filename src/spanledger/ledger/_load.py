"""Loading: sealed files into a PostgreSQL server, each once, in a transaction of its own.

A file is there whole or not at all: a load that was killed goes on where it stopped, and loading again loads nothing.
A merged file takes the place of the files that it replaces in the same transaction, so no charge is ever there twice
because of it. Any number of hosts may load into one server at once. Rows go from the file to the server and touch no
other disk: nobody looks for a customer in a copy that a killed load left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from spanledger import _schema
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError
from spanledger.ledger._files import scan
from spanledger.ledger.engines.duckdb import DuckDB, in_force, parquet
from spanledger.ledger.engines.postgres import Postgres, name_of

if TYPE_CHECKING:
    import pyarrow as pa


class Loaded(NamedTuple):
    """What one load did; `there` files had been loaded before."""

    files: int
    charges: int
    there: int


def load(root: Path, address: str) -> Loaded:
    """Loads the sealed files of the ledger at `root` into the server at `address`.

    Raises `LedgerError` in the server's words, or that names a file that cannot be read. What was loaded before stays
    and is not sent again.
    """
    database, server = DuckDB(), Postgres(address)
    there = server.prepare()
    files = [file.path for file in in_force(database, scan(root)).sealed]
    missing = [path for path in files if name_of(path) not in there]
    facts = database.facts(missing)
    taken = []
    for path in missing:
        replaced = [name_of(path.with_name(name)) for name in facts[path].replaces]
        taken.append(server.take(name_of(path), replaced, partial(_as_csv, database, path)))
    fresh = [rows for rows in taken if rows is not None]
    return Loaded(len(fresh), sum(fresh), len(files) - len(fresh))


_BATCH: Final = 2048
"""So many rows are in memory at a time: as many as DuckDB itself works on at once."""


def _as_csv(database: DuckDB, path: Path, number: int) -> Iterator[bytes]:
    """The rows of a sealed file, the number of the file in the last column."""
    import pyarrow as pa

    columns = [f"CAST({_FORMS.get(type(column), str)(column.name)} AS VARCHAR)" for column in COLUMNS]
    rows = f"SELECT {', '.join(columns)}, {number} FROM ({_whole(path)})"
    try:
        yield from map(_lines, database.batches(rows, _BATCH))
    except (OSError, pa.ArrowException) as error:  # in the middle: DuckDB's own errors come as Arrow's then
        msg = f"{path}: cannot be read: {error}"
        raise LedgerError(msg) from error


def _lines(batch: pa.RecordBatch) -> bytes:
    """Text in quotes, so that an empty one is not an unknown one."""
    import pyarrow as pa
    from pyarrow import csv

    lines = pa.BufferOutputStream()
    csv.write_csv(batch, lines, csv.WriteOptions(include_header=False))
    written: bytes = lines.getvalue().to_pybytes()
    return written


def _whole(path: Path) -> str:
    """The rows of a file with every column of a charge, whatever columns it was written with."""
    nothing = ", ".join(f"CAST(NULL AS {column.sql}) AS {column.name}" for column in COLUMNS)
    return f"SELECT {nothing} WHERE false UNION ALL BY NAME SELECT * FROM {parquet([path])}"


def _without_nul(text: str) -> str:
    """PostgreSQL's text has no character of number zero: the sign for what cannot be shown stands for it."""
    return f"replace({text}, chr(0), chr(65533))"


def _as_object(name: str) -> str:
    """A map as JSON, every value as text."""
    entry = f"{{'k': {_without_nul('entry.key')}, 'v': {_without_nul('CAST(entry.value AS VARCHAR)')}}}"
    return f"to_json(map_from_entries(list_transform(map_entries({name}), lambda entry: {entry})))"


def _as_array(name: str) -> str:
    """A list of text as PostgreSQL's own notation has it."""
    escaped = f"""replace(replace({_without_nul("item")}, '\\', '\\\\'), '"', '\\"')"""
    items = f"""list_transform({name}, lambda item: coalesce('"' || {escaped} || '"', 'NULL'))"""
    return f"'{{' || array_to_string({items}, ',') || '}}'"


_FORMS: Final[Mapping[type, Callable[[str], str]]] = {
    _schema.Text: _without_nul,
    _schema.TextList: _as_array,
    **dict.fromkeys((_schema.TextMap, _schema.MoneyMap, _schema.QuantityMap), _as_object),
}
"""How a column is written as PostgreSQL reads it, by kind; the others as they are."""
