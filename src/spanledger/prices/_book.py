"""The price book: dated rows and multipliers of every platform, read lazily from compressed data beside this file.

One file a platform (`book/openai.json.gz`), decoded when a call of that platform is first priced. They are written by
`tools/build_prices.py`, and `tools/prices/form.py` documents their form.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from spanledger._units import FEMTO, UNITS

HOME: Final = Path(__file__).with_name("book")
DAY: Final = 86_400 * 10**9
EVER: Final = 2**63 - 1
"""The end of a row that is still valid, in nanoseconds since 1970."""

CONTRACT, USER, METER, CURATED, BUNDLED = range(5)
HOURS: Final = "utc"
"""The dimension that is no word of a call but the time of the day: `01:00-04:00|06:00-10:00`."""

LAYERS: Final = ("contract", "user", "meter", "curated", "bundled")
"""Layers, highest first: the index of a layer is its rank."""

PER: Final[Mapping[str, int]] = {
    "token": 1_000_000,
    "character": 1_000_000,
    "call": 1000,
    "query": 1000,
    "prompt": 1000,
    "search unit": 1000,
    "page": 1000,
    "request": 1000,
    "token-hour": 1_000_000,
    "training token": 1_000_000,
    "routed token": 1_000_000,
}
"""How many of a unit a published rate is for; one, where it is not here."""


class Row(NamedTuple):
    """One price: a model, the dimensions it is for, the period it holds, and a rate for each unit.

    `rates` are decimal text, per million tokens or characters, per thousand calls, else per one (`PER`). `when` names
    the dimensions that must hold, alternatives parted by `|`. `above` is a context band: the row holds where more input
    tokens than this were sent. `start` and `end` are nanoseconds since 1970, end exclusive.
    """

    platform: str
    model: str
    rates: Mapping[str, str]
    when: Mapping[str, str] = {}
    above: int = 0
    start: int = 0
    end: int = EVER
    source: str = ""
    layer: int = BUNDLED

    @property
    def id(self) -> str:
        """A name that stays: `openai/gpt-5.4?tier=priority>272000@2026-10-12`."""
        dims = "&".join(f"{name}={_short(value)}" for name, value in sorted(self.when.items()))
        band = f">{self.above}" if self.above else ""
        since = f"@{day_of(self.start)}" if self.start else ""
        return f"{self.platform}/{self.model}{'?' if dims else ''}{dims}{band}{since}"

    def holds(self, dims: Mapping[str, str], at_ns: int) -> bool:
        """Whether this row may price a call of these dimensions at this instant."""
        if not self.start <= at_ns < self.end:
            return False
        for name, value in self.when.items():
            said = dims.get(name)
            if said != value and not _said(name, value, said, at_ns):
                return False
        return True


def _said(name: str, value: str, said: str | None, at_ns: int) -> bool:
    """Whether a call says one of the alternatives that a row wants of a dimension."""
    if name == HOURS:
        return any(first <= at_ns < last for first, last in hours_of(value, at_ns))
    return said is not None and said in value.split("|")


def hours_of(value: str, at_ns: int) -> Iterator[tuple[int, int]]:
    """The hours of a day as instants on the day of this one: the first inclusive, the last exclusive."""
    midnight = at_ns - at_ns % DAY
    for window in value.split("|"):
        first, _, last = window.partition("-")
        yield midnight + _minutes(first), midnight + _minutes(last)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return (int(hours) * 60 + int(minutes)) * 60 * 10**9


def _short(alternatives: str) -> str:
    """A value of a dimension for a name: the first alternative, and how many more there are."""
    first, *others = alternatives.split("|")
    return f"{first}+{len(others)}" if others else first


class Multiplier(NamedTuple):
    """A factor on the rates of `units`, for calls in which `when` holds and that no row prices by those dimensions.

    `models` restricts it, empty means all. A factor of 1 says that the dimension is known not to change the price.
    """

    platform: str
    name: str
    when: Mapping[str, str]
    factors: Mapping[str, str]
    models: frozenset[str] = frozenset()
    start: int = 0
    end: int = EVER
    source: str = ""

    @property
    def id(self) -> str:
        """A name that stays: `anthropic/*residency`."""
        return f"{self.platform}/*{self.name}"

    def factor(self, unit: str) -> str | None:
        """The factor for a unit: its own, else that of its kind (`tokens`)."""
        own = self.factors.get(unit)
        return self.factors.get("tokens") if own is None and UNITS[unit].per == "token" else own


class Platform(NamedTuple):
    """All that the book knows of one platform. `names` maps every known spelling of a model to its canonical name."""

    name: str
    names: Mapping[str, str] = {}
    rows: Mapping[str, tuple[Row, ...]] = {}
    multipliers: tuple[Multiplier, ...] = ()
    needs: Mapping[str, str] = {}
    """Dimensions that every price depends on, each with what is assumed, and said, where a call leaves it open."""
    version: str = ""
    """The version of the book."""


def instant(day: str | None, default: int) -> int:
    """An ISO date (or date and time, UTC where it has no offset) as nanoseconds since 1970."""
    if not day:
        return default
    moment = datetime.fromisoformat(day.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 10**9


def day_of(at_ns: int) -> str:
    """The UTC date of an instant."""
    return datetime.fromtimestamp(at_ns // 10**9, tz=timezone.utc).strftime("%Y-%m-%d")


@lru_cache(maxsize=4096)
def per_unit(rate: str, unit: str) -> tuple[int, int]:
    """A published rate, `"2.5"` or `"0.03/20"`, as an exact fraction of 1e-15 for one unit."""
    amount, _, divisor = rate.partition("/")
    whole, _, fraction = amount.partition(".")
    return int(whole + fraction) * FEMTO, 10 ** len(fraction) * PER.get(UNITS[unit].per, 1) * int(divisor or 1)


def read_file(path: Path) -> Any:
    """The content of one file of the book."""
    return orjson.loads(zlib.decompress(path.read_bytes(), wbits=31))


@lru_cache(maxsize=4)
def index(home: Path = HOME) -> Mapping[str, Any]:
    """The book's table of contents: `version`, `built`, `sources`, `platforms`."""
    content: Mapping[str, Any] = orjson.loads((home / "index.json").read_bytes())
    return content


def load_platform(name: str, home: Path = HOME) -> Platform:
    """Decodes one platform, an empty one where the book has none of that name."""
    version = str(index(home)["version"])
    if name not in index(home)["platforms"]:
        return Platform(name, version=version)
    content = read_file(home / f"{name}.json.gz")
    sources: list[str] = content["sources"]
    names: dict[str, str] = {}
    rows: dict[str, tuple[Row, ...]] = {}
    for model, (spellings, entries) in content["models"].items():
        names.update(dict.fromkeys((model, *spellings), model))
        rows[model] = tuple(_rows(name, model, entries, sources))
    return Platform(name, names, rows, tuple(_multipliers(name, content["multipliers"])), content["needs"], version)


def _rows(platform: str, model: str, entries: Iterable[Any], sources: list[str]) -> Iterable[Row]:
    for rates, when, above, start, end, source, layer in entries:
        yield Row(platform, model, rates, when, above, instant(start, 0), instant(end, EVER), sources[source], layer)


def _multipliers(platform: str, entries: Iterable[Mapping[str, Any]]) -> Iterable[Multiplier]:
    for entry in entries:
        yield Multiplier(
            platform,
            entry["name"],
            entry["when"],
            entry["factors"],
            frozenset(entry.get("models", ())),
            instant(entry.get("start"), 0),
            instant(entry.get("end"), EVER),
            entry.get("source", ""),
        )
