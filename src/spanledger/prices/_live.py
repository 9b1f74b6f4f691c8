"""genai-prices as a live layer: models that an installed, newer release knows and the bundled book does not.

The library is never imported while calls are priced: this writes its rows to a TOML file of yours, once, when asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from spanledger.errors import MissingExtraError
from spanledger.prices._engine import ENGINE
from spanledger.prices._identity import platform_of, resolve

UNITS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "web_searches_kcount": "web_search",
}
"""Its price keys that have a unit of ours at the same measure."""


def write(file: Path) -> int:
    """Writes a `[[price]]` table for each model that the book lacks; returns how many. Raises `MissingExtraError`."""
    tables = list(_tables())
    file.write_text("\n".join(tables), encoding="utf-8")
    return len(tables)


def _tables() -> Iterator[str]:
    try:
        source = f"genai-prices {version('genai-prices')}"
        providers = import_module("genai_prices.data").providers
    except ImportError:
        library, extra = "genai-prices", "genai-prices"
        raise MissingExtraError(library, extra) from None
    for provider in providers:
        book = ENGINE.platform(platform_of(provider.id))
        for model in provider.models:
            name = model.id.lower().removeprefix("regional.").removeprefix("global.")
            if resolve(book.names, name) is None:
                yield from _bands(provider.id, model, source)


def _bands(provider: str, model: Any, source: str) -> Iterator[str]:
    prices = model.prices[-1].prices if isinstance(model.prices, list) else model.prices
    bands: dict[int, dict[str, Decimal]] = {}
    for key, value in prices.__dict__.items():
        if key in UNITS and value is not None:
            bands.setdefault(0, {})[UNITS[key]] = getattr(value, "base", value)
            for tier in getattr(value, "tiers", ()):
                bands.setdefault(tier.start, {})[UNITS[key]] = tier.price
    for above, rates in bands.items():
        yield _table({"provider": provider, "model": model.id, "source": source, "above": above, **rates})


def _table(fields: dict[str, Any]) -> str:
    lines = (f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"' for name, value in fields.items())
    return "[[price]]\n" + "\n".join(lines) + "\n"
