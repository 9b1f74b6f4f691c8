"""Who may touch a file of the ledger: the lock that a living writer or another sealer holds, and how old it is."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

ABANDONED_SECONDS: Final = 2 * 3600
"""Where a file system has no locks, a segment of this age is nobody's: its writer leaves it after half of that."""

MOST_HELD: Final = 500
"""A process has a thousand descriptors by default."""

LOCK: Final = ".lock"
"""The file in a directory that is locked for it: NFS locks a file for all machines, a directory for one."""

_BORN: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Holds the lock of a file or directory; false where somebody else has it, or it is gone. Never waits."""
    try:
        fd, locked = opened(path)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(fd, path) and is_still(fd, locked)
    finally:
        os.close(fd)


def opened(path: Path) -> tuple[int, Path]:
    """A descriptor that can lock a file or directory, and what it is of. Raises `OSError`.

    NFS gives a lock of its own only to those who may write. Who may not, locks on this machine.
    """
    locked, made = (path / LOCK, os.O_CREAT) if path.is_dir() else (path, 0)
    try:
        return os.open(locked, os.O_RDWR | os.O_CLOEXEC | made, 0o600), locked
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC), path


@contextmanager
def all_held(paths: Iterable[Path]) -> Iterator[None]:
    """Holds the locks of those that nobody has, of the first `MOST_HELD`: none of them is sealed for so long."""
    with ExitStack() as stack:
        for path in islice(paths, MOST_HELD):
            stack.enter_context(held(path))
        yield


def _lock(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES) and is_abandoned(path)
    return True


def is_still(fd: int, path: Path) -> bool:
    """Whether the name still means the file that was locked: another sealer may have finished it in between."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def is_abandoned(path: Path) -> bool:
    """Whether a segment is so old, by its name and its last write, that no writer has it any more."""
    born = _BORN.search(path.stem)
    seconds = int(born[1] + born[2], 16) / 1000 if born else time.time()
    return time.time() - max(seconds, path.stat().st_mtime) > ABANDONED_SECONDS


def sync(path: Path) -> None:
    """Waits until the disk has a file, or a directory's list of names."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
