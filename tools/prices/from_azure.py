"""Rows from azure-genai-prices (MIT): the meters of prices.azure.com by deployment type and region.

The package reads the meters' names; here they become rows: one for all regions where those agree, else one a price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Any

from prices.form import Book, Entry, plain

DEPLOYMENTS = {"global": "global", "data_zone": "datazone", "regional": "regional"}
MODES: Mapping[str, Mapping[str, str]] = {"standard": {}, "batch": {"batch": "true"}, "priority": {"tier": "priority"}}
UNITS = {"input": "input", "output": "output", "cache_read": "cache_read", "cache_write": "cache_write"}
LONG_CONTEXT = 272_000
METER = 2
DATED = re.compile(r"^(.+)-20\d{2}-(\d{2})-(\d{2})$")
NAMES = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4-8k": "gpt-4",
    "gpt-4-turbo-128k": "gpt-4-turbo",
    "o1-1217": "o1-2024-12-17",
    "oss-120b": "gpt-oss-120b",
    "computer-use": "computer-use-preview",
}
FINE_TUNED = re.compile(r"^(.+?)(?:-(\d{4}))?-ft$")
HOURLY = {
    "Provisioned Managed Global Unit": "global",
    "Provisioned Managed Data Zone Unit": "datazone",
    "Provisioned Managed Regional Unit": "regional",
}
HOSTING = re.compile(
    r"^(?:GPT-|gpt-)?(.+?)[- ](?:FT|ft)[- ](?:Hstng|hosting)[- ](glbl|global|regnl|regional|Dz)", re.IGNORECASE
)
PLACES = {"glbl": "global", "global": "global", "regnl": "regional", "regional": "regional", "dz": "datazone"}

Prices = dict[str, dict[str, Decimal]]


def add(book: Book, version: str) -> None:
    """Adds Azure's models, provisioned units and fine-tune hosting to the book."""
    from azure_genai_prices.meters import parse_catalog

    snapshot = json.loads((files("azure_genai_prices") / "data" / "snapshot.json").read_text())
    source = f"azure-genai-prices {version}, prices.azure.com {snapshot['fetched_at'][:10]}"
    meters, _ = parse_catalog(snapshot["items"], as_of=snapshot["fetched_at"][:10])
    dates = _dates(book)
    grouped: dict[tuple[str, str, str, str], Prices] = {}
    for meter in meters.values():
        model, kind, *rest = meter.key.as_tuple()
        if kind in UNITS:
            grouped.setdefault((model, *rest), {})[UNITS[kind]] = meter.region_prices
    for (meter_model, deployment, mode, band), prices in grouped.items():
        when = {"deployment": DEPLOYMENTS[deployment], **MODES[mode]}
        model = canonical(meter_model, dates)
        book.model("azure", model)
        dated = DATED.match(model)
        if dated and not any(key[0] == dated[1] for key in grouped):
            book.model("azure", model, dated[1])
        _put(book, model, prices, Entry({}, when, LONG_CONTEXT if band == "long" else 0, source=source, layer=METER))
    _add_hourly(book, snapshot["items"], source)
    book.needs["azure"] = {"deployment": "global"}


def _dates(book: Book) -> dict[str, str]:
    """OpenAI's dated names by what Azure writes: `gpt-4o-1120` for `gpt-4o-2024-11-20`."""
    found = {}
    for model, names in book.names["openai"].items():
        for name in (model, *names):
            dated = DATED.match(name)
            if dated:
                found[f"{dated[1]}-{dated[2]}{dated[3]}"] = name
    return found


def canonical(meter_model: str, dates: Mapping[str, str]) -> str:
    """The name that an API response has for what a meter calls a model."""
    tuned = FINE_TUNED.match(meter_model)
    if tuned:
        base = f"{tuned[1]}-{tuned[2]}" if tuned[2] else tuned[1]
        return f"ft:{canonical(base, dates)}"
    return NAMES.get(meter_model) or dates.get(meter_model) or meter_model


def _put(book: Book, model: str, prices: Prices, form: Entry) -> None:
    """One row for what all regions agree on, and one for each set of regions that do not."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for unit, by_region in prices.items():
        by_price: dict[str, list[str]] = {}
        for region, price in by_region.items():
            by_price.setdefault(plain(price * 1_000_000), []).append(region)
        if len(by_price) == 1:
            rows.setdefault((), {})[unit] = next(iter(by_price))
            continue
        for price_text, regions in by_price.items():
            rows.setdefault(tuple(sorted(regions)), {})[unit] = price_text
    for regions, rates in rows.items():
        place = {"region": "|".join(regions)} if regions else {}
        book.put("azure", model, form._replace(rates=rates, when={**form.when, **place}))


def _add_hourly(book: Book, items: Iterable[Mapping[str, Any]], source: str) -> None:
    book.model("azure", "provisioned-managed", "ptu")
    units: dict[str, dict[str, Decimal]] = {}
    hosting: dict[tuple[str, str], dict[str, Decimal]] = {}
    for item in items:
        price = Decimal(str(item["retailPrice"]))
        name, regions = item["meterName"], dict.fromkeys(item["regions"], price)
        if name in HOURLY and item["productName"] == "Azure OpenAI":
            units.setdefault(HOURLY[name], {}).update(regions)
        elif (hosted := HOSTING.match(name)) and item["unitOfMeasure"] == "1 Hour":
            base = re.sub(r"[ -](\d{4})$", r"-\1", hosted[1].lower().replace(" ", "-"))
            hosting.setdefault((base, PLACES[hosted[2].lower()]), {}).update(regions)
    for deployment, prices in units.items():
        form = Entry({}, {"deployment": deployment}, source=source, layer=METER)
        _put_hourly(book, "provisioned-managed", "ptu_hours", prices, form)
    dates = _dates(book)
    for (base, deployment), prices in hosting.items():
        model = f"ft:{canonical(base if base[0] in 'go' else f'gpt-{base}', dates)}"
        book.model("azure", model, f"{base}-ft", f"gpt-{base}-ft")
        form = Entry({}, {"deployment": deployment}, source=source, layer=METER)
        _put_hourly(book, model, "hosting_hours", prices, form)


def _put_hourly(book: Book, model: str, unit: str, prices: Mapping[str, Decimal], form: Entry) -> None:
    by_price: dict[str, list[str]] = {}
    for region, price in prices.items():
        by_price.setdefault(plain(price), []).append(region.lower())
    usual = max(by_price, key=lambda price: len(by_price[price]))
    for price, regions in by_price.items():
        place = {} if price == usual else {"region": "|".join(sorted(regions))}
        book.put("azure", model, form._replace(rates={unit: price}, when={**form.when, **place}))
