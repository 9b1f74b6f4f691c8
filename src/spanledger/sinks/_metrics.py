"""Metrics of charges: sums that the SDK asks for when it exports, and histograms that it must be told.

A call only puts its row down; rows are counted in batches, at the latest when the SDK collects. Counters are observable
instruments over integers kept here: exact, and bounded in number whatever tags come. An attribute set of our own
overflow is `other`, so totals by the first tags stay right where the SDK's limit of 2,000 sets would fold everything
into one.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, NoOpMeterProvider, Observation
from opentelemetry.metrics import _internal as _api

from spanledger._seen import Recent
from spanledger._types import Charge, Row
from spanledger._units import FEMTO, UNITS, femtos_of
from spanledger.errors import ConfigurationError
from spanledger.sinks._metric_names import ATTRIBUTES, CALL, DEFAULT_METRICS, METRICS, MODALITIES, PROFILES, Metric
from spanledger.sinks._otel_names import SCHEMA_URL
from spanledger.sinks._pending import MOST, Pending

DEFAULT_METRIC_TAGS: Final = ("team", "feature", "environment")
MOST_SERIES: Final = 1200
RESERVE: Final = 100
"""How many sets of attributes are kept, and how many more for each tag that is given up: below the SDK's 2,000, with
room for those that modalities add."""
OTHER: Final = "other"
SURE: Final = ("exact", "not_billed")
"""The cost statuses of charges that nothing corrects while the process that booked them runs."""

KEY: Final = (*(name for name in CALL if name != "server_port"), "cost_status", "usage_source")
"""What calls are told apart by, besides tags, and the port, which is no column."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})

Health = Callable[[], Mapping[str, int]]
Key = tuple[Any, ...]
Series = dict[str, Any]


def no_health() -> Mapping[str, int]:
    """For a sink that stands alone."""
    return {}


class Totals:
    """Exact sums by attribute set, monotonic, in bounded memory. One thread adds at a time, any may look."""

    def __init__(self, tags: tuple[str, ...], top: Mapping[str, int]) -> None:
        """`tags` in order of importance: the last one gives way to `other` first. `top` bounds the values of a tag."""
        self.tags = tags
        self._columns = (*KEY, *tags)
        self._top = {tag: Top(most) for tag, most in top.items()}
        self._series: dict[Key, Series] = {}
        self._unsure: Recent[Series] = Recent(4_000)
        _forked(self)

    def add(self, row: Row) -> Key:
        """Counts one charge; of one that corrects another, what it adds to that one. Returns its values of `KEY`."""
        get = row.get
        femtos = _femtos(row)
        counted = _counted(row, femtos)
        if "corrects" in row:
            counted = _beyond(counted, self._unsure.pop(row["corrects"]))
        elif get("cost_status") not in SURE:
            self._unsure.put(row["charge_id"], counted)
        key = tuple(map(get, self._columns))
        if self._top or "tags" in row:
            key = (*key[: len(KEY)], *self._tag_values(row, femtos))
        series = self._series.get(key)
        if series is None:
            series = self._admit(key)
        for what, quantity in counted.items():
            series[what] = series.get(what, 0) + quantity
        return key[: len(KEY)]

    def _tag_values(self, row: Row, femtos: int | None) -> Iterable[str | None]:
        rest = row.get("tags") or NONE
        values = [row.get(tag) or rest.get(tag) for tag in self.tags]
        if not self._top:
            return values
        tops = map(self._top.get, self.tags)
        return [
            value if top is None or value is None else top.place(value, femtos or 0)
            for value, top in zip(values, tops, strict=True)
        ]

    def _admit(self, key: Key) -> Series:
        """The series of a new key; where there are too many, of one in which tags, the last first, are `other`."""
        for folded in range(len(self.tags) + 1):
            tried = (*key[: len(key) - folded], *[OTHER] * folded)
            if tried in self._series or len(self._series) < MOST_SERIES + folded * RESERVE:
                return self._series.setdefault(tried, {})
        least = (*key[:2], *[None] * (len(KEY) - 2), *[OTHER] * len(self.tags))
        return self._series.setdefault(least, {})

    def snapshot(self) -> list[tuple[Key, Series]]:
        """Every series so far. A copy of a dict is one step, which no other thread and no collection interrupts."""
        return [(key, series.copy()) for key, series in self._series.copy().items()]

    def restart(self) -> None:
        """A forked child counts its own charges only."""
        self._series = {}
        self._unsure = Recent(4_000)


def _counted(row: Row, femtos: int | None) -> Series:
    """What a charge adds to its series: itself, its cost, and each unit."""
    found: Series = {"charges": 1}
    if femtos is not None:
        found["cost"] = femtos
    for unit, quantity in (row.get("usage") or {}).items():
        found[unit] = quantity if quantity.__class__ is int else Decimal(quantity)
    return found


