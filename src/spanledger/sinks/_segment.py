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

MOUNTS: Final = Path("/proc/self/mountinfo")
GONE: Final = (errno.ENOENT, errno.ESTALE)
REMOTE: Final = ("nfs", "nfs4", "cifs", "smb3")
"""File systems that say late what happened to a row, or to the file that it is in."""


class Segment:
    """Holds the file open and locked for as long as anything refers to it: closing is what lets a sealer have it.

    A thread that is in the middle of a write refers to it, so a descriptor is never closed, and its number never given
    to a file of the application's, under a write.
    """

    __slots__ = ("_file", "fd", "is_remote", "look_at", "missed", "opened_at", "path", "refusal", "rows", "rows_seen")

    def __init__(self, ledger: Path) -> None:
        self.fd = -1
        self.path = _name(ledger)
        self.rows = 0
        self.rows_seen = self.missed = 0
        self.refusal: OSError | None = None
        self.opened_at = time.monotonic()
        self.look_at = self.opened_at + 1
        self.fd = _create(self.path)
        self._file = os.fstat(self.fd)
        self.is_remote = _type_of(self._file.st_dev) in REMOTE

    def close(self) -> None:
        """Lets go now. Only where no other thread can be writing: in a forked child."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with suppress(OSError):
            self.close()

    def settle(self) -> None:
        """Raises `OSError` where the place refused a row that it took.

        A network file system takes a row in `write(2)` and may refuse it later. It says so where a descriptor of the
        file is closed, any of them. On a disk of this machine nothing happens at such a close.
        """
        rows = self.rows
        os.close(os.dup(self.fd))
        self.rows_seen = rows

    def newly_missing(self) -> int:
        """How many rows are not in the file, less those that this said before."""
        with suppress(OSError):
            os.close(os.dup(self.fd))
        new = max(0, self.missing - self.missed)
        self.missed += new
        return new

    @property
    def missing(self) -> int:
        """How many rows are not in the file; where it is gone, all `in_doubt`. Raises `OSError` if it is unreadable."""
        try:
            with self.path.open("rb") as file:
                return max(0, self.rows - sum(map(_is_whole, file)))
        except OSError as error:
            if error.errno not in GONE:
                raise
            return self.in_doubt

    @property
    def in_doubt(self) -> int:
        """The rows since the place was last known to have all."""
        return self.rows - self.rows_seen

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self.fd).st_size

    def remove_if_empty(self) -> None:
        """Removes the file of a segment that got no row at all."""
        with suppress(OSError):
            if not self.path.stat().st_size:
                self.path.unlink()

    @property
    def lost(self) -> int | None:
        """How many rows of this segment are in no file of the ledger, or `None` while it is fit to be written to.

        A removed file takes what was written since the last look. A descriptor that the application closed, as daemons
        close all, may have the number of another file by now: it is never closed again here. Raises `OSError` where the
        place does not answer.
        """
        try:
            now = os.fstat(self.fd)
        except OSError as error:
            return self._lost_by(error)
        if not os.path.samestat(now, self._file):
            return self._disowned()
        return None if now.st_nlink and self._is_there else self.in_doubt

    def _lost_by(self, error: OSError) -> int:
        if error.errno not in (errno.EBADF, errno.ESTALE):
            raise error
        return self._disowned() if error.errno == errno.EBADF else self.in_doubt

    @property
    def _is_there(self) -> bool:
        """A network file system knows for long what was; where a directory or a file is opened, it asks its server."""
        if not self.is_remote:
            return True
        try:
            for place in (self.path.parent, self.path):
                os.close(os.open(place, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return error.errno not in GONE
        return True

    def _disowned(self) -> int:
        self.fd = -1
        return self.missing

    @property
    def free(self) -> int:
        """The bytes that this user may still write to the file system."""
        state = os.fstatvfs(self.fd)
        return state.f_bavail * state.f_frsize


def _type_of(device: int) -> str:
    """The type of the file system of a device number, where this system tells."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        fields = [line.split() for line in MOUNTS.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return next((found[found.index("-") + 1] for found in fields if found[2] == number), "")


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


def _is_whole(line: bytes) -> bool:
    """Whether readers find a row in a line. What was refused before it may read as zero bytes."""
    row = line.strip(b"\0")
    return row.startswith(b"{") and row.endswith(b"}\n") and b"\0" not in row


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
