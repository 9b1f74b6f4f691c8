"""PostgreSQL: a server that `spanledger load` has brought sealed files to.

Money is `numeric`, which PostgreSQL adds exactly. Maps are `jsonb` with every value as text, so that no reader makes
floats of amounts. Text sorts by its bytes, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger import _schema
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._sql import Dialect
from spanledger.ledger._translate import failing, of_known, retyped

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa
    from sqlglot import exp

_KINDS: Final = {
    _schema.Text: 'text COLLATE "C"',
    _schema.Integer: "bigint",
    _schema.Flag: "boolean",
    _schema.Millis: "double precision",
    _schema.Instant: "timestamp",
    _schema.Money: "numeric(38, 15)",
    _schema.TextList: "text[]",
    **dict.fromkeys((_schema.TextMap, _schema.MoneyMap, _schema.QuantityMap), "jsonb"),
}
_NAMES: Final = ", ".join(column.name for column in COLUMNS)
_TABLES: Final = f"""
CREATE SCHEMA IF NOT EXISTS spanledger;
CREATE TABLE IF NOT EXISTS spanledger.files (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS spanledger.charges ({
    ", ".join(f"{column.name} {_KINDS[type(column)]}" for column in COLUMNS)
}, file integer NOT NULL REFERENCES spanledger.files);
CREATE INDEX IF NOT EXISTS charges_started_at ON spanledger.charges USING brin (started_at);
CREATE INDEX IF NOT EXISTS charges_file ON spanledger.charges USING brin (file);
"""
"""What a server needs. Files come in order of time, so that a few kilobytes of BRIN find a period."""

_COPY: Final = f"COPY spanledger.charges ({_NAMES}, file) FROM STDIN (FORMAT csv)"
_ENTER: Final = "INSERT INTO spanledger.files (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id"
_ALONE: Final = 0x5FA7_1ED6
"""The number of the server's lock under which the tables are made: two that make them at once would both fail."""

_ERROR: Final = "CAST({} || substr(CAST(random() AS text), 1, 0) AS boolean)"
"""No function of PostgreSQL's fails with a message: what is no boolean does. Of a constant it would fail beforehand."""

_PYTHON: Final = (
    (bool, "boolean"),
    (int, "bigint"),
    (float, "double precision"),
    (str, "text"),
    (Decimal, "numeric"),
    (datetime, "timestamp"),
    (date, "date"),
)
"""What a parameter is, the first that fits: a `bool` is an `int` too, and a `datetime` a `date`."""

_MAPS: Final = {column.name: column for column in COLUMNS if _KINDS[type(column)] == "jsonb"}
_PLACES: Final = {_schema.MoneyMap: (38, 15), _schema.QuantityMap: (28, 9)}
_NUMERIC, _JSONB, _TEXTS = 1700, 3802, 1009
_ARROW: Final = {
    16: "bool",
    20: "int64",
    21: "int64",
    23: "int64",
    25: "string",
    701: "double",
    1043: "string",
    1082: "date32",
    1114: "timestamp[us]",
}
"""The Arrow type of each type that answers have, by the number that PostgreSQL gives it."""


class PostgresDialect(Dialect):
    """Maps are JSON, and a function that gives several rows stands beside the table."""

    sqlglot = "postgres"

    def mended(self, tree: exp.Expression) -> exp.Expression:
        """Entries of maps, integers of 128 bits, and names for subqueries, which releases before 16 ask for."""
        from sqlglot import exp

        tree = of_known(retyped(failing(tree, _ERROR, self.sqlglot), {"INT128": "DECIMAL(38, 0)"}, self.sqlglot))
        for entry in list(tree.find_all(exp.Bracket)):
            if isinstance(entry.this, exp.Column) and entry.this.name in _MAPS:
                entry.replace(_entry(entry))
        for first in list(tree.find_all(exp.ArgMin, exp.ArgMax)):
            _replace_first(first)
        for number, query in enumerate(tree.find_all(exp.Subquery)):
            if isinstance(query.parent, exp.From | exp.Join) and not query.alias:
                query.set("alias", exp.TableAlias(this=exp.to_identifier(f"part_{number}")))
        return tree

    def bind(self, value: Any) -> str:
        """A placeholder with its type, which the server else has to guess."""
        placeholder = super().bind(value)
        kind = next((sql for python, sql in _PYTHON if isinstance(value, python)), None)
        return f"CAST({placeholder} AS {kind})" if kind else placeholder

    def lookup(self, column: str, key: str) -> str:
        """The value, or NULL where the object has no such key."""
        return f"({column} ->> {self.bind(key)})"

    def pattern(self, value: str) -> str:
        """A backslash stands for itself."""
        return value.replace("\\", "\\\\")

    def by_unit(self, source: str) -> str:
        """One row for each key of either object."""
        keys = " UNION ".join(f"SELECT jsonb_object_keys(coalesce({name}, '{{}}'))" for name in ("usage", "costs"))
        amounts = (
            "CAST(usage ->> unit AS numeric(28, 9)) AS quantity, CAST(costs ->> unit AS numeric(38, 15)) AS unit_cost"
        )
        return f"(SELECT *, {amounts} FROM {source} CROSS JOIN LATERAL ({keys}) AS keys (unit)) AS by_unit"


class Postgres:
    """A server at `address`, such as `postgresql://finance@db/costs`. Needs `psycopg` 3."""

    def __init__(self, address: str) -> None:
        self.address = address

    def dialect(self) -> Dialect:
        """PostgreSQL's."""
        return PostgresDialect()

    def rows(self, paths: Sequence[Path]) -> str:
        """A SELECT of the rows that came with these files. Raises `LedgerError` where one was not loaded."""
        names = [name_of(path) for path in paths]
        with self._connected() as connection:
            loaded = _loaded(connection)
        if missing := [name for name in names if name not in loaded]:
            msg = f"{missing[0]} and {len(missing) - 1} more sealed files are not at the server: run `spanledger load`"
            raise LedgerError(msg)
        numbers = ", ".join(str(loaded[name]) for name in names)
        return f"SELECT {_NAMES} FROM spanledger.charges WHERE file IN ({numbers})"

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The answer, as Arrow."""
        with self._connected() as connection:
            connection.read_only = True
            answer = connection.execute(sql, params)
            return _table(answer.description or (), answer.fetchall() if answer.description else [])

    def prepare(self) -> Mapping[str, int]:
        """Makes the tables where there are none; returns the names of the files that were loaded."""
        with self._connected() as connection:
            connection.execute("SELECT pg_advisory_xact_lock($1)", [_ALONE])
            for statement in filter(str.strip, _TABLES.split(";")):
                connection.execute(statement)
            return _loaded(connection)

    def take(self, name: str, replaces: Sequence[str], rows: Callable[[int], Iterable[bytes]]) -> int | None:
        """Loads one file and drops those that it replaces, all or nothing; returns the rows, `None` where it was there.

        `rows` gives them as CSV, the number that the file is given in the last column, nothing for what is unknown.
        """
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute(_ENTER, [name])
            number = cursor.fetchone()
            if number is None:  # another process is done with it meanwhile
                return None
            with cursor.copy(_COPY) as copy:
                for lines in rows(number[0]):
                    copy.write(lines)
            count: int = cursor.rowcount
            gone = "SELECT id FROM spanledger.files WHERE name = ANY($1)"
            cursor.execute(f"DELETE FROM spanledger.charges WHERE file IN ({gone})", [list(replaces)])
            cursor.execute("DELETE FROM spanledger.files WHERE name = ANY($1)", [list(replaces)])
            return count

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for one transaction. Raises `LedgerError` with the server's own words."""
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError(error.name or "psycopg", "postgresql") from error
        try:
            with psycopg.connect(self.address, cursor_factory=psycopg.RawCursor) as connection:
                yield connection
        except psycopg.Error as error:
            msg = f"the ledger cannot answer: {error}"
            raise LedgerError(msg) from error


def _replace_first(first: exp.ArgMin | exp.ArgMax) -> None:
    """The first of all values in order, where others have an aggregate for it; each has a filter by now."""
    from sqlglot import exp

    by = exp.Ordered(this=first.expression, desc=isinstance(first, exp.ArgMax), nulls_first=False)
    every = exp.ArrayAgg(this=exp.Order(this=first.this, expressions=[by]))
    chosen = exp.Filter(this=every, expression=first.parent.expression)
    first.parent.replace(exp.Bracket(this=exp.Paren(this=chosen), expressions=[exp.Literal.number(0)]))


def _entry(bracket: exp.Bracket) -> exp.Expression:
    """The value of a key: text, or the amount that it says."""
    from sqlglot import exp

    key = bracket.expressions[0]
    text = exp.Paren(this=exp.JSONExtractScalar(this=bracket.this, expression=key, only_json_types=True))
    places = _PLACES.get(type(_MAPS[bracket.this.name]))
    return exp.cast(text, f"DECIMAL{places}") if places else text


def name_of(path: Path) -> str:
    """What a sealed file is called wherever it goes: `date=DAY/NAME`."""
    return "/".join(path.parts[-2:])


def _loaded(connection: psycopg.Connection[Any]) -> dict[str, int]:
    if not connection.execute("SELECT to_regclass('spanledger.files')").fetchall()[0][0]:
        return {}
    return dict(connection.execute("SELECT name, id FROM spanledger.files").fetchall())


def _table(described: Sequence[psycopg.Column], rows: Sequence[Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    columns = [_array(column, [row[place] for row in rows]) for place, column in enumerate(described)]
    return pa.Table.from_arrays(columns, names=[column.name for column in described])


def _array(column: psycopg.Column, values: list[Any]) -> pa.Array:
    import pyarrow as pa

    if column.type_code == _JSONB and column.name in _MAPS:
        return _map_array(_MAPS[column.name], values)
    if column.type_code == _NUMERIC and column.scale is not None:
        return pa.array(values, pa.decimal128(38, column.scale))
    if column.type_code == _TEXTS:
        return pa.array(values, pa.list_(pa.string()))
    name = _ARROW.get(column.type_code)
    return pa.array(values, pa.type_for_alias(name)) if name else pa.array(values)


def _map_array(column: _schema.Column[Any], values: list[Any]) -> pa.Array:
    import pyarrow as pa

    places = _PLACES.get(type(column))
    kind = pa.decimal128(*places) if places else pa.string()
    read = Decimal if places else str
    entries = [value and [(key, one and read(one)) for key, one in value.items()] for value in values]
    return pa.array(entries, pa.map_(pa.string(), kind))
