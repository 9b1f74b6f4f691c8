"""Refuses a book that moves a price more than tenfold, makes one zero, or forgets a model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from prices.form import Book, exact

TOO_FAR = 10


class Problem(NamedTuple):
    """What is wrong with one model."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def moves(home: Path, book: Book) -> Iterator[Problem]:
    """Compares the ordinary, current rates of the book on disk with those of a new one."""
    for path in sorted(home.glob("*.json.gz")):
        platform = path.name.removesuffix(".json.gz")
        models = json.loads(gzip.decompress(path.read_bytes()))["models"]
        for model, (_, entries) in models.items():
            known = book.find(platform, model)
            if known is None:
                yield Problem(f"{platform}/{model}", "is gone")
                continue
            after = book.current(platform, known, {})
            for unit, rate in _current(entries).items():
                yield from _moved(f"{platform}/{model}", unit, rate, after.get(unit))


def _current(entries: list[list[Any]]) -> dict[str, str]:
    return {
        unit: rate
        for rates, when, above, _, end, *_ in entries
        if not when and not above and end is None
        for unit, rate in rates.items()
    }


def _moved(place: str, unit: str, before: str, after: str | None) -> Iterator[Problem]:
    if after is None:
        yield Problem(place, f"{unit} is gone")
        return
    old, new = exact(before), exact(after)
    if old and not new:
        yield Problem(place, f"{unit} fell from {before} to zero")
    elif old and not 1 / Fraction(TOO_FAR) <= new / old <= TOO_FAR:
        yield Problem(place, f"{unit} moved from {before} to {after}")
