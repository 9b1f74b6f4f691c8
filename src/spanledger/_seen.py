"""What this process has met lately: response ids that are booked, and calls that a later response completes.

A bridge that books what other libraries report asks `seen` first, so that a response which two layers see is booked
once. Two HTTP responses that merely carry the same id are two charges: the hooks never ask.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from spanledger import _call

V = TypeVar("V")


class Recent(Generic[V]):
    """The latest keys and their values: at least `limit` of them are kept, and never more than twice as many.

    Threads share it without a lock, so that a fork at any moment leaves the child one that works: every step is one
    operation of a dict, and the older half is dropped as a whole.
    """

    __slots__ = ("_limit", "_new", "_old")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._new: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def put(self, key: str, value: V) -> None:
        """Keeps a value under a key."""
        new = self._new
        new[key] = value
        if len(new) >= self._limit:
            self._old, self._new = new, {}

    def get(self, key: str) -> V | None:
        """The value of a key, `None` where it is not kept any more."""
        found = self._new.get(key)
        return self._old.get(key) if found is None else found

    def pop(self, key: str) -> V | None:
        """Takes a value out: of threads that ask at once, one gets it."""
        newer, older = self._new.pop(key, None), self._old.pop(key, None)
        return older if newer is None else newer

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old


_booked: Final[Recent[bool]] = Recent(10_000)


unfinished: Final[Recent[Any]] = Recent(4_000)
"""By the id that the provider gave them, the `Origin`s of calls whose usage a later response brings."""


def note(response_id: str | None) -> None:
    """Remembers that a response is booked."""
    if response_id:
        _booked.put(response_id, True)


def seen(response_id: str) -> bool:
    """Whether a hook of this process has booked this response, or is about to: its body is being read."""
    return response_id in _booked or any(tally.state.get("id") == response_id for tally in list(_call.unsettled))
