"""From a response body, or the events of a stream, to a `Reading`: usage, model, id, and what decides the price.

A provider file declares tables (`UsageTable`, `Api`); the readers here are the only code that walks them. Bodies come
from a network: every value is checked, none is trusted, and nothing here raises on what a body holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanledger._types import Row, Usage

if TYPE_CHECKING:
    from spanledger._call import Tally

LARGEST: Final = 2**53
"""More tokens than this is no count: it is a broken body."""

Body = Mapping[str, Any]
Path = tuple[str, ...]


class Origin(NamedTuple):
    """The call that a response of another call belongs to: a background response that is polled, a batch.

    `row` is all that is known of it. What is booked for one that `corrects` takes the place of the charge that the row
    names, of which `counted` femtos went to its workflow run. `reading` is how it was read.
    """

    row: Row
    scope: Any = None
    started_ns: int = 0
    corrects: bool = False
    counted: int | None = None
    reading: Any = None


class Reading(NamedTuple):
    """What one response says of itself. `usage` is `None` where it reports none.

    `context` is what decides the price besides the model, as the response or its request says it: `service_tier`,
    `inference_geo`, `speed`, `batch`, `deployment_type`, `region`, ... `usage_source` is for a usage that the response
    does not report, `note` for why it is not certain. `awaits` is the id under which a later response completes this
    one, and `origin` the call that this one completes.
    """

    usage: Usage | None
    response_model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    context: Mapping[str, str] = MappingProxyType({})
    provider_cost: str | None = None
    usage_source: str | None = None
    note: str | None = None
    billed: bool = True
    awaits: str | None = None
    origin: Origin | None = None


def dig(body: Any, path: Path) -> Any:
    """The value at a path, `None` where a step is missing or is no object."""
    for step in path:
        if not isinstance(body, dict):
            return None
        body = body.get(step)
    return body


def first(body: Body, places: tuple[Path, ...]) -> Any:
    """The value at the first place that holds one."""
    return next((value for path in places if path[0] in body and (value := dig(body, path)) is not None), None)


def text(value: Any) -> str | None:
    """The value where it is non-empty text, else `None`."""
    return value if isinstance(value, str) and value else None


def paths(*dotted: str) -> tuple[Path, ...]:
    """`"a.b"` as `("a", "b")`, for each: the places to look, in order."""
    return tuple(tuple(place.split(".")) for place in dotted)


Target = tuple[int, str]
"""The rank of a place among those of a unit, and the unit."""

Meant = tuple[str, str, "Level | None"]
"""A name that an object may have, and what it means: a unit, or the level below."""


class Level:
    """What one object of a usage may hold: under each name a count, or the level below."""

    MOST_SHAPES: Final = 64

    __slots__ = ("shapes", "targets")

    def __init__(self) -> None:
        self.targets: dict[str, Target | Level] = {}
        self.shapes: dict[tuple[str, ...], tuple[Meant, ...]] = {}

    def enter(self, path: Path, target: Target) -> None:
        """Adds a place."""
        if len(path) == 1:
            self.targets[path[0]] = target
            return
        below = self.targets.setdefault(path[0], Level())
        if isinstance(below, Level):
            below.enter(path[1:], target)

    def shape(self, names: tuple[str, ...]) -> tuple[Meant, ...]:
        """The names of an object that mean something, remembered: a provider writes the same ones again and again."""
        known = [(name, self.targets[name]) for name in names if name in self.targets]
        found = tuple(
            (name, "", target) if isinstance(target, Level) else (name, target[1], None) for name, target in known
        )
        if len(self.shapes) < self.MOST_SHAPES:
            self.shapes[names] = found
        return found


@dataclass(frozen=True, slots=True)
class UsageTable:
    """Where one API reports each unit.

    `wholes` are inclusive counts, from which their `parts` are taken away; `extras` stand beside them. Each unit names
    the places to look for it, the first that holds a value counts. `total` is the provider's own sum, to check against.
    """

    wholes: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, tuple[Path, ...]]] = field(default_factory=dict)
    extras: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    total: tuple[Path, ...] = ()

    _top: Level = field(default_factory=Level, init=False, repr=False, compare=False)
    _whole_of: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._whole_of.update({unit: whole for unit, (whole, _) in self.parts.items()})
        places = {
            **self.wholes,
            **{unit: where for unit, (_, where) in self.parts.items()},
            **self.extras,
            TOTAL: self.total,
        }
        for unit, where in places.items():
            for rank, path in enumerate(where):
                self._top.enter(path, (rank, unit))

    def read(self, usage: Any) -> Usage | None:
        """The disjoint units of a usage object, `None` where it holds no count at all."""
        if not isinstance(usage, dict):
            return None
        counts: dict[str, int] = {}
        flaws: list[str] = []
        if not _take(usage, self._top, counts):
            counts = _walked(usage, self._top, flaws)
        total = counts.pop(TOTAL, None)
        if not counts:
            return Usage({}, flaws[0], usable=False) if flaws else None
        return _checked(self._disjoint(counts, total), total, flaws)

    def _disjoint(self, counts: dict[str, int], total: int | None) -> dict[str, int]:
        """Takes each part out of its whole, unless the provider's total proves that it stands beside it."""
        units = dict(counts)
        whole_of = self._whole_of
        for unit, count in counts.items():
            if unit not in whole_of:
                continue
            if not count:
                del units[unit]
            elif (whole := whole_of[unit]) in units and not (unit in BESIDE and self._beside(count, counts, total)):
                units[whole] -= count
        return units

    def _beside(self, part: int, counts: Mapping[str, int], total: int | None) -> bool:
        """XAI and others leave reasoning out of the output that they report, Mistral audio out of the input."""
        for whole in self.wholes:
            part += counts.get(whole, 0)
        return total == part


