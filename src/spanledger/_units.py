"""Billable units: what each is, which inclusive total it belongs to, and whose price it takes when it has none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final, NamedTuple

PLACES: Final = 15

FEMTO: Final = 10**PLACES
"""Amounts are integers of 1e-15 of a currency unit: exact for every published price of a single token."""

EXACT: Final = Context(prec=100, traps=[])
"""Arithmetic of decimals that rounds nothing: the context in force is the application's, which may keep few digits."""


class Unit(NamedTuple):
    """One billable unit.

    `side` is `input` or `output` for tokens that count in those totals, else empty. `group` is the narrower total
    (`cache_read`, `cache_write`, `reasoning`). `priced_as` is the unit whose rate applies where this one has none.
    """

    name: str
    per: str
    side: str = ""
    group: str = ""
    priced_as: str = ""


UNITS: Final[Mapping[str, Unit]] = {
    unit.name: unit
    for unit in (
        Unit("input", "token", "input"),
        Unit("input_audio", "token", "input"),
        Unit("input_image", "token", "input", "", "input"),
        Unit("input_video", "token", "input", "", "input"),
        Unit("input_document", "token", "input", "", "input"),
        Unit("tool_use_input", "token", "input", "", "input"),
        Unit("cache_read", "token", "input", "cache_read"),
        Unit("cache_read_audio", "token", "input", "cache_read"),
        Unit("cache_read_image", "token", "input", "cache_read", "cache_read"),
        Unit("cache_read_video", "token", "input", "cache_read", "cache_read"),
        Unit("cache_write", "token", "input", "cache_write"),
        Unit("cache_write_5m", "token", "input", "cache_write", "cache_write"),
        Unit("cache_write_30m", "token", "input", "cache_write", "cache_write"),
        Unit("cache_write_1h", "token", "input", "cache_write"),
        Unit("cache_write_12h", "token", "input", "cache_write"),
        Unit("output", "token", "output"),
        Unit("output_audio", "token", "output"),
        Unit("output_image", "token", "output", "", "output"),
        Unit("output_video", "token", "output"),
        Unit("reasoning", "token", "output", "reasoning", "output"),
        Unit("citation", "token"),
        Unit("web_search", "call"),
        Unit("web_search_preview", "call"),
        Unit("file_search", "call"),
        Unit("social_search", "call"),
        Unit("code_executions", "call"),
        Unit("grounding_query", "query"),
        Unit("grounding_prompt", "prompt"),
        Unit("maps_grounding", "query"),
        Unit("characters", "character"),
        Unit("audio_seconds", "second"),
        Unit("video_seconds", "second"),
        Unit("images", "image"),
        Unit("pages", "page"),
        Unit("annotated_pages", "page"),
        Unit("search_units", "search unit"),
        Unit("requests", "request"),
        Unit("router_tokens", "routed token"),
        Unit("guardrail_topics", "text unit"),
        Unit("guardrail_content", "text unit"),
        Unit("guardrail_images", "image"),
        Unit("guardrail_private_data", "text unit"),
        Unit("guardrail_prompt_attacks", "text unit"),
        Unit("guardrail_grounding", "text unit"),
        Unit("guardrail_reasoning", "text unit"),
        Unit("training_tokens", "training token"),
        Unit("container_1g", "minute"),
        Unit("container_4g", "minute"),
        Unit("container_16g", "minute"),
        Unit("container_64g", "minute"),
        Unit("code_execution", "minute"),
        Unit("session_hours", "hour"),
        Unit("ptu_hours", "PTU-hour"),
        Unit("model_unit_hours", "hour"),
        Unit("hosting_hours", "hour"),
        Unit("vector_storage", "GB-day"),
        Unit("read_units", "read unit"),
        Unit("write_units", "write unit"),
        Unit("gpu_seconds", "second"),
        Unit("cache_storage", "token-hour"),
    )
}


MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    total: frozenset(unit.name for unit in UNITS.values() if total in (unit.side, unit.group))
    for total in ("input", "output", "cache_read", "cache_write", "reasoning")
}
"""Which units each inclusive total sums up."""


def inclusive(units: Mapping[str, int | Decimal], total: str) -> int | None:
    """The inclusive total (`input`, `output`, `cache_read`, `cache_write`, `reasoning`), `None` if no part is known."""
    members = MEMBERS[total]
    found = [int(quantity) for key, quantity in units.items() if key.partition("@")[0] in members]
    return sum(found) if found else None


def money_text(femtos: int) -> str:
    """An amount in 1e-15 as plain decimal text without trailing zeros: `2800000000000` is `0.0028`."""
    if femtos < 0:
        return f"-{money_text(-femtos)}"
    digits = str(femtos)
    if femtos and len(digits) <= PLACES:
        return ("0." + digits.zfill(PLACES)).rstrip("0")
    return f"{digits[:-PLACES] or 0}.{digits[-PLACES:]}".rstrip("0").rstrip(".")


def femtos_of(text: str) -> int:
    """The amount in 1e-15 that `money_text` wrote. Takes no notice of the precision of decimals in force here."""
    whole, _, part = text.partition(".")
    return int(whole + (part + "0" * PLACES)[:PLACES])


def quantity_json(quantity: int | Decimal) -> int | str:
    """A quantity as it stands in a row: an integer where it is one, else decimal text."""
    if isinstance(quantity, int):
        return quantity
    return int(quantity) if quantity == quantity.to_integral_value() else format(quantity.normalize(EXACT), "f")
