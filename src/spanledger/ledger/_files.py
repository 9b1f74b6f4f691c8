"""What stands in a ledger directory: open segments, sealed days, and the bytes of each that can be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from spanledger.errors import LedgerError
from spanledger.ledger._period import Period

OPEN: Final = "open"
SEALED: Final = "charges"
QUARANTINE: Final = "quarantine"
LONGEST_LINE: Final = 8 << 20
"""Bytes of the longest line that is read: a charge has under a kilobyte, so a longer line is none."""


class Sealed(NamedTuple):
    """One Parquet file and the UTC day of its charges."""

    path: Path
    day: date


class Open(NamedTuple):
    """One segment, and the days of it that a sealed file has already: they are read from there."""

    path: Path
    sealed_days: tuple[date, ...] = ()


class Files(NamedTuple):
    """The files of a ledger at one moment."""

    open: tuple[Open, ...]
    sealed: tuple[Sealed, ...]

    def within(self, period: Period) -> Files:
        """Without the days that the period does not touch."""
        since = period.since.date() if period.since else date.min
        until = (period.until - timedelta(microseconds=1)).date() if period.until else date.max
        return self._replace(sealed=tuple(file for file in self.sealed if since <= file.day <= until))


def by_day(sealed: Iterable[Sealed]) -> dict[date, list[Sealed]]:
    """The sealed files of each day."""
    days: dict[date, list[Sealed]] = {}
    for file in sealed:
        days.setdefault(file.day, []).append(file)
    return days


class Lines(NamedTuple):
    """How the lines of one segment read: `torn` is a last line that its process did not finish."""

    charges: int = 0
    corrupt: int = 0
    torn: int = 0
    padding: int = 0


def scan(root: Path) -> Files:
    """The files of the ledger at `root`. Raises `LedgerError` where there is no ledger."""
    if not root.is_dir():
        msg = f"{root}: there is no ledger here; instrument(ledger={str(root)!r}) makes one with the first charge"
        raise LedgerError(msg)
    check_version(root)
    # Segments first: one that is sealed in between stands in both lists, and its days are read once.
    segments = sorted(path for path in root.glob(f"{OPEN}/*.jsonl") if not path.name.startswith("."))
    sealed = [Sealed(path, day_of(path.parent)) for path in sorted(root.glob(f"{SEALED}/date=*/*.parquet"))]
    days: dict[str, list[date]] = {}
    for file in sealed:
        days.setdefault(file.path.stem, []).append(file.day)
    return Files(tuple(Open(path, tuple(days.get(path.stem, ()))) for path in segments), tuple(sealed))


def partition(root: Path, day: date) -> Path:
    """The directory of a day's sealed files."""
    return root / SEALED / f"date={day.isoformat()}"


def sealed_days(root: Path, segment: str) -> set[date]:
    """The days that a segment has a sealed file for."""
    return {day_of(path.parent) for path in root.glob(f"{SEALED}/date=*/{segment}.parquet")}


def check_version(root: Path) -> None:
    """Refuses a directory whose `meta.json` is not a ledger's. A newer version only adds columns, so any is read."""
    try:
        meta = orjson.loads((root / "meta.json").read_bytes())
        int(meta["schema_version"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f'{root / "meta.json"}: does not say a schema_version ({error}); it should be {{"schema_version": 1}}'
        raise LedgerError(msg) from error


def raw_lines(path: Path) -> Iterator[bytes]:
    """Every line of a segment without padding and line ends, the torn last one too. Empty ones are left out."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            if kept := line.strip(b"\0\r\n "):
                yield kept


def lines_of(path: Path) -> Iterator[bytes]:
    """The finished lines of a segment, without padding and without the torn last one. Never loads the whole file."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            if line.endswith(b"\n") and (kept := line.strip(b"\0\r\n ")):
                yield kept


def count_lines(path: Path) -> Lines:
    """How each line of a segment reads."""
    charges = corrupt = 0
    for line in lines_of(path):
        if charge_id_in(line):
            charges += 1
        else:
            corrupt += 1
    tail, padding = _tail(path)
    return Lines(charges, corrupt, int(tail), padding)


def charge_id_in(line: bytes) -> str | None:
    """The id of a charge, where a line is a JSON object that names one and its moment."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("started_at"), str):
        return None
    charge_id = row.get("charge_id")
    return charge_id if isinstance(charge_id, str) and charge_id else None


def rescued(line: bytes) -> bytes | None:
    """The charge behind the remains of a torn one: its writer could not finish, the next one began on the same line."""
    at = line.rfind(b'{"charge_id":')
    return line[at:] if at > 0 and charge_id_in(line[at:]) else None


def is_padded(path: Path) -> bool:
    """Whether a segment ends in zero bytes, as a memory-mapped one does until it is closed."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) == b"\0"


def padding(path: Path) -> int:
    """How many zero bytes a segment ends in."""
    return _tail(path)[1] if is_padded(path) else 0


def _tail(path: Path) -> tuple[bool, int]:
    """Whether the last line is torn, and how many bytes of padding follow it."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position, padding = end, 0
        while position:
            start = max(0, position - 65536)
            file.seek(start)
            block = file.read(position - start)
            kept = block.rstrip(b"\0")
            padding += len(block) - len(kept)
            if kept:
                return not kept.endswith(b"\n"), padding
            position = start
        return False, padding


def day_of(folder: Path) -> date:
    """The day of a partition. Raises `LedgerError` where the directory is none."""
    try:
        return date.fromisoformat(folder.name.removeprefix("date="))
    except ValueError as error:
        msg = f"{folder}: is not date=YYYY-MM-DD; move it out of the ledger"
        raise LedgerError(msg) from error
