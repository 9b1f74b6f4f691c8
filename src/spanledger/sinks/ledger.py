"""Appends charges to a ledger directory: one `write(2)` a charge, to a segment that only this process has open.

No process waits for another and nothing is buffered: when `book` returns, the kernel has the row, and it outlives the
process. Rows end with a newline, so a torn last line shows itself.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import Final

import orjson

from spanledger import _faults, _ids
from spanledger._types import SCHEMA_VERSION, Charge

RETRY_SECONDS: Final = 5.0
"""How long a place that could not be opened is left alone; charges in between are counted as lost."""

_sinks: Final[weakref.WeakSet[LedgerSink]] = weakref.WeakSet()


class LedgerSink:
    """Appends to `path`, a directory that is made at the first charge."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.segment: Path | None = None
        self._fd: int | None = None
        self._failure: OSError | None = None
        self._retry_at = 0.0
        self._opening = threading.Lock()
        _sinks.add(self)

    def book(self, charge: Charge) -> None:
        """Writes one row; a row that cannot be written is counted as lost."""
        line = orjson.dumps(charge.row) + b"\n"
        try:
            fd = self._fd
            written = os.write(self._open() if fd is None else fd, line)
            if written != len(line):
                self._finish_torn(written, line)
        except OSError as error:
            _faults.lose(error)

    def flush(self) -> None:
        """Does nothing: nothing is held back."""

    def close(self) -> None:
        """Closes the segment; the next charge opens a new one."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def forget(self) -> None:
        """In a forked child: the parent's segment is the parent's."""
        self.close()
        self.__init__(self.path)  # type: ignore[misc]  # a child starts as if new, with a lock of its own

    def _open(self) -> int:
        with self._opening:
            if self._fd is not None:
                return self._fd
            now = time.monotonic()
            if self._failure is not None and now < self._retry_at:
                raise self._failure
            self._fd = self._try(now)
            return self._fd

    def _try(self, now: float) -> int:
        try:
            fd = self._create()
        except OSError as error:
            self._failure = error.with_traceback(None)
            self._retry_at = now + RETRY_SECONDS
            raise
        self._failure = None
        return fd

    def _create(self) -> int:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.path / "open"
        folder.mkdir(mode=0o700, exist_ok=True)
        _write_meta(self.path / "meta.json")
        host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64] or "host"
        self.segment = folder / f"{host}-{os.getpid()}-{_ids.uuid7()}.jsonl"
        return os.open(self.segment, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _finish_torn(self, written: int, line: bytes) -> None:
        """A full disk takes part of a row: the rest is tried once, else a newline keeps the next row whole."""
        rest = line[written:]
        if os.write(self._fd or -1, rest) != len(rest):
            msg = f"{self.path} took only a part of a row: is the disk full?"
            raise OSError(msg)


def _write_meta(path: Path) -> None:
    """Writes the schema version beside and renames it, so that no reader sees half a file."""
    if path.exists():
        return
    beside = path.with_name(f".meta-{_ids.uuid7()}")
    beside.write_bytes(orjson.dumps({"schema_version": SCHEMA_VERSION, "writer": "spanledger"}) + b"\n")
    beside.replace(path)


def _after_fork() -> None:
    for sink in list(_sinks):
        sink.forget()


os.register_at_fork(after_in_child=_after_fork)
