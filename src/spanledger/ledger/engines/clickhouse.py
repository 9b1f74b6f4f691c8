"""ClickHouse SQL over sealed files, by `chdb`: the engine itself, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger import _schema
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._sql import Dialect
from spanledger.ledger._translate import failing, retyped

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

_TYPES: Final = (
    (bool, "Bool"),
    (int, "Int64"),
    (float, "Float64"),
    (str, "String"),
    (Decimal, "Decimal(38, 15)"),
    (datetime, "DateTime64(6)"),
    (date, "Date32"),
)
"""What a parameter is, the first that fits: a `bool` is an `int` too, and a `datetime` a `date`."""

_SETTINGS: Final = {
    "join_use_nulls": 1,  # what a join does not find is not known
    "output_format_arrow_string_as_string": 1,
    "prefer_column_name_to_alias": 1,  # a name means the column, as everywhere else
    "session_timezone": "'UTC'",
}
_KINDS: Final = {
    _schema.Text: "Nullable(String)",
    _schema.Integer: "Nullable(Int64)",
    _schema.Flag: "Nullable(Bool)",
    _schema.Millis: "Nullable(Float64)",
    _schema.Instant: "Nullable(DateTime64(6))",
    _schema.Money: "Nullable(Decimal(38, 15))",
    _schema.TextMap: "Map(String, Nullable(String))",
    _schema.MoneyMap: "Map(String, Nullable(Decimal(38, 15)))",
    _schema.QuantityMap: "Map(String, Nullable(Decimal(28, 9)))",
    _schema.TextList: "Array(Nullable(String))",
}


def _quoted(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_NAMES: Final = ", ".join(column.name for column in COLUMNS)
_STRUCTURE: Final = _quoted(", ".join(f"{column.name} {_KINDS[type(column)]}" for column in COLUMNS))


_RETYPED: Final = {
    "INT128": "Nullable(Decimal(38, 0))",
    "DATE": "Nullable(Date32)",
    "TIMESTAMPNTZ": "Nullable(DateTime64(6))",
}
_ERROR: Final = "throwIf(materialize(1), {})"
"""Of a constant it would fail before it is known whether any row comes to it."""


class ClickHouseDialect(Dialect):
    """Parameters have types, what may be NULL says so, and a map has no NULL for a missing key."""

    sqlglot = "clickhouse"

    def mended(self, tree: exp.Expression) -> exp.Expression:
        """Moments have microseconds, and the quotient of whole numbers needs no float."""
        from sqlglot import exp

        for quotient in list(tree.find_all(exp.IntDiv)):
            quotient.replace(exp.func("intDiv", quotient.this, quotient.expression, dialect="clickhouse"))
        return failing(retyped(tree, _RETYPED, "clickhouse"), _ERROR, self.sqlglot)

    def bind(self, value: Any) -> str:
        """A placeholder with its type."""
        self.params.append(value)
        kind = next((sql for python, sql in _TYPES if isinstance(value, python)), None)
        if kind is None:
            msg = f"ClickHouse takes no {type(value).__name__} as a parameter"
            raise LedgerError(msg)
        return f"{{p{len(self.params)}:{kind}}}"

    def pattern(self, value: str) -> str:
        """A backslash stands for itself."""
        return value.replace("\\", "\\\\")

    def lookup(self, column: str, key: str) -> str:
        """The value, or NULL where the map has no such key."""
        bound = self.bind(key)
        return f"if(mapContains({column}, {bound}), {column}[{bound}], NULL)"

    def truncated(self, column: str, part: str) -> str:
        """The instant cut to its period."""
        cut = f"date_trunc('{part}', {column})"
        return f"CAST({cut} AS DateTime64(6))" if part == "hour" else f"toDate32({cut})"

    def count(self, expression: str) -> str:
        """A whole number, or NULL."""
        return f"CAST({expression} AS Nullable(Int64))"

    def money(self, expression: str) -> str:
        """An exact amount, or NULL."""
        return f"CAST({expression} AS Nullable(Decimal(38, 15)))"

    def by_unit(self, source: str) -> str:
        """One row for each key of either map; `arrayJoin` is what others call unnest."""
        inner = f"SELECT *, arrayJoin(arrayDistinct(arrayConcat(mapKeys(usage), mapKeys(costs)))) AS unit FROM {source}"
        amounts = (f"if(mapContains({column}, unit), {column}[unit], NULL)" for column in ("usage", "costs"))
        quantity, unit_cost = amounts
        return f"(SELECT *, {quantity} AS quantity, {unit_cost} AS unit_cost FROM ({inner}) AS units) AS by_unit"

    def quantity(self, expression: str) -> str:
        """An exact quantity, or NULL."""
        return f"CAST({expression} AS Nullable(Decimal(38, 9)))"


class ClickHouse:
    """Needs the library `chdb`."""

    def dialect(self) -> Dialect:
        """ClickHouse's."""
        return ClickHouseDialect()

    def rows(self, paths: Sequence[Path]) -> str:
        """A SELECT over the `file` table function, in the columns and types of a charge whatever a file has."""
        return " UNION ALL ".join(
            f"SELECT {_NAMES} FROM file({_quoted(path)}, Parquet, {_STRUCTURE})" for path in paths
        )

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The answer, as Arrow."""
        try:
            import chdb
        except ImportError as error:
            raise MissingExtraError(error.name or "chdb", "clickhouse") from error
        named = {f"p{place}": _text(value) for place, value in enumerate(params, 1)}
        settings = f"SETTINGS {', '.join(f'{name} = {value}' for name, value in _SETTINGS.items())}"
        try:
            answer: pa.Table = chdb.query(f"{sql} {settings}", "ArrowTable", params=named)
        except Exception as error:
            msg = f"the ledger cannot answer: {error}"
            raise LedgerError(msg) from error
        return answer


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", timespec="microseconds")
    if isinstance(value, str):  # is read with escapes
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return str(value).lower() if isinstance(value, bool) else str(value)
