"""Apache Spark over sealed files: the session that is active, or one of its own on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanledger.errors import LedgerError, MissingExtraError
from spanledger.ledger._sql import Dialect

if TYPE_CHECKING:
    import pyarrow as pa


class SparkDialect(Dialect):
    """Names in backticks, parameters by name."""

    def bind(self, value: Any) -> str:
        """A named placeholder."""
        self.params.append(value)
        return f":p{len(self.params)}"

    def name(self, identifier: str) -> str:
        """An identifier, in backticks."""
        return f"`{identifier.replace('`', '``')}`"

    def truncated(self, column: str, part: str) -> str:
        """The instant cut to its period."""
        return f"CAST(date_trunc('{part}', {column}) AS {'TIMESTAMP_NTZ' if part == 'hour' else 'DATE'})"


class Spark:
    """Needs `pyspark` 4 and Java. `session` is a `SparkSession` in UTC, by default the active one."""

    def __init__(self, session: Any = None) -> None:
        self._session = session

    def dialect(self) -> Dialect:
        """Spark's."""
        return SparkDialect()

    def rows(self, paths: Sequence[Path]) -> str:
        """A SELECT over a temporary view of the files, as Spark itself reads Parquet."""
        self.session.read.option("mergeSchema", "true").parquet(*map(str, paths)).createOrReplaceTempView(
            "sealed_charges"
        )
        return "SELECT * FROM sealed_charges"

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The answer, as Arrow."""
        named = {f"p{place}": value for place, value in enumerate(params, 1)}
        try:
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
            builder = SparkSession.builder.config("spark.sql.session.timeZone", "UTC")
            self._session = builder.appName("spanledger").getOrCreate()
        return self._session
