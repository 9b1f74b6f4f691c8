"""Apache Spark over sealed files: the session that is active, or one of its own on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger import _schema
from spanledger._types import COLUMNS
from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._sql import Dialect
from spanledger.ledger._translate import failing, of_known, retyped

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

_KINDS: Final = {
    _schema.Text: "STRING",
    _schema.Integer: "BIGINT",
    _schema.Flag: "BOOLEAN",
    _schema.Millis: "DOUBLE",
    _schema.Instant: "TIMESTAMP_NTZ",
    _schema.Money: "DECIMAL(38, 15)",
    _schema.TextMap: "MAP<STRING, STRING>",
    _schema.MoneyMap: "MAP<STRING, DECIMAL(38, 15)>",
    _schema.QuantityMap: "MAP<STRING, DECIMAL(28, 9)>",
    _schema.TextList: "ARRAY<STRING>",
}
_MILLIS: Final = [column.name for column in COLUMNS if isinstance(column, _schema.Millis)]
_EVERY: Final = [
    f"CAST({column.name} AS DOUBLE) AS {column.name}" if column.name in _MILLIS else column.name for column in COLUMNS
]
_LOSS: Final = "spark.sql.decimalOperations.allowPrecisionLoss"


class SparkDialect(Dialect):
    """Names in backticks, parameters by name, and no integer of 128 bits."""

    sqlglot = "spark"

    def mended(self, tree: exp.Expression) -> exp.Expression:
        """An exact decimal where DuckDB has 128 bits."""
        tree = failing(tree, "CAST(raise_error({}) AS BOOLEAN)", self.sqlglot)
        return of_known(retyped(tree, {"INT128": "DECIMAL(38, 0)"}, self.sqlglot))

    def bind(self, value: Any) -> str:
        """A named placeholder."""
        self.params.append(value)
        return f":p{len(self.params)}"

    def name(self, identifier: str) -> str:
        """An identifier, in backticks."""
        return f"`{identifier.replace('`', '``')}`"

    def pattern(self, value: str) -> str:
        """A backslash stands for itself."""
        return value.replace("\\", "\\\\")

    def truncated(self, column: str, part: str) -> str:
        """The instant cut to its period."""
        return f"CAST(date_trunc('{part}', {column}) AS {'TIMESTAMP_NTZ' if part == 'hour' else 'DATE'})"

    def by_unit(self, source: str) -> str:
        """One row for each key of either map; `explode` is what others call unnest."""
        keys = ", ".join(f"coalesce(map_keys({column}), array())" for column in ("usage", "costs"))
        inner = f"SELECT *, explode(array_distinct(concat({keys}))) AS unit FROM {source}"
        return f"(SELECT *, usage[unit] AS quantity, costs[unit] AS unit_cost FROM ({inner}) AS units) AS by_unit"


class Spark:
    """Needs `pyspark` 4 and Java.

    `session` is a `SparkSession` in UTC, or the address of a master such as `spark://host:7077`; by default the session
    that is active, or one on this machine.
    """

    def __init__(self, session: Any = None) -> None:
        self._master = session if isinstance(session, str) else None
        self._session = None if self._master else session

    def dialect(self) -> Dialect:
        """Spark's."""
        return SparkDialect()

    def rows(self, paths: Sequence[Path]) -> str:
        """A SELECT over a temporary view of the files, as Spark itself reads Parquet."""
        parts = [
            self.session.read.schema(_as_stored(decimals)).parquet(*map(str, files)).selectExpr(*_EVERY)
            for decimals, files in _by_decimals(paths).items()
        ]
        reduce(lambda one, other: one.unionAll(other), parts).createOrReplaceTempView("sealed_charges")
        return "SELECT * FROM sealed_charges"

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The answer, as Arrow."""
        named = {f"p{place}": value for place, value in enumerate(params, 1)}
        try:
            with _without_loss(self.session):
                answer: pa.Table = self.session.sql(sql, args=named).toArrow()
        except Exception as error:
            msg = f"the ledger cannot answer: {error}"
            raise LedgerError(msg) from error
        return answer

    @property
    def session(self) -> Any:
        """The session, made on the first question where there is none."""
        if self._session is None:
            try:
                from pyspark.sql import SparkSession
            except ImportError as error:
                raise MissingExtraError(error.name or "pyspark", "spark") from error
            builder = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").appName("spanledger")
            self._session = (builder.master(self._master) if self._master else builder).getOrCreate()
        return self._session


def _as_stored(decimals: frozenset[str]) -> str:
    """The columns of a charge, whatever columns and widths a file has, of which these are decimals."""
    kinds = {**{column.name: _KINDS[type(column)] for column in COLUMNS}, **dict.fromkeys(decimals, "DECIMAL(18, 3)")}
    return ", ".join(f"{name} {kind}" for name, kind in kinds.items())


def _by_decimals(paths: Sequence[Path]) -> Mapping[frozenset[str], list[Path]]:
    """The files by which durations are decimals in them: Spark takes no decimal for a float, nor the reverse."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[frozenset[str], list[Path]] = {}
    for path in paths:
        fields = {field.name: field.type for field in pq.read_schema(path)}
        decimals = frozenset(name for name in _MILLIS if name in fields and pa.types.is_decimal(fields[name]))
        found.setdefault(decimals, []).append(path)
    return found


@contextmanager
def _without_loss(session: Any) -> Iterator[None]:
    """Products of amounts keep all of their places: Spark rounds them in silence where their digits might not do."""
    before = session.conf.get(_LOSS)
    session.conf.set(_LOSS, "false")
    try:
        yield
    finally:
        session.conf.set(_LOSS, before)