def _beyond(counted: Series, before: Series | None) -> Series:
    """What a correction adds to the charge that it replaces: a counter never goes down, and a call is counted once."""
    known = {"charges": 1} if before is None else before
    return {what: counted[what] - known.get(what, 0) for what in counted if counted[what] > known.get(what, 0)}


class Top:
    """Values of one tag that get a series of their own; the rest is `other`.

    A value gets one as soon as it has caused 1/(2 K) of the cost so far, until K have one. It keeps it, and what it
    caused before stays in `other`: so no sum ever goes down.
    """

    MOST_WATCHED: Final = 100_000

    def __init__(self, most: int) -> None:
        self._most = most
        self._chosen: set[str] = set()
        self._costs: dict[str, int] = {}
        self._total = 0

    def place(self, value: str, femtos: int) -> str:
        """The value itself or `other`."""
        if value in self._chosen:
            self._total += femtos
            return value
        self._total += femtos
        if len(self._chosen) >= self._most:
            return OTHER
        if value in self._costs or len(self._costs) < self.MOST_WATCHED:
            self._costs[value] = self._costs.get(value, 0) + femtos
        if not self._costs.get(value, 0) * 2 * self._most >= self._total:
            return OTHER
        self._chosen.add(value)
        return value


_totals: weakref.WeakSet[Totals] = weakref.WeakSet()


def _forked(totals: Totals) -> None:
    _totals.add(totals)


def _restart_all() -> None:
    for totals in list(_totals):
        totals.restart()


os.register_at_fork(after_in_child=_restart_all)


def _femtos(row: Row) -> int | None:
    amount = row.get("effective_cost") or row.get("list_cost")
    return femtos_of(amount) if amount is not None and row.get("currency", "USD") == "USD" else None


class Source(NamedTuple):
    """Where metrics go and where those that no charge has come from."""

    provider: MeterProvider | None = None
    health: Health = no_health
    version: str = "0"


class Metrics:
    """The instruments of the meter provider in force."""

    def __init__(
        self,
        tags: tuple[str, ...] = DEFAULT_METRIC_TAGS,
        top: Mapping[str, int] = MappingProxyType({}),
        profiles: Iterable[str] = DEFAULT_METRICS,
        source: Source = Source(),  # noqa: B008 -- immutable
    ) -> None:
        chosen = frozenset(profiles)
        for profile in chosen - set(PROFILES):
            msg = f"metrics: {profile!r} is none of {', '.join(PROFILES)}"
            raise ConfigurationError(msg)
        self._metrics = [metric for metric in METRICS if metric.profile in chosen]
        self._tags = tuple(dict.fromkeys([*tags, *top]))
        self._top = top
        self._source = source
        self._known: MeterProvider | None = None
        self._instruments: Instruments | None = None

    def count(self, charge: Charge) -> None:
        """Counts one charge, where somebody has set a meter provider."""
        instruments = self._now()
        if instruments is not None:
            instruments.pending.put(charge)

    def over(self, row: Row, seconds: float) -> None:
        """Records how long a workflow or a tool took."""
        instruments = self._now()
        if instruments is not None:
            instruments.over(row, seconds)

    def _now(self) -> Instruments | None:
        """The instruments of the provider in force; made anew only when the provider changes."""
        provider = self._source.provider or getattr(_api, "_METER_PROVIDER", None)
        if provider is not self._known:
            self.flush()
            self._instruments = self._made(provider)
            self._known = provider
        return self._instruments

    def flush(self) -> None:
        """Gives the SDK what waits for a collection."""
        if self._instruments is not None:
            self._instruments.pending.drain()

    def _made(self, provider: MeterProvider | None) -> Instruments | None:
        if provider is None or isinstance(provider, NoOpMeterProvider):
            return None
        source = self._source._replace(provider=provider)
        return Instruments(
            provider.get_meter("spanledger", source.version, SCHEMA_URL),
            self._metrics,
            Totals(self._tags, self._top),
            source.health,
        )


