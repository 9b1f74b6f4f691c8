"""Which file it is that cannot be read: engines say what is wrong with one, and often not with which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spanledger.errors import LedgerError
from spanledger.ledger._files import Files, Sealed, day_of
from spanledger.ledger.engines.duckdb import DuckDB, every_row, parquet


@contextmanager
def named(database: DuckDB, paths: Sequence[Path]) -> Iterator[None]:
    """Turns what an engine raises in a block that works on sealed files into a `LedgerError` that names the file."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (LedgerError, duckdb.Error, pa.ArrowException) as error:
        raise blamed(database, error, paths) from error


def blamed(database: DuckDB, error: Exception, paths: Sequence[Path]) -> LedgerError:
    """The error with the name of the file that is damaged, if one is."""
    if not any(path.name in str(error) for path in paths):
        for path in paths:
            if found := trouble(database, path):
                return LedgerError(f"{path}: cannot be read: {found}")
    return error if isinstance(error, LedgerError) else LedgerError(str(error))


def is_nameless(error: LedgerError) -> bool:
    """Whether an engine met something that it has no word for, as it does in a damaged file."""
    import duckdb

    return type(error.__cause__) is duckdb.Error


def trouble(database: DuckDB, path: Path) -> str | None:
    """Reads every value of a sealed file, and says what the engine said where it could not."""
    try:
        database.rows(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {parquet([path])}")
        database.rows(f"{every_row(Files((), (Sealed(path, day_of(path.parent)),)))} LIMIT 0")
        database.facts([path])
    except LedgerError as error:
        return str(error)
    return None
