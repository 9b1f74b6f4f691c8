"""One segment: a file that this process alone appends to, and that others may seal once it lets go of it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from spanledger import _ids
from spanledger._types import SCHEMA_VERSION

OPEN: Final = "open"


class Segment:
    """Holds the file open and locked for as long as anything refers to it: closing is what lets a sealer have it.

    A thread that is in the middle of a write refers to it, so a descriptor is never closed, and its number never given
    to a file of the application's, under a write.
    """

    __slots__ = ("_file", "fd", "look_at", "opened_at", "path", "rows", "rows_seen")

    def __init__(self, ledger: Path) -> None:
        self.fd = -1
        self.path = _name(ledger)
        self.rows = 0
        self.rows_seen = 0
        self.opened_at = time.monotonic()
        self.look_at = self.opened_at + 1
        self.fd = _create(self.path)
        self._file = os.fstat(self.fd)

    def close(self) -> None:
        """Lets go now. Only where no other thread can be writing: in a forked child."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with suppress(OSError):
            self.close()

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self.fd).st_size

    @property
    def lost(self) -> int | None:
        """How many rows of this segment are in no file of the ledger, or `None` while it is fit to be written to.

        A removed file takes what was written since the last look. A descriptor that the application closed, as daemons
        close all, may have the number of another file by now: it is never closed again here.
        """
        try:
            now = os.fstat(self.fd)
        except OSError as error:
            return self._disowned() if error.errno == errno.EBADF else self.rows - self.rows_seen
        if not os.path.samestat(now, self._file):
            return self._disowned()
        return None if now.st_nlink else self.rows - self.rows_seen

    def _disowned(self) -> int:
        self.fd = -1
        try:
            with self.path.open("rb") as file:
                return self.rows - sum(1 for line in file if line.endswith(b"\n"))
        except OSError:
            return self.rows - self.rows_seen

    @property
    def free(self) -> int:
        """The bytes that this user may still write to the file system."""
        state = os.fstatvfs(self.fd)
        return state.f_bavail * state.f_frsize


def prepare(ledger: Path) -> None:
    """Makes the directory of a ledger, for its owner only, where there is none."""
    (ledger / OPEN).mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger.chmod(0o700)
    meta = ledger / "meta.json"
    if meta.exists():
        return
    beside = meta.with_name(f".meta-{_ids.uuid7()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps({"schema_version": SCHEMA_VERSION, "writer": "spanledger"}) + b"\n")
    beside.replace(meta)


def _name(ledger: Path) -> Path:
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64] or "host"
    return ledger / OPEN / f"{host}-{os.getpid()}-{_ids.uuid7()}.jsonl"


def _create(path: Path) -> int:
    """Locks the file before it has the name that sealers look for, so that none takes it for an abandoned one."""
    hidden = path.with_name(f".{path.stem}.new")
    fd = os.open(hidden, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: sealers go by age there
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(path)
    except OSError:
        os.close(fd)
        raise
    return fd
