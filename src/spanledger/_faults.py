"""What went wrong inside spanledger: counted, logged once a place, never raised into the application."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

log: Final = logging.getLogger("spanledger")

counts: Final[Counter[str]] = Counter()
"""How often each place has failed, e.g. `meter.settle: ValueError`; `lost` counts charges that reached no ledger."""

last: Final[dict[str, str]] = {}
"""The latest message of each place, and of the latest place last."""


def record(place: str, error: BaseException) -> None:
    """Counts a fault and logs its first occurrence. Never raises."""
    try:
        key = f"{place}: {type(error).__name__}"
        counts[key] += 1
        last.pop(key, None)
        last[key] = str(error)[:500]
        if counts[key] == 1:
            log.warning("spanledger could not %s (%s); calls are unaffected, see `spanledger doctor`", place, error)
    except Exception:  # noqa: BLE001, S110 -- nothing is left that could take a report
        pass


WRITE: Final = "write to the ledger"
"""The place of every charge that was lost."""


def lose(error: BaseException) -> None:
    """Counts a charge that could not be kept."""
    counts["lost"] += 1
    record(WRITE, error)


def guarded(place: str, default: Any = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function of the capture path that returns `default` where it would raise an `Exception`."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def safe(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- the application's call is never the one to pay
                with suppress(Exception):
                    record(place, error)
                return cast("T", default)

        return safe

    return decorate


def snapshot() -> dict[str, Any]:
    """The counters, for `doctor`: `lost` charges, and each fault with its count and latest message."""
    faults = {key: {"count": count, "message": last.get(key, "")} for key, count in counts.items() if key != "lost"}
    return {"lost": counts["lost"], "faults": faults}


def totals() -> dict[str, int]:
    """How many charges were lost and faults swallowed, for metrics."""
    return {"lost": counts["lost"], "faults": sum(counts.values()) - counts["lost"]}


def reset() -> None:
    """Forgets everything, for tests."""
    counts.clear()
    last.clear()
