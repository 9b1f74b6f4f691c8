"""Rows from LiteLLM's price list (MIT) to fill gaps: models, tiers, geographies and units that genai-prices leaves out.

It has no dates and drops retired models, so that what genai-prices says of a unit stands. Its file is read out of the
wheel; the library is never imported.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from prices.form import Book, Entry, plain

FILE = "litellm/model_prices_and_context_window_backup.json"

PLATFORMS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "gemini": "google",
    "vertex_ai": "vertex",
    "xai": "x-ai",
    "deepseek": "deepseek",
    "groq": "groq",
    "mistral": "mistral",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "perplexity": "perplexity",
    "voyage": "voyageai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "deepinfra": "deepinfra",
    "moonshot": "moonshotai",
    "dashscope": "alibaba-cloud",
    "azure_ai": "azure",
    "azure": "azure",
    "watsonx": "watsonx",
    "snowflake": "snowflake",
    "sambanova": "sambanova",
    "nebius": "nebius",
    "minimax": "minimax",
    "zai": "zai",
    "vercel_ai_gateway": "vercel",
    "databricks": "databricks",
    "cerebras": "cerebras",
    "deepgram": "deepgram",
    "elevenlabs": "elevenlabs",
    "jina_ai": "jina",
}
"""Its provider, or what precedes `-` in it: our platform."""

TOKENS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cache_read_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_video_token": "output_video",
    "output_cost_per_reasoning_token": "reasoning",
    "citation_cost_per_token": "citation",
}
"""Per token: published, and written by us, for a million."""

OTHERS = {
    "input_cost_per_character": ("characters", 1_000_000),
    "input_cost_per_audio_per_second": ("audio_seconds", 1),
    "output_cost_per_video_per_second": ("video_seconds", 1),
    "output_cost_per_image": ("images", 1),
    "ocr_cost_per_page": ("pages", 1000),
    "google_maps_grounding_cost_per_query": ("maps_grounding", 1000),
}
BY_MODE = {
    ("audio_transcription", "input_cost_per_second"): ("audio_seconds", 1),
    ("video_generation", "output_cost_per_second"): ("video_seconds", 1),
    ("rerank", "input_cost_per_query"): ("search_units", 1000),
}
LIFETIMES = {"1hr": "cache_write_1h", "12hr": "cache_write_12h"}
PROCESSING = {
    "batches": {"batch": "true"},
    "flex": {"tier": "flex"},
    "priority": {"tier": "priority"},
    "ultrafast": {"tier": "ultrafast"},
}
FIELD = re.compile(
    r"^(?P<base>[a-z_]+?)(?:_above_(?P<life>1hr|12hr))?(?:_above_(?P<band>\d+)k_tokens)?"
    r"(?:_(?P<processing>batches|flex|priority|ultrafast))?$"
)
AWS_PLACES = {"us": "us", "eu": "eu", "ca": "ca", "ap": "apac", "sa": "sa"}
GEOGRAPHY = re.compile(r"^(global|us-gov|us|eu|apac|jp|au|ca|in)\.(?=[a-z0-9-]+\.)")
AWS_REGION = re.compile(r"^(?:bedrock|bedrock_mantle)/(?:([a-z]{2}(?:-gov)?-[a-z]+-\d)/)?")
COMMITMENT = re.compile(r"^bedrock/(?:([a-z0-9-]+|\*)/)?(\d)-month-commitment/(.+)$")
VENDOR_PATH = re.compile(
    r"^(?:openai|gemini|vertex_ai|azure_ai|azure|xai|deepseek|groq|mistral|cohere|perplexity|voyage|"
    r"together_ai|fireworks_ai|deepinfra|moonshot|dashscope|watsonx|snowflake|sambanova|nebius|minimax|"
    r"zai|vercel_ai_gateway|databricks|cerebras|deepgram|elevenlabs|jina_ai|anthropic)/"
)
SIZED = re.compile(r"^(?:\w+/)?(?:low|medium|high|standard|hd|\d+-x-\d+|max-x-max|max-steps|50-steps)/")

TRUSTED_HALVES = {"openai"}
"""Platforms whose own page leaves the cached rate of a batch open: what LiteLLM writes there is a guess."""


def load(wheel: Path) -> dict[str, dict[str, Any]]:
    """The price list in a wheel, numbers exactly as written."""
    with zipfile.ZipFile(wheel) as archive:
        content: dict[str, dict[str, Any]] = json.loads(archive.read(FILE), parse_float=Decimal)
    content.pop("sample_spec", None)
    return content


def add_retired(book: Book, prices: Mapping[str, Mapping[str, Any]], version: str) -> None:
    """Adds the models of an older price list that neither the book nor the list of today knows any more."""
    known = {platform: set(models) for platform, models in book.names.items()}
    older = Book()
    add(older, prices, version)
    for platform, models in older.rows.items():
        for model, entries in models.items():
            if platform in known and not book.find_revised(platform, model):
                book.model(platform, model, *older.names[platform][model])
                book.rows[platform][model].extend(entries)


def add(book: Book, prices: Mapping[str, Mapping[str, Any]], version: str) -> None:
    """Fills the gaps of the book."""
    source = f"litellm {version}"
    for key, fields in prices.items():
        platform = platform_of(fields)
        if platform is None or SIZED.match(VENDOR_PATH.sub("", key)):
            continue
        if platform == "azure":
            _add_azure(book, VENDOR_PATH.sub("", key).lower(), fields, source)
            continue
        if platform == "aws":
            _add_bedrock(book, key, fields, source)
            continue
        _fill(book, platform, VENDOR_PATH.sub("", key).lower(), {}, list(_entries(fields, {}, source)))


def _add_azure(book: Book, name: str, fields: Mapping[str, Any], source: str) -> None:
    """What it calls an Azure model without a place is the Global price, except that of embeddings."""
    if "/" in name or "router" in name or fields.get("mode") == "embedding":
        return
    when = {"deployment": "global"}
    _fill(book, "azure", name, when, list(_entries(fields, when, source)))


def platform_of(fields: Mapping[str, Any]) -> str | None:
    """The platform of one of its models."""
    provider = str(fields.get("litellm_provider"))
    return PLATFORMS.get(provider) or PLATFORMS.get(provider.partition("-")[0])


def _add_bedrock(book: Book, key: str, fields: Mapping[str, Any], source: str) -> None:
    committed = COMMITMENT.match(key)
    if committed:
        _add_commitment(book, committed, fields, source)
        return
    place = AWS_REGION.match(key)
    name = key[place.end() :] if place else key
    if "/" in name or "." not in name:
        return
    when = {"region": place[1], "geo": _geography(place[1])} if place and place[1] else {}
    geo = GEOGRAPHY.match(name)
    if geo:
        when["geo"], name = geo[1], name[geo.end() :]
    if not when and name.startswith("anthropic."):
        return  # it has the global price there, which the bare id has not
    _fill(book, "aws", name.lower(), when, list(_entries(fields, when, source)))


def _geography(region: str) -> str:
    return "us-gov" if region.startswith("us-gov") else AWS_PLACES.get(region[:2], region)


def _add_commitment(book: Book, key: re.Match[str], fields: Mapping[str, Any], source: str) -> None:
    region, months, name = key.groups()
    rate = fields.get("input_cost_per_second")
    if rate is None:
        return
    when = {"commitment": f"{months}-month"} | ({"region": region} if region and region != "*" else {})
    model = book.find("aws", name) or name
    book.model("aws", model)
    book.put("aws", model, Entry({"model_unit_hours": plain(Decimal(rate) * 3600)}, when, source=source))


def _fill(book: Book, platform: str, name: str, when: Mapping[str, str], entries: list[Entry]) -> None:
    """Adds what the book does not have of a model, unless the two disagree on its ordinary price."""
    model = book.find_revised(platform, name)
    if model is None:
        book.model(platform, name)
        for entry in entries:
            book.put(platform, name, entry)
        return
    ordinary = next((entry for entry in entries if entry.when == when and not entry.above), None)
    known = book.current(platform, model, when)
    if (
        known
        and ordinary
        and any(known.get(unit, rate) != rate for unit, rate in ordinary.rates.items() if unit in ("input", "output"))
    ):
        return
    for entry in entries:
        book.fill(platform, model, _without_guesses(platform, entry))


def _without_guesses(platform: str, entry: Entry) -> Entry:
    if platform in TRUSTED_HALVES and "batch" in entry.when:
        return entry._replace(rates={unit: rate for unit, rate in entry.rates.items() if unit != "cache_read"})
    return entry


def _entries(fields: Mapping[str, Any], when: Mapping[str, str], source: str) -> Iterator[Entry]:
    found: dict[tuple[tuple[tuple[str, str], ...], int], dict[str, str]] = {}
    for field, value in fields.items():
        priced = _rate(field, value, str(fields.get("mode")))
        if priced is not None:
            dims, band, unit, rate = priced
            found.setdefault((tuple(sorted({**when, **dims}.items())), band), {})[unit] = rate
    for (dims, band), rates in found.items():
        yield Entry(rates, dict(dims), band, source=source)


def _rate(field: str, value: Any, mode: str) -> tuple[Mapping[str, str], int, str, str] | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    other = OTHERS.get(field) or BY_MODE.get((mode, field))
    if other:
        return {}, 0, other[0], _plain(value, other[1])
    parts = FIELD.match(field)
    if parts is None or parts["base"] not in TOKENS:
        return None
    unit = LIFETIMES.get(parts["life"] or "", TOKENS[parts["base"]])
    return PROCESSING.get(parts["processing"] or "", {}), int(parts["band"] or 0) * 1000, unit, _plain(value, 1_000_000)


def _plain(value: Any, per: int) -> str:
    """A rate for `per`, without what binary floating point left behind the twelfth digit."""
    exact = Decimal(value) * per
    return plain(Decimal(f"{exact:.12g}"))
