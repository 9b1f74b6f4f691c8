"""Loading: sealed files into a PostgreSQL server, each once, in a transaction of its own.

A file is there whole or not at all: a load that was killed goes on where it stopped, and loading again loads nothing.
A merged file takes the place of the files that it replaces in the same transaction, so no charge is ever there twice
because of it. Any number of hosts may load into one server at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanledger import _schema
from spanledger._schema import Column
from spanledger._types import COLUMNS
from spanledger.ledger._files import scan
from spanledger.ledger.engines.duckdb import DuckDB, in_force, literal, parquet
from spanledger.ledger.engines.postgres import CSV_NULL, Postgres, name_of


class Loaded(NamedTuple):
    """What one load did; `there` files had been loaded before."""

    files: int
    charges: int
    there: int


def load(root: Path, address: str) -> Loaded:
    """Loads the sealed files of the ledger at `root` into the server at `address`.

    Raises `LedgerError` in the server's words; what was loaded before stays and is not sent again.
    """
    database, server = DuckDB(), Postgres(address)
    there = server.prepare()
    files = [file.path for file in in_force(database, scan(root)).sealed]
    missing = [path for path in files if name_of(path) not in there]
    facts = database.facts(missing)
    taken = []
    with tempfile.TemporaryDirectory(prefix="spanledger-") as scratch:
        for path in missing:
            replaced = [name_of(path.with_name(name)) for name in facts[path].replaces]
            taken.append(server.take(name_of(path), replaced, _writer(database, path, Path(scratch, "rows.csv"))))
    fresh = [rows for rows in taken if rows is not None]
    return Loaded(len(fresh), sum(fresh), len(files) - len(fresh))


def _writer(database: DuckDB, path: Path, target: Path) -> Callable[[int], Path]:
    """Writes a sealed file as CSV: quoted text, so that an empty one is not an unknown one."""

    def write(number: int) -> Path:
        columns = ", ".join(f"{_as_csv(column)} AS {column.name}" for column in COLUMNS)
        rows = f"SELECT {columns}, {number} AS file FROM ({_whole(path)})"
        form = f"FORMAT csv, HEADER false, NULLSTR {literal(CSV_NULL)}, FORCE_QUOTE ({', '.join(_QUOTED)})"
        database.query(f"COPY ({rows}) TO {literal(target)} ({form})")
        return target

    return write


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
_QUOTED: Final = [column.name for column in COLUMNS if type(column) in _FORMS]


def _as_csv(column: Column[Any]) -> str:
    return _FORMS.get(type(column), str)(column.name)
