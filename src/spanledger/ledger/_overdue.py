"""A reader that finds much unsealed has it sealed: by a process of low priority, while it goes on with its answer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from spanledger._spawning import spawn_sealing
from spanledger.errors import LedgerError
from spanledger.ledger._files import Files
from spanledger.ledger._locks import held

MUCH: Final = 64 << 20
"""Bytes of closed segments: reading them as JSON takes longer than sealing them once."""

AGAIN_SECONDS: Final = 600.0
"""How long a reader waits before it starts another process for the same ledger."""

VARIABLE: Final = "SPANLEDGER_SEALING"
CHOICES: Final = ("spawn", "off")


class Overdue:
    """Looks at the segments that questions meet. `sealing` is `spawn` or `off`, by default as the environment says."""

    def __init__(self, root: Path, sealing: str | None) -> None:
        chosen = sealing or os.environ.get(VARIABLE) or "spawn"
        if chosen not in CHOICES:
            msg = f"sealing: takes {' or '.join(CHOICES)}, not {chosen!r}"
            raise LedgerError(msg)
        self._root = root
        self._spawns = chosen == "spawn"
        self._next = 0.0

    def look(self, files: Files) -> None:
        """Starts a process that seals, where that is worth it and none was started lately."""
        if not self._spawns or time.monotonic() < self._next:
            return
        sizes = {segment.path: _size(segment.path) for segment in files.open}
        if sum(sizes.values()) >= MUCH and sum(size for path, size in sizes.items() if _is_closed(path)) >= MUCH:
            self._next = time.monotonic() + AGAIN_SECONDS
            spawn_sealing(self._root)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_closed(path: Path) -> bool:
    with held(path) as mine:
        return mine
