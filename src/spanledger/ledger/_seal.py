"""Sealing: closed segments become Parquet, a file for each segment and day.

The order is what makes a crash harmless. A file is written in the workspace, synced and renamed: from then on
readers take that day from it and skip the day in the segment. When every day of the segment has its file, and what was
no charge is in quarantine, the segment goes. Whoever comes after a crash finds either name and goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from spanledger.ledger import _parquet
from spanledger.ledger._files import (
    QUARANTINE,
    charge_id_in,
    is_padded,
    partition,
    raw_lines,
    rescued,
    scan,
    sealed_days,
)
from spanledger.ledger._locks import held, sync
from spanledger.ledger._workspace import workspace
from spanledger.ledger.engines.duckdb import DuckDB


class Sealing(NamedTuple):
    """What one round of sealing did. `in_use` segments belong to a living process and wait."""

    segments: int = 0
    charges: int = 0
    quarantined: int = 0
    in_use: int = 0

    def plus(self, other: Sealing) -> Sealing:
        """Both together."""
        return Sealing(*(one + two for one, two in zip(self, other, strict=True)))


def seal(root: Path, segments: Iterable[Path] | None = None) -> Sealing:
    """Seals every segment of the ledger at `root` that no process holds. Several may do so at once.

    Raises `LedgerError` where a segment does not come out whole; it is left as it is.
    """
    paths = [segment.path for segment in scan(root).open] if segments is None else list(segments)
    if not paths:
        return Sealing()
    done = Sealing()
    with workspace(root) as scratch:
        database = DuckDB(threads=1, spill=scratch)
        for path in paths:
            with held(path) as mine:
                done = done.plus(_one(database, root, path, scratch) if mine else Sealing(in_use=path.exists()))
    return done


def _one(database: DuckDB, root: Path, path: Path, scratch: Path) -> Sealing:
    good, bad = _loaded(database, path, scratch)
    for day in _parquet.loaded_days(database):
        if day not in sealed_days(root, path.stem):
            _day(database, root, path.stem, day, scratch)
    if bad:
        quarantine(root, path.stem, bad, scratch)
    path.unlink()
    sync(path.parent)
    return Sealing(1, good, len(bad))


def _loaded(database: DuckDB, path: Path, scratch: Path) -> tuple[int, list[bytes]]:
    """Loads a segment; says how many lines are charges, and which are none. Only one that has such is copied first."""
    good, bad = sorted_lines(path)
    source = path
    if bad or is_padded(path):
        write(source := scratch / path.name, good)
    read = _parquet.load(database, source)
    if source != path:
        source.unlink()
    if read == len(good):
        return read, bad
    known = _parquet.loaded_ids(database)
    refused = [line for line in good if charge_id_in(line) not in known]
    return len(good) - len(refused), bad + refused


def sorted_lines(path: Path) -> tuple[list[bytes], list[bytes]]:
    """The charges of a segment, also those behind the remains of a torn one on the same line, and what is none."""
    good, bad = [], []
    for line in raw_lines(path):
        if charge_id_in(line):
            good.append(line)
        elif found := rescued(line):
            bad.append(line[: -len(found)])
            good.append(found)
        else:
            bad.append(line)
    return good, bad


def write(path: Path, lines: Iterable[bytes]) -> None:
    """Writes lines to a new file, for its owner only."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.writelines(line + b"\n" for line in lines)


def _day(database: DuckDB, root: Path, name: str, day: date, scratch: Path) -> None:
    folder = partition(root, day)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    _parquet.write_day(database, day, beside := scratch / f"{name}.parquet")
    publish(beside, folder / f"{name}.parquet")


def publish(beside: Path, path: Path) -> None:
    """Gives a finished file its name, such that after a power failure it is there whole or not at all."""
    beside.chmod(0o600)
    sync(beside)
    beside.rename(path)
    sync(path.parent)
    sync(path.parent.parent)


def quarantine(root: Path, name: str, lines: Iterable[bytes], scratch: Path) -> None:
    """Keeps lines that count for nothing, where they can be looked at."""
    folder = root / QUARANTINE
    folder.mkdir(mode=0o700, exist_ok=True)
    write(beside := scratch / f"{name}.quarantine", lines)
    publish(beside, folder / f"{name}.jsonl")
