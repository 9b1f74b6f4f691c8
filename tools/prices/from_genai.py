"""Rows from genai-prices (MIT): its models with their dated prices, context bands and variants.

Its match patterns become exact names. A pattern that starts or contains something is used only as that literal name:
which dates and revisions may follow a name is the business of `spanledger.prices._identity`, for all platforms alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from prices.form import Book, Entry, plain

UNITS = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "input_audio_mtok": ("input_audio", 1),
    "output_audio_mtok": ("output_audio", 1),
    "cache_audio_read_mtok": ("cache_read_audio", 1),
    "input_image_mtok": ("input_image", 1),
    "output_image_mtok": ("output_image", 1),
    "cache_image_read_mtok": ("cache_read_image", 1),
    "input_video_mtok": ("input_video", 1),
    "output_video_mtok": ("output_video", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "output_citation_mtok": ("citation", 1),
    "input_mchars": ("characters", 1),
    "audio_hours": ("audio_seconds", 3600),
    "input_audio_hours": ("audio_seconds", 3600),
    "input_document_kpages": ("pages", 1),
    "input_annotated_document_kpages": ("annotated_pages", 1),
    "rerank_searches_kcount": ("search_units", 1),
    "web_searches_kcount": ("web_search", 1),
    "storage_searches_kcount": ("file_search", 1),
    "code_executions_kcount": ("code_executions", 1),
    "social_searches_kcount": ("social_search", 1),
    "requests_kcount": ("requests", 1),
}
"""Its price keys: our unit, and how many of ours are in one of its."""

SKIPPED = {"output_audio_hours", "input_gpixels", "input_text_messages_kcount"}

SHORTEST_NAME = 3
DIMENSIONS = {"service_tier": "tier", "processing": "batch", "speed": "speed"}
SAME_AS_DEFAULT = ({"service_tier": "default"}, {"service_tier": "standard"}, {"service_tier": "fast"})
"""Variants that we do not need: no tier at all, and OpenAI's word in a request for `priority`."""


def add(book: Book, version: str) -> None:
    """Adds every provider's models to the book."""
    from genai_prices.data import providers

    source = f"genai-prices {version}"
    for provider in providers:
        platform = provider.id.replace("_", "-")
        for model in provider.models:
            name = model.id.lower()
            book.model(platform, name, *sorted(set(_names(model.match)) - {name}))
            for entry in _entries(model, source):
                book.put(platform, name, entry)


def _names(clause: Any) -> Iterator[str]:
    for attribute in ("or_", "and_"):
        for part in getattr(clause, attribute, ()):
            yield from _names(part)
    for attribute in ("equals", "starts_with", "ends_with", "contains"):
        name = getattr(clause, attribute, None)
        if name and len(name.strip("-/:@.")) >= SHORTEST_NAME:
            yield name.lower().rstrip("-@:.").removeprefix("/")


def _entries(model: Any, source: str) -> Iterator[Entry]:
    periods = list(_periods(model.prices))
    for start, end, prices, when in periods:
        yield from _banded(prices, when, start, end, source)
    for variant in model.price_variants or ():
        when = dict(variant.when)
        if when in SAME_AS_DEFAULT:
            continue
        dims = {DIMENSIONS.get(name, name): "true" if value == "batch" else value for name, value in when.items()}
        start = variant.constraint.start_date if variant.constraint else None
        yield from _banded(variant.prices, dims, start, None, source)


def _periods(prices: Any) -> Iterator[tuple[date | None, date | None, Any, dict[str, str]]]:
    """Each price with the days between which it holds; those for hours of the day hold since the last change."""
    if not isinstance(prices, list):
        yield None, None, prices, {}
        return
    dated = [one for one in prices if not hasattr(one.constraint, "start_time")]
    starts = [one.constraint.start_date if one.constraint else None for one in dated]
    for number, one in enumerate(dated):
        yield starts[number], starts[number + 1] if number + 1 < len(starts) else None, one.prices, {}
    for one in prices:
        if hasattr(one.constraint, "start_time"):
            hours = f"{one.constraint.start_time:%H:%M}-{one.constraint.end_time:%H:%M}"
            yield starts[-1], None, one.prices, {"utc": hours}


def _banded(prices: Any, when: dict[str, str], start: date | None, end: date | None, source: str) -> Iterator[Entry]:
    bands: dict[int, dict[str, str]] = {0: {}}
    for key, value in prices.__dict__.items():
        if value is None or key in SKIPPED:
            continue
        unit, per = UNITS[key]
        tiers = getattr(value, "tiers", ())
        bands[0][unit] = _rate(value.base if tiers else value, per)
        for tier in tiers:
            bands.setdefault(tier.start, {})[unit] = _rate(tier.price, per)
    if not prices.__dict__ and not when:
        bands[0] = {"input": "0", "output": "0", "cache_read": "0", "requests": "0"}
    for above, rates in bands.items():
        if rates:
            yield Entry(
                rates, when, above, start.isoformat() if start else None, end.isoformat() if end else None, source
            )


def _rate(price: Decimal, per: int) -> str:
    exact = Decimal(price) / per
    if exact * per != price:
        return f"{plain(Decimal(price))}/{per}"
    return plain(exact)
