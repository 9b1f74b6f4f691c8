"""Charges that metrics have not taken yet: a call only puts its charge down, and they are counted in batches.

Recording into an SDK takes several times as long in the middle of a call, where its code and data are cold, as in a row
of records. Whoever collects the metrics drains first, so every collection has all that was put down before it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from opentelemetry.context import Context, create_key, get_current

from spanledger import _faults

T = TypeVar("T")

MOST: Final = 64
"""How many wait at most for somebody to collect: then the call that brings the next one takes them all."""

PATIENCE: Final = 1.0
"""Seconds that a collection waits for a batch that another thread is at: a signal handler may have interrupted it."""

NOWHERE: Final = Context({create_key("spanledger.nowhere"): True})
"""In no trace: an SDK takes an empty context for whichever is current when a batch is taken."""


class Pending(Generic[T]):
    """What waits, in the order in which it came, each with the context it came in, for exemplars. None is taken twice.

    `take` is called for one at a time, by one thread at a time; what it raises costs that one alone.
    """

    def __init__(self, take: Callable[[T, Context], None], most: int = MOST) -> None:
        self._take = take
        self._most = most
        self.restart()
        _queues.add(self)

    def restart(self) -> None:
        """In a forked child none of its own waits yet: its parent counts those that do."""
        self._rows: deque[tuple[T, Context]] = deque()
        self._turn = threading.Lock()

    def put(self, row: T) -> None:
        """Puts one down. May be called in the middle of `take`, by the end of an object that is being collected."""
        rows = self._rows
        rows.append((row, get_current() or NOWHERE))
        if len(rows) >= self._most:
            self.drain(0)

    def drain(self, patience: float = PATIENCE) -> None:
        """Takes those that wait; where another thread is doing so, after it has, if that is soon."""
        if not self._turn.acquire(timeout=patience):
            return
        try:
            for _ in range(len(self._rows)):
                self._take_next()
        finally:
            self._turn.release()

    def _take_next(self) -> None:
        row, context = self._rows.popleft()
        try:
            self._take(row, context)
        except Exception as error:  # noqa: BLE001 -- what cannot be counted costs that one alone
            _faults.record("count a charge", error)


_queues: Final[weakref.WeakSet[Pending[Any]]] = weakref.WeakSet()


def _restart_all() -> None:
    for queue in list(_queues):
        queue.restart()


os.register_at_fork(after_in_child=_restart_all)
