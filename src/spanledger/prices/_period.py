"""Meters of a period, not of a request: capacity by the hour, storage, containers, hosting.

No response reports them; a bill does. `METERS` says how the quantity of each is counted from what a caller knows, so
that `spanledger.price` and the finance half price them by rows of the same book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from spanledger._types import Quantity, Usage

Facts = Mapping[str, Any]

HOUR: Final = 3600
LEAST_CONTAINER_MINUTES: Final = 5
"""OpenAI and Anthropic bill a container by the minute, for five minutes at least."""


class Meter(NamedTuple):
    """How one meter counts. `model` is the book's name for it where the caller names none."""

    unit: str
    quantity: Callable[[Facts], Quantity | None]
    model: str = ""


def number(value: Any) -> Decimal | None:
    """A quantity as an exact decimal: whole numbers, decimals and their text, never a binary float."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    try:
        return Decimal(value)
    except ArithmeticError:
        return None


def first(facts: Facts, *names: str) -> Decimal | None:
    """The first of these facts that is a number."""
    return next((found for name in names if (found := number(facts.get(name))) is not None), None)


def product(*groups: tuple[str, ...]) -> Callable[[Facts], Quantity | None]:
    """Multiplies the first fact of each group."""

    def count(facts: Facts) -> Quantity | None:
        total = Decimal(1)
        for names in groups:
            factor = first(facts, *names)
            if factor is None:
                return None
            total *= factor
        return total

    return count


def storage(facts: Facts) -> Quantity | None:
    """GB-days above what is free."""
    stored, days = first(facts, "gb_stored", "gb"), first(facts, "days")
    if stored is None or days is None:
        return None
    return max(stored - (first(facts, "free_gb") or 0), Decimal(0)) * days


def cached_token_hours(facts: Facts) -> Quantity | None:
    """The tokens of a cached content times the hours that it is kept."""
    usage = facts.get("usageMetadata")
    tokens = first(usage, "totalTokenCount") if isinstance(usage, Mapping) else first(facts, "tokens")
    seconds = first(facts, "ttl_seconds", "seconds")
    return None if tokens is None or seconds is None else tokens * seconds / HOUR


def execution_minutes(facts: Facts) -> Quantity | None:
    """Minutes of code execution, each of five minutes at least, after the free hours."""
    runs = facts.get("execution_seconds")
    hours = first(facts, "hours", "container_hours", "total_hours")
    if isinstance(runs, list):
        billed = [
            max(Decimal(seconds) / 60, Decimal(LEAST_CONTAINER_MINUTES)) for seconds in map(number, runs) if seconds
        ]
        minutes = sum(billed, Decimal(0))
    elif hours is not None:
        minutes = hours * 60
    else:
        return None
    free = first(facts, "free_hours_remaining", "free_hours") or Decimal(0)
    return max(minutes - free * 60, Decimal(0))


def beyond_free(*names: str) -> Callable[[Facts], Quantity | None]:
    """A count less the free allowance."""

    def count(facts: Facts) -> Quantity | None:
        found = first(facts, *names)
        free = first(facts, "free_allowance", "free", "free_grounding", "free_grounding_remaining") or Decimal(0)
        return None if found is None else max(found - free, Decimal(0))

    return count


METERS: Final[Mapping[str, Meter]] = {
    "storage-meter": Meter("vector_storage", storage, "vector_store"),
    "hosting-meter": Meter("hosting_hours", product(("hours",))),
    "ptu-meter": Meter("ptu_hours", product(("ptus", "ptu", "units"), ("hours",)), "ptu"),
    "provisioned-meter": Meter(
        "model_unit_hours", product(("model_units", "units"), ("hours",)), "anthropic.claude-instant-v1"
    ),
    "session-meter": Meter("session_hours", product(("session_hours", "hours")), "managed-agents"),
    "executions": Meter("code_execution", execution_minutes, "code_execution"),
    "cachedContents": Meter("cache_storage", cached_token_hours),
    "grounding-meter": Meter("grounding_query", beyond_free("queries", "grounding_queries", "prompts")),
}
"""Each meter by the name that `spanledger.price` takes as `api`."""


def read_meter(name: str, facts: Facts) -> Usage | None:
    """The quantity of a meter, `None` where the facts do not say it."""
    meter = METERS[name]
    quantity = meter.quantity(facts)
    if quantity is None:
        return None
    whole = int(quantity) if quantity == int(quantity) else quantity
    return Usage({meter.unit: whole})


def containers(facts: Facts) -> dict[str, Quantity]:
    """The minutes of each size of container, from `{id: {memory_limit, active_minutes}}`: each counts once."""
    units: dict[str, Quantity] = {}
    for container in facts.values():
        if isinstance(container, Mapping):
            minutes = number(container.get("active_minutes"))
            unit = f"container_{container.get('memory_limit') or '1g'}"
            if minutes is not None:
                billed = max(minutes, Decimal(LEAST_CONTAINER_MINUTES))
                units[unit] = units.get(unit, 0) + (int(billed) if billed == int(billed) else billed)
    return units
