"""One file an engine: each runs the same questions and passes the same suite (`tests/ledger/engines`).

An engine that is not in this process reads the sealed half, which is plain Parquet. To add one: a `Dialect` that writes
what the engine writes differently, and an `Engine` that lists the files and runs a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

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


class Place(NamedTuple):
    """Where an engine lives; `address` says that it has one, `name://...`: it must, it may, or it must not."""

    module: str
    name: str
    address: bool | None = False


ENGINES: Final = {
    "clickhouse": Place("clickhouse", "ClickHouse"),
    "spark": Place("spark", "Spark", address=None),
    "postgresql": Place("postgres", "Postgres", address=True),
}
"""The engines beside DuckDB."""


def engine_of(name: str) -> Engine:
    """The engine of a name or an address. Raises `LedgerError` that names the choices."""
    scheme, is_address, _ = name.partition("://")
    place = ENGINES.get(scheme)
    if place is None or place.address not in (None, bool(is_address)):
        msg = f"engine: takes duckdb, {', '.join(map(_form, ENGINES))} or an engine, not {name!r}"
        raise LedgerError(msg)
    made = getattr(import_module(f"{__name__}.{place.module}"), place.name)
    found: Engine = made(name) if is_address else made()
    return found


def _form(name: str) -> str:
    return {True: f"{name}://...", None: f"{name}, {name}://...", False: name}[ENGINES[name].address]
