"""One file an engine: each runs the same questions and passes the same suite (`tests/ledger/test_engines.py`).

An engine that is not in this process reads the sealed half, which is plain Parquet. To add one: a `Dialect` that writes
what the engine writes differently, and an `Engine` that lists the files and runs a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from spanledger.errors import LedgerError

if TYPE_CHECKING:
    import pyarrow as pa

    from spanledger.ledger._sql import Dialect


class Engine(Protocol):
    """Runs questions over sealed files."""

    def dialect(self) -> Dialect:
        """A new dialect, with no parameters bound yet."""

    def rows(self, paths: Sequence[Path]) -> str:
        """A SELECT of every row of sealed files."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """The rows of a question as an Arrow table. Raises `LedgerError` with the engine's own words."""


ENGINES: Final = {"clickhouse": "ClickHouse", "spark": "Spark"}
"""The engines beside DuckDB, each in the module of its name."""


def engine_of(name: str) -> Engine:
    """The engine of a name. Raises `LedgerError` that names the choices."""
    if name not in ENGINES:
        msg = f"engine: takes duckdb, {', '.join(ENGINES)} or an engine, not {name!r}"
        raise LedgerError(msg)
    found: Engine = getattr(import_module(f"{__name__}.{name}"), ENGINES[name])()
    return found
