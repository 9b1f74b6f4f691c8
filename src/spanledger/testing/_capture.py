"""The charges that a block of code makes, as a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from spanledger import _meter, _tags
from spanledger._types import Charge
from spanledger.providers import hooks
from spanledger.providers._stainless import everything


class Collector:
    """A sink that keeps charges in a list."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []

    def book(self, charge: Charge) -> None:
        """Keeps one charge."""
        self.charges.append(charge)

    def flush(self) -> None:
        """Does nothing: nothing is held back."""


@contextmanager
def capture_charges(tags: Mapping[str, Any] | None = None) -> Iterator[list[Charge]]:
    """Gives the list to which every charge of this process is added while the block runs.

    Where `spanledger.instrument` has not been called, every supported SDK is metered for the block, and no ledger is
    written; `tags` hold for the block then.
    """
    collector = Collector()
    with ExitStack() as stack:
        if not _meter.describe()["metering"]:
            stack.enter_context(_metering(tags or {}))
        _meter.add_sink(collector)
        stack.callback(_meter.remove_sink, collector)
        yield collector.charges


@contextmanager
def _metering(tags: Mapping[str, Any]) -> Iterator[None]:
    before = dict(_tags.base)
    _tags.base.update(_tags.clean(tags))
    everything.metered = True
    for hook in hooks():
        hook.enable()
    _meter.start()
    try:
        yield
    finally:
        everything.metered = False
        for hook in hooks():
            hook.disable()
        _meter.stop()
        _tags.base.clear()
        _tags.base.update(before)
