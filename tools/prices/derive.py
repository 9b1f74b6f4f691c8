"""What follows from other rows: prices before a variant was written down, the same model on another platform."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from prices.form import Book, Entry, exact, plain

GEOGRAPHIES = "us|eu|apac|jp|au|ca|in|sa"
REVISION = re.compile(r"-v\d+(?::\d+)?$|:\d+$")
GROUNDING = {"35": "grounding_prompt", "14": "grounding_query"}
"""Google's fee for a thousand: until Gemini 2.5 for each grounded prompt, since Gemini 3 for each query."""


def before_variants(book: Book, platform: str) -> None:
    """Extends each variant to the time before it was written down, at its ratio to the ordinary price then."""
    for entries in book.rows[platform].values():
        ordinary = [entry for entry in entries if not entry.when]
        for variant in [entry for entry in entries if entry.when and entry.start]:
            for earlier in _earlier(variant, ordinary):
                if earlier.rates == variant.rates and earlier.end == variant.start:
                    entries.remove(variant)
                    entries.append(earlier._replace(end=variant.end))
                else:
                    entries.append(earlier)


def _earlier(variant: Entry, ordinary: list[Entry]) -> list[Entry]:
    then = _ordinary_at(ordinary, variant.above, variant.start) or _ordinary_at(ordinary, 0, variant.start)
    found = []
    for period in ordinary:
        if then is None or period.above != then.above or (period.start or "") >= (variant.start or ""):
            continue
        rates = {
            unit: _scaled(period.rates[unit], rate, then.rates[unit])
            for unit, rate in variant.rates.items()
            if unit in period.rates and unit in then.rates and exact(then.rates[unit])
        }
        end = min(period.end or "9999", variant.start or "9999")
        source = f"{variant.source}; before {variant.start} at its ratio to the ordinary price"
        found.append(variant._replace(rates=rates, start=period.start, end=end, source=source))
    return found


def _ordinary_at(ordinary: list[Entry], above: int, day: str | None) -> Entry | None:
    return next(
        (one for one in ordinary if one.above == above and (one.start or "") <= (day or "") < (one.end or "9999")), None
    )


def _scaled(rate: str, variant: str, ordinary: str) -> str:
    if rate == ordinary:
        return variant
    scaled = exact(rate) * exact(variant) / exact(ordinary)
    return plain(Decimal(scaled.numerator) / Decimal(scaled.denominator))


def bedrock_places(book: Book) -> None:
    """Joins the `global.` and `regional.` models of genai-prices into one model with a geography."""
    models = book.names["aws"]
    for name in [name for name in models if name.startswith(("global.", "regional."))]:
        scope, _, base = name.partition(".")
        other = {spelling.partition(".")[2] for spelling in models.pop(name) if spelling.startswith(scope)}
        entries = book.rows["aws"].pop(name)
        book.model("aws", base, *(spelling for spelling in other if spelling))
        for entry in entries:
            if scope == "global":
                book.put("aws", base, entry._replace(when={**entry.when, "geo": "global"}))
            else:
                book.put("aws", base, entry)
                book.put("aws", base, entry._replace(when={**entry.when, "geo": GEOGRAPHIES}))


def bedrock_names(book: Book) -> None:
    """Adds each model's name without revision, and without the vendor, as clients of other SDKs report it."""
    for model in list(book.names["aws"]):
        short = REVISION.sub("", model)
        bare = short.partition(".")[2]
        book.model("aws", model, short, *([bare, model.partition(".")[2]] if short.startswith("anthropic.") else []))


def google_fees(book: Book) -> None:
    """Gives Google's searches their unit, and a price to modalities that its one price for all of them covers."""
    for entries in book.rows["google"].values():
        for number, entry in enumerate(entries):
            rates = dict(entry.rates)
            fee = rates.pop("web_search", None)
            if fee:
                rates[GROUNDING.get(fee, "web_search")] = fee
            for unit, same in (("input_audio", "input"), ("cache_read_audio", "cache_read"), ("cache_write", "input")):
                if same in rates:
                    rates.setdefault(unit, rates[same])
            entries[number] = entry._replace(rates=rates)


def copy(
    book: Book, source: str, target: str, change: Callable[[Entry], Entry] = lambda entry: entry, only: str = ""
) -> None:
    """Gives a platform the models of another that it sells too and has no prices of its own for."""
    for model, entries in list(book.rows[source].items()):
        if not model.startswith(only) or model == "*" or book.find(target, model):
            continue
        book.model(target, model, *book.names[source][model])
        for entry in entries:
            book.put(target, model, change(entry))


def on_azure(entry: Entry) -> Entry:
    """Another provider's list price, as Azure's Global deployments charge it."""
    when: Mapping[str, str] = {"deployment": "global", **entry.when}
    return entry._replace(when=dict(when), source=f"{entry.source}, as Global on Azure")


def claude_on_azure(book: Book) -> None:
    """Claude has one price on Azure, that of Anthropic, and no deployment but the Global one."""
    known = set(book.names["azure"])
    copy(book, "anthropic", "azure", only="claude")
    models = sorted(set(book.names["azure"]) - known)
    multiplier = {"name": "global-only", "when": {"deployment": "global"}, "factors": {"tokens": "1"}, "models": models}
    book.multipliers.setdefault("azure", []).append({**multiplier, "source": "genai-prices, fallback of azure"})


def places(book: Book, prices: Mapping[str, Mapping[str, object]], source: str) -> None:
    """Multipliers for places, from LiteLLM's uplifts: OpenAI's regions, Anthropic's `inference_geo`, Vertex regions."""
    for platform, name, field, when in UPLIFTS:
        by_factor: dict[str, set[str]] = {}
        for key, fields in prices.items():
            if str(fields.get("litellm_provider")).partition("-")[0] != PROVIDERS[platform]:
                continue
            factor = _factor(fields, field)
            model = book.find_revised(platform, key.rpartition("/")[2])
            if factor and model:
                by_factor.setdefault(factor, set()).add(model)
        for factor, models in by_factor.items():
            multiplier = {"name": name, "when": when, "factors": {"tokens": factor}, "models": sorted(models)}
            book.multipliers.setdefault(platform, []).append({**multiplier, "source": source})


PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "vertex": "vertex_ai"}
UPLIFTS = (
    ("openai", "residency", ("regional_processing_uplift_multiplier_eu",), {"geo": "*"}),
    ("anthropic", "residency", ("provider_specific_entry", "us"), {"geo": "us"}),
    ("vertex", "region", ("regional_endpoint_uplift_multiplier",), {"geo": "regional"}),
)


def _factor(fields: Mapping[str, object], path: tuple[str, ...]) -> str | None:
    value: object = fields
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return plain(Decimal(str(value))) if value is not None else None
