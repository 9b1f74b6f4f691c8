"""What stands in a ledger directory: open segments, sealed days, and the bytes of each that can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from spanledger.errors import LedgerError
from spanledger.ledger._period import Period

OPEN: Final = "open"
SEALED: Final = "charges"
LONGEST_LINE: Final = 8 << 20
"""Bytes of the longest line that is read: a charge has under a kilobyte, so a longer line is none."""


class Sealed(NamedTuple):
    """One Parquet file and the UTC day of its charges."""

    path: Path
    day: date


class Files(NamedTuple):
    """The files of a ledger at one moment."""

    open: tuple[Path, ...]
    sealed: tuple[Sealed, ...]

    def within(self, period: Period) -> Files:
        """Without the days that the period does not touch."""
        since = period.since.date() if period.since else date.min
        until = period.until.date() if period.until else date.max
        return self._replace(sealed=tuple(file for file in self.sealed if since <= file.day <= until))


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
    sealed = sorted(root.glob(f"{SEALED}/date=*/*.parquet"))
    done = {path.stem for path in sealed}
    segments = sorted(path for path in root.glob(f"{OPEN}/*.jsonl") if path.stem not in done)
    return Files(tuple(segments), tuple(Sealed(path, _day(path)) for path in sealed))


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
        if is_charge(line):
            charges += 1
        else:
            corrupt += 1
    tail, padding = _tail(path)
    return Lines(charges, corrupt, int(tail), padding)


def is_charge(line: bytes) -> bool:
    """Whether a line is a JSON object that names a charge and its moment."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(row, dict) and isinstance(row.get("charge_id"), str) and isinstance(row.get("started_at"), str)


def is_padded(path: Path) -> bool:
    """Whether a segment ends in zero bytes, as a memory-mapped one does until it is closed."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) == b"\0"


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


def _day(path: Path) -> date:
    try:
        return date.fromisoformat(path.parent.name.removeprefix("date="))
    except ValueError as error:
        msg = f"{path.parent}: is not date=YYYY-MM-DD; move it out of the ledger"
        raise LedgerError(msg) from error
