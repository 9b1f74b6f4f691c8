"""Room for what outgrows memory: on disk only in the ledger itself, where what a kill leaves is found and erased.

A question is asked in memory first. It never writes where that is enough, so a ledger that only may be read answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from spanledger.errors import LedgerError
from spanledger.ledger._workspace import workspace
from spanledger.ledger.engines.duckdb import DuckDB, is_out_of_memory

T = TypeVar("T")


def with_room(root: Path, database: DuckDB, ask: Callable[[], T]) -> T:
    """What `ask` answers by `database`; where memory is not enough, it is asked again with room on disk.

    Raises `LedgerError` where the ledger at `root` cannot be written then, with what to do.
    """
    try:
        return ask()
    except LedgerError as error:
        if not is_out_of_memory(error):
            raise
        with _room(root, error) as folder, database.spilling(folder):
            return ask()


@contextmanager
def _room(root: Path, error: LedgerError) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(workspace(root))
        except OSError as refused:
            told = f"it would go on on disk in {root}, which cannot be written ({refused})"
            msg = f"{error}\n{told}: give the ledger more `memory`, or ask where it may be written"
            raise LedgerError(msg) from error
        yield folder
