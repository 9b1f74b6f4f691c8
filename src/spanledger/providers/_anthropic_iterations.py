"""A message that took several inferences: compaction, an advisor, a fallback, each at the price of its own model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger._types import Quantity, Usage
from spanledger.providers._reading import UsageTable

PER_MESSAGE: Final = ("web_search", "code_executions")
"""What the whole message is billed for, whichever of its inferences did it."""


def read_iterations(table: UsageTable, usage: Any, model: str | None) -> Usage | None:
    """The units of a usage object: those of its `iterations` where it has them, since its own totals leave some out.

    What the message's own model answered stays as it is; what another model did, or the same one did to shorten the
    conversation, becomes `unit@model` and is priced as the request of its own that it was.
    """
    whole = table.read(usage)
    iterations = usage.get("iterations") if isinstance(usage, Mapping) else None
    if whole is None or not whole.usable or not isinstance(iterations, list) or not iterations:
        return whole
    units: dict[str, Quantity] = {unit: whole.units[unit] for unit in PER_MESSAGE if unit in whole.units}
    for iteration in iterations:
        part = table.read(iteration)
        if part is None or not part.usable:
            return whole._replace(flaw="an iteration of the message has no usable counts")
        suffix = _suffix(iteration, model)
        for unit, quantity in part.units.items():
            units[f"{unit}{suffix}"] = units.get(f"{unit}{suffix}", 0) + quantity
    return whole._replace(units=_with_reasoning(units, whole.units.get("reasoning", 0)))


def _with_reasoning(units: dict[str, Quantity], reasoning: Quantity) -> dict[str, Quantity]:
    """Only the whole message says how much of its output was reasoning; iterations do not."""
    output = units.get("output", 0)
    if not reasoning or "reasoning" in units or output < reasoning:
        return units
    return {**units, "output": output - reasoning, "reasoning": reasoning}


def _suffix(iteration: Mapping[str, Any], model: str | None) -> str:
    name = iteration.get("model")
    own = name if isinstance(name, str) and name else model
    if own is None or (own == model and iteration.get("type") == "message"):
        return ""
    return f"@{own}"
