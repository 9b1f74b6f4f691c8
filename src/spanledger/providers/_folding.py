"""What the folds and readings of several wire formats share."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from spanledger._units import EXACT
from spanledger.providers._reading import LARGEST, Body, Reading, Request, State


def merge_usage(state: State, usage: Any) -> None:
    """The fields of a later usage object replace those of an earlier one, except where they are null."""
    if not isinstance(usage, dict):
        return
    known = state.get("usage")
    if known:
        usage = {**known, **{name: value for name, value in usage.items() if value is not None or name not in known}}
    state["usage"] = usage


def see(state: State, seen: Any) -> None:
    """Remembers text, or what holds some, for an estimate, until the response has ended."""
    if "_text" in state:
        state["_text"].append(seen)
    else:
        state["_text"] = [seen]


TICKS: Final = 10**10
"""What xAI counts its costs in: 1e-10 US dollars."""


def stated_cost(usage: Any) -> str | None:
    """The cost that a provider states itself, as decimal text: `usage.cost` of gateways, its total, xAI's in ticks."""
    if not isinstance(usage, dict) or ("cost" not in usage and "cost_in_usd_ticks" not in usage):
        return None
    if isinstance(ticks := usage.get("cost_in_usd_ticks"), int):
        return str(EXACT.divide(ticks, TICKS))
    cost = usage.get("cost")
    cost = cost.get("total_cost") if isinstance(cost, dict) else cost
    if isinstance(cost, bool) or not isinstance(cost, (int, float, str)):
        return None
    return str(cost)


def seconds(value: Any) -> Decimal | None:
    """A length of time as a quantity, `None` for what is none: providers write a number, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        length = Decimal(str(value))
    except InvalidOperation:
        return None
    return length if length.is_finite() and 0 <= length < LARGEST else None


def context_of(state: State, request: Request) -> Mapping[str, str]:
    """The tier that served the request is in the response; the request says only what was asked for."""
    tier = state.get("service_tier")
    if not tier or not isinstance(tier, str):
        return request.context
    return {**request.context, "service_tier": tier} if request.context else {"service_tier": tier}


def ignore(state: State, event: Body) -> None:
    """Nothing of the body is needed."""


def read_unbilled(_state: State, request: Request) -> Reading:
    """The reading of what is free of charge."""
    return Reading(None, context=request.context)
