"""Rows and multipliers written by hand: `curated.toml`, each with its source and the day it was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomllib
from prices.form import Book, Entry

FILE = Path(__file__).with_name("curated.toml")
CURATED = 3


def add(book: Book) -> None:
    """Puts the curated rows over the others."""
    content = tomllib.loads(FILE.read_text())
    for price in content["price"]:
        for place in price["on"]:
            platform, _, model = place.partition("/")
            _add(book, platform, model, price)
    for multiplier in content["multiplier"]:
        rest = {key: value for key, value in multiplier.items() if key != "platform"}
        book.multipliers.setdefault(multiplier["platform"], []).append(rest)


def _add(book: Book, platform: str, model: str, price: dict[str, Any]) -> None:
    known = book.find(platform, model)
    if known is None and model != "*" and "names" not in price:
        message = f"curated.toml: the book has no {platform}/{model}"
        raise SystemExit(message)
    model = known or model
    book.model(platform, model, *price.get("names", ()))
    entry = Entry(
        price["rates"],
        price.get("when", {}),
        price.get("above", 0),
        price.get("start"),
        price.get("end"),
        price["source"],
        CURATED,
    )
    book.put(platform, model, entry)