class Instruments:
    """The instruments of one meter, and the rows that they have not seen yet."""

    def __init__(self, meter: Meter, metrics: Iterable[Metric], totals: Totals, health: Health) -> None:
        self._totals = totals
        self._health = health
        self._histograms: list[tuple[Metric, Histogram]] = []
        self._records = lru_cache(maxsize=4096)(self._records_of)
        observed = 0
        for metric in metrics:
            if metric.kind == "histogram":
                self._histograms.append((metric, _histogram(meter, metric)))
            else:
                meter.create_observable_counter(metric.name, [self._observer(metric)], metric.unit, metric.description)
                observed += 1
        self.pending = Pending(self._record, MOST if observed else 1)  # where nothing is observed, no collection asks

    def over(self, row: Row, seconds: float) -> None:
        """A workflow or a tool is over; there are few of them, so each is recorded as it ends."""
        column, value = AROUND[row["operation"]]
        known = {column: row["name"], "error_type": row["error_type"]}
        for metric, histogram in self._histograms:
            if metric.value == value:
                histogram.record(seconds, _named(metric.by, known))

    def _record(self, charge: Charge, context: Context) -> None:
        row = charge.row
        for record, read, attributes in self._records(charge.server_port, self._totals.add(row)):
            amount = read(row)
            if amount is not None:
                record(amount, attributes, context)

    def _records_of(self, port: int | None, key: Key) -> list[tuple[Record, Read, dict[str, Any]]]:
        """What the histograms are told of a call with these values, with the attributes ready made."""
        known = {"server_port": port, **dict(zip(KEY, key, strict=True))}
        return [
            (histogram.record, read, {**_named(metric.by, known), **extra})
            for metric, histogram in self._histograms
            if (known["operation"] == "embeddings") is EMBEDS.get(metric.value, known["operation"] == "embeddings")
            for read, extra in RECORDED.get(metric.value, ())
        ]

    def _observer(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        if metric.value in {"faults", "lost"}:
            return lambda _: [Observation(self._health().get(metric.value, 0))]
        return lambda _: self._observations(metric)

    def _observations(self, metric: Metric) -> Iterable[Observation]:
        """An SDK asks what is observed before it looks at its histograms: so those have all rows too."""
        self.pending.drain()
        return observations(metric, self._totals)


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    buckets = metric.buckets
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=buckets
    )


def observations(metric: Metric, totals: Totals) -> Iterable[Observation]:
    """One observation for each set of attributes that the metric distinguishes."""
    names = (*KEY, *totals.tags)
    kept = [
        index for index, name in enumerate(names) if name in metric.by or (name in totals.tags and "tags" in metric.by)
    ]
    sums: dict[tuple[tuple[str, Any], ...], Any] = {}
    for key, series in totals.snapshot():
        base = tuple((ATTRIBUTES.get(names[index], names[index]), key[index]) for index in kept if key[index])
        for extra, amount in _amounts(metric.value, series):
            sums[base + extra] = sums.get(base + extra, 0) + amount
    scale = FEMTO if metric.value == "cost" else 1
    for attributes, total in sums.items():
        yield Observation(total if scale == 1 else total / scale, dict(attributes))


Extra = tuple[tuple[str, Any], ...]


def _amounts(value: str, series: Series) -> Iterable[tuple[Extra, Any]]:
    if value in {"cost", "charges"}:
        if value in series:
            yield (), series[value]
        return
    for unit, quantity in series.items():
        known = UNITS.get(unit.partition("@")[0])
        if known is not None and value in (known.side, known.group):
            yield (("gen_ai.token.modality", MODALITIES.get(unit.rpartition("_")[2], "text")),), int(quantity)


def _named(names: Iterable[str], known: Row) -> dict[str, Any]:
    return {ATTRIBUTES[name]: known[name] for name in names if known[name] is not None}


Read = Callable[[Row], "float | None"]
Record = Callable[[float, dict[str, Any], Context], None]


def _seconds(row: Row) -> float | None:
    """A correction comes when the work is over that a call began: how long the call took is recorded already."""
    millis = None if "corrects" in row else row.get("duration_ms")
    return None if millis is None else millis / 1000


def _first_chunk(row: Row) -> float | None:
    millis = row.get("time_to_first_chunk_ms")
    return None if millis is None else millis / 1000


def _sent(row: Row) -> int | None:
    return row.get("input_tokens") or None


def _received(row: Row) -> int | None:
    return row.get("output_tokens") or None


RECORDED: Final[Mapping[str, tuple[tuple[Read, Mapping[str, str]], ...]]] = {
    "inference_seconds": ((_seconds, NONE),),
    "embeddings_seconds": ((_seconds, NONE),),
    "seconds": ((_seconds, NONE),),
    "first_chunk_seconds": ((_first_chunk, NONE),),
    "inference_input": ((_sent, NONE),),
    "inference_output": ((_received, NONE),),
    "embeddings_input": ((_sent, NONE),),
    "tokens": (
        (_sent, {"gen_ai.token.type": "input"}),
        (_received, {"gen_ai.token.type": "output"}),
    ),
}
"""What each histogram is told of a row, and under which further attributes; `None` is not told."""

EMBEDS: Final[Mapping[str, bool]] = {
    "inference_seconds": False,
    "inference_input": False,
    "inference_output": False,
    "embeddings_seconds": True,
    "embeddings_input": True,
}
"""The histograms that are told of embeddings only, or of all else only."""

AROUND: Final[Mapping[str, tuple[str, str]]] = {
    "invoke_workflow": ("workflow_name", "workflow_seconds"),
    "execute_tool": ("tool_name", "tool_seconds"),
}
"""What the name of a thing around calls is called, and which histogram is told how long it took."""
