"""Merging the sealed files of a day into one, each charge once.

The merged file says in its footer which files it stands for, and readers leave those out; then they go. A file whose
segment still stands is not merged: the segment's days are told by the names of its sealed files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Final

from spanledger._ids import uuid7
from spanledger.ledger import _parquet
from spanledger.ledger._damage import named
from spanledger.ledger._files import OPEN, SEALED, day_of
from spanledger.ledger._locks import held, sync
from spanledger.ledger._rolled import PREFIX
from spanledger.ledger._seal import publish
from spanledger.ledger._workspace import workspace
from spanledger.ledger.engines.duckdb import DuckDB

DAY: Final = "day-"
"""What the name of a merged file begins with."""

MANY: Final = 16
"""This many files of a day that is not over are merged; of a day that is over, any two."""


def compact(root: Path, today: date | None = None) -> int:
    """Merges the days of the ledger at `root` that have many files. Returns how many files are gone."""
    today = today or datetime.now(timezone.utc).date()
    gone = 0
    with workspace(root) as scratch:
        database = DuckDB(spill=scratch)
        for folder in sorted(root.glob(f"{SEALED}/date=*")):
            with held(folder) as mine:
                gone += _merge(database, root, folder, scratch, 2 if day_of(folder) < today else MANY) if mine else 0
    return gone


def _merge(database: DuckDB, root: Path, folder: Path, scratch: Path, at_least: int) -> int:
    gone = finish(database, folder)
    files = [path for path in sorted(folder.glob("*.parquet")) if _may_be_merged(root, path)]
    if len(files) < at_least:
        return gone
    beside = scratch / "merged.parquet"
    with named(database, files):
        _parquet.write_merged(database, files, beside, standing(database, files))
    publish(beside, folder / f"{DAY}{uuid7()}.parquet")
    return gone + finish(database, folder)


def _may_be_merged(root: Path, path: Path) -> bool:
    """Not the sums of a rolled-up day: charges that came late stay beside them until they are rolled up too."""
    return not path.name.startswith(PREFIX) and not (root / OPEN / f"{path.stem}.jsonl").exists()


def standing(database: DuckDB, files: Sequence[Path]) -> list[str]:
    """The names that a file in the place of `files` stands for: theirs, and those that they stand for already.

    A copy of the ledger elsewhere may have any of them still, and neither may count it again nor keep what it names.
    """
    facts = database.facts(files)
    return list(dict.fromkeys(name for path in files for name in (path.name, *facts[path].replaces)))


def finish(database: DuckDB, folder: Path) -> int:
    """Removes what a merged file stands for."""
    present = sorted(folder.glob("*.parquet"))
    replaced = {name for facts in database.facts(present).values() for name in facts.replaces}
    old = [path for path in present if path.name in replaced]
    for path in old:
        path.unlink()
    if old:
        sync(folder)
    return len(old)
