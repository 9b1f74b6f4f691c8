"""Where unfinished work lies: a hidden directory of the ledger's own, locked for as long as its process lives.

Sealing, merging and forgetting write there and rename the finished file to its place. Whoever finds such a directory
unlocked knows that its process is dead, so what a kill leaves behind is found, erased and counted where the ledger is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from spanledger._ids import uuid7
from spanledger.ledger._locks import held, is_still, opened

PREFIX: Final = ".work-"


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """A directory in the ledger at `root` for this process's unfinished files, which goes when the block ends.

    What dead processes left goes first. Raises `OSError` where the ledger cannot be written.
    """
    remove_abandoned(root)
    folder, fd = _locked(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)
        _is_gone(folder)


def abandoned(root: Path) -> Iterator[Path]:
    """The directories of dead processes, each held while the caller looks at it."""
    for folder in sorted(root.glob(f"{PREFIX}*")):
        with held(folder) as mine:
            if mine:
                yield folder


def remove_abandoned(root: Path) -> list[Path]:
    """Removes them, and returns those that are gone."""
    emptied = [_emptied(folder) for folder in abandoned(root)]
    return [folder for folder in emptied if _is_gone(folder)]


def is_busy(root: Path, own: Path) -> bool:
    """Whether another process is at work in the ledger, beside the one whose directory is `own`."""
    dead = set(abandoned(root))
    return any(folder != own and folder not in dead for folder in root.glob(f"{PREFIX}*"))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _is_gone(folder: Path) -> bool:
    """Whether a directory is gone, once nobody has it locked: on NFS its lock's file is there until it is closed."""
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _locked(root: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that locks it; another one where it was taken for a dead process's before."""
    while True:
        folder = root / f"{PREFIX}{uuid7()}"
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            fd, locked = opened(folder)
            with suppress(OSError):  # a file system without locks: others go by age there
                fcntl.flock(fd, fcntl.LOCK_EX)
            if is_still(fd, locked):
                return folder, fd
            os.close(fd)
