"""The form of the price book while it is built, and the writing of its files.

A file of the book (`src/spanledger/prices/book/PLATFORM.json.gz`) is

    {"sources": [text], "needs": {dimension: its default},
     "multipliers": [{name, when, factors, models, start, end, source}],
     "models": {model: [[other names], [[rates, when, above, start, end, source number, layer], ...]]}}

with rates as decimal text (`"2.5"`, or `"0.36/3600"` where it does not end), per million tokens or characters, per
thousand calls, else per one. `index.json` has the version, the day, the sources and the platforms.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[tuple[tuple[str, str], ...], int, str | None]


REVISION = re.compile(r"(?:@(?:default|\d{8})|-v\d+(?::\d+)?|:\d+|-latest|-0\d{2}|-20\d{2}-\d{2}-\d{2}|-20\d{6})$")


class Entry(NamedTuple):
    """One row of a model: see `spanledger.prices._book.Row`."""

    rates: dict[str, str]
    when: Mapping[str, str] = {}
    above: int = 0
    start: str | None = None
    end: str | None = None
    source: str = ""
    layer: int = 4

    @property
    def key(self) -> Key:
        """What makes two rows of a model the same price at different times or from different sources."""
        return tuple(sorted(self.when.items())), self.above, self.start


class Book:
    """All platforms: names and rows of each model, multipliers, and the dimensions that a platform's prices need."""

    def __init__(self) -> None:
        self.names: dict[str, dict[str, set[str]]] = {}
        self.rows: dict[str, dict[str, list[Entry]]] = {}
        self.multipliers: dict[str, list[dict[str, Any]]] = {}
        self.needs: dict[str, dict[str, str]] = {}

    def model(self, platform: str, model: str, *names: str) -> None:
        """Declares a model and other names of it. A name that another model has already stays with that one."""
        models = self.names.setdefault(platform, {})
        names = tuple(name.lower() for name in names)
        taken = {name for other, known in models.items() if other != model for name in (other, *known)}
        models.setdefault(model, set()).update(name for name in names if name not in taken and name != model)
        self.rows.setdefault(platform, {}).setdefault(model, [])

    def put(self, platform: str, model: str, entry: Entry) -> None:
        """Adds a row."""
        self.rows[platform][model].append(entry)

    def find(self, platform: str, name: str) -> str | None:
        """The model that has this name."""
        models = self.names.get(platform, {})
        if name in models:
            return name
        return next((model for model, names in models.items() if name in names), None)

    def find_revised(self, platform: str, name: str) -> str | None:
        """The model that has this name, or this name without its date or revision."""
        for form in (name, REVISION.sub("", name), REVISION.sub("", REVISION.sub("", name))):
            if found := self.find(platform, form):
                return found
        return None

    def current(self, platform: str, model: str, when: Mapping[str, str]) -> dict[str, str]:
        """The rates of the row without an end that has exactly these dimensions."""
        rows = [row for row in self.rows[platform][model] if row.when == when and not row.above and row.end is None]
        return {unit: rate for row in rows for unit, rate in row.rates.items()}

    def fill(self, platform: str, model: str, entry: Entry) -> None:
        """Adds the units of a row that the model does not have in its dimensions and band, from its last change on."""
        rows = self.rows[platform][model]
        same = [row for row in rows if row.when == entry.when and row.above == entry.above and row.end is None]
        known = {unit for row in same for unit in row.rates}
        if entry.above and not entry.when and not same:
            return  # a band of the ordinary price that the first source does not have, or no longer
        rates = {unit: rate for unit, rate in entry.rates.items() if unit not in known}
        start = max((row.start or "" for row in rows if not row.when and row.end is None), default="")
        if rates:
            rows.append(entry._replace(rates=rates, start=start or None))

    def write(self, home: Path, version: str, sources: Mapping[str, str]) -> int:
        """Writes every file, removes those of platforms that are gone, and returns the bytes written."""
        home.mkdir(exist_ok=True)
        for old in home.glob("*.json.gz"):
            old.unlink()
        total = 0
        for platform in sorted(self.rows):
            path = home / f"{platform}.json.gz"
            path.write_bytes(
                gzip.compress(json.dumps(self._content(platform), separators=(",", ":")).encode(), 9, mtime=0)
            )
            total += path.stat().st_size
        index = {"version": version, "sources": dict(sources), "platforms": sorted(self.rows)}
        (home / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        return total

    def _content(self, platform: str) -> dict[str, Any]:
        sources = sorted({entry.source for entries in self.rows[platform].values() for entry in entries})
        models = {
            model: [
                sorted(self.names[platform][model]),
                [[*entry[:5], sources.index(entry.source), entry.layer] for entry in entries],
            ]
            for model, entries in sorted(self.rows[platform].items())
        }
        return {
            "sources": sources,
            "needs": self.needs.get(platform, {}),
            "multipliers": self.multipliers.get(platform, []),
            "models": models,
        }


def plain(number: Decimal) -> str:
    """A decimal as text without exponent or trailing zeros."""
    return format(number.normalize(), "f")


def exact(rate: str) -> Fraction:
    """A rate as a fraction: `"0.03/20"` too."""
    amount, _, divisor = rate.partition("/")
    return Fraction(amount) / int(divisor or 1)