BESIDE: Final = ("reasoning", "input_audio")
"""Parts that some providers do not count in their whole: their own total tells."""

TOTAL: Final = "total"
"""The name under which a table keeps the provider's own sum; no unit has it."""


def _take(usage: Body, level: Level, counts: dict[str, int]) -> bool:
    """Takes plain counts, each unit from one place; `False` where it takes `_walk` to read them."""
    names = tuple(usage)
    for name, unit, below in level.shapes.get(names) or level.shape(names):
        value = usage[name]
        if below is None:
            if value.__class__ is int and unit not in counts and 0 <= value <= LARGEST:
                counts[unit] = value
            elif value is not None:
                return False
        elif value.__class__ is dict and not _take(value, below, counts):
            return False
    return True


Found = dict[str, tuple[int, int]]
"""The rank and the count of each unit."""


def _walked(usage: Body, level: Level, flaws: list[str]) -> dict[str, int]:
    found: Found = {}
    _walk(usage, level, found, flaws)
    return {unit: count for unit, (_, count) in found.items()}


def _walk(usage: Body, level: Level, found: Found, flaws: list[str]) -> None:
    """One pass over what is there: of the places of a unit, the first that holds a value counts."""
    for name, value in usage.items():
        target = level.targets.get(name)
        if target is None or value is None:
            continue
        if isinstance(target, Level):
            if isinstance(value, dict):
                _walk(value, target, found, flaws)
            continue
        rank, unit = target
        count = as_count(value)
        if count is None:
            flaws.append(f"{name} is no count: {str(value)[:40]!r}")
        elif unit not in found or rank < found[unit][0]:
            found[unit] = (rank, count)


def as_count(value: Any) -> int | None:
    """A whole number of at most 2**53, of either sign; `None` for all else, text and booleans included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if -LARGEST <= value <= LARGEST else None


MODALITIES: Final = ("input_image", "input_audio")
OVERLAP: Final = "images or sound that the cache served are counted with both"


def _fitted(units: dict[str, int]) -> bool:
    """Takes what the cache must have served of images and sound out of those; whether the parts then fit the whole."""
    lacking = -units["input"]
    if not units.get("cache_read") or sum(max(units.get(unit, 0), 0) for unit in MODALITIES) < lacking:
        return False
    for unit in MODALITIES:
        served = min(lacking, max(units.get(unit, 0), 0))
        if served:
            units[unit] -= served
            units["input"] += served
            lacking -= served
    return True


def _checked(units: dict[str, int], total: int | None, flaws: list[str]) -> Usage:
    overlap = units.get("input", 0) < 0 and _fitted(units)
    for unit, quantity in units.items():
        if quantity < 0:
            flaws.append(f"{unit} is negative: {quantity}")
    if flaws:
        return Usage(units, flaws[0], usable=False)
    if overlap:
        return Usage(units, OVERLAP)
    if total is not None and total != (tokens := sum(units.values())):
        return Usage(units, f"the provider's total {total} is not the sum of its parts {tokens}")
    return Usage(units)


State = dict[str, Any]
"""What has been gathered of one response: a body-like dict that `Api.read` understands. Keys with `_` are our own."""


class Request(NamedTuple):
    """What is kept of a request: its path, the model it names and what may decide its price. Never its text."""

    model: str | None = None
    body: Body = MappingProxyType({})
    headers: Body = MappingProxyType({})
    context: Mapping[str, str] = MappingProxyType({})
    path: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """One metered endpoint.

    `fold` takes one body or one stream event into the state; it sets `state["_done"]` at the event after which nothing
    billable follows, and appends seen text to `state["_text"]` for an estimate should the usage never come.
    `read` turns the state into a `Reading`; where a response is no charge, or many, `each` gives its readings instead.
    A `lookup` bills nothing: it asks about what another call began, and books only what that one left open.
    `decode` makes bodies of bytes that are neither JSON nor an event stream, given their content type; `lines` says
    that each line is a JSON body; a fold that sets `state["_other"]` has seen that the rest is of no interest.
    """

    name: str
    operation: str
    fold: Callable[[State, Body], None]
    read: Callable[[State, Request], Reading]
    billed: bool = True
    lookup: bool = False
    each: Callable[[Tally], Iterable[Reading]] | None = None
    decode: Callable[[bytes, str], Iterable[Body]] | None = None
    lines: bool = False

    def readings(self, tally: Tally) -> Iterable[Reading]:
        """What to book of a response."""
        return (self.read(tally.state, tally.call.request),) if self.each is None else self.each(tally)


def keep(state: State, event: Body, *names: str) -> None:
    """Copies the named fields that hold a value: the last one wins."""
    for name in names:
        value = event.get(name)
        if value is not None:
            state[name] = value
