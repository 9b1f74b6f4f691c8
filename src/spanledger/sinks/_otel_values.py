"""The values behind the span attributes: what a row says, in the form that the readers of a span take.

A span carries doubles and text only, so an amount is shown as the nearest double; the exact one is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from spanledger._types import OWNERS, Row
from spanledger._units import UNITS
from spanledger.errors import ConfigurationError
from spanledger.sinks._otel_names import AROUND, DEFAULT_PROFILES, END, PROFILES, START, TAG_PREFIX, TAGS, Name

Attributes = dict[str, Any]
Read = Callable[[Row], Any]


def usd(row: Row) -> float | None:
    """What the call cost in US dollars, `None` where that is not known or in another currency."""
    amount = row.get("effective_cost") or row.get("list_cost")
    return float(amount) if amount is not None and row.get("currency", "USD") == "USD" else None


def costs_of(row: Row) -> Attributes:
    """The cost and what each side of the call caused of it, in proportion where a contract changed the whole."""
    total = usd(row)
    if total is None:
        return {}
    costs = row.get("costs")
    if not costs:
        return {"total_cost": total}
    sent = received = 0.0
    for unit, amount in costs.items():
        side = SIDES[unit] if unit in SIDES else _side(unit)
        if side == "input":
            sent += float(amount)
        elif side == "output":
            received += float(amount)
    factor = _share(row, total)
    return {"total_cost": total, "input_cost": sent * factor, "output_cost": received * factor}


def _share(row: Row, total: float) -> float:
    """What a contract leaves of the list cost."""
    if row["list_cost"] == row.get("effective_cost"):
        return 1.0
    listed = float(row["list_cost"])
    return 1.0 if listed == total or not listed else total / listed


def _part_cost(side: str, group: str = "") -> Read:
    """What the units of one narrow total cost."""

    def read(row: Row) -> float | None:
        total, costs = row.get("total_cost"), row.get("costs") or {}
        known = [(UNITS.get(unit.partition("@")[0]), float(amount)) for unit, amount in costs.items()]
        found = [amount for unit, amount in known if unit is not None and (unit.side, unit.group) == (side, group)]
        return None if total is None or not found else sum(found) * _share(row, total)

    return read


SIDES: Final = {unit.name: unit.side for unit in UNITS.values()}
"""The side of the call that a unit counts in: `input`, `output` or none."""


def _side(unit: str) -> str:
    """The side of a unit that has a tier or a modality behind an `@`, or that is not known."""
    return SIDES.get(unit.partition("@")[0], "")


def _mlflow_cost(row: Row) -> str | None:
    if "total_cost" not in row:
        return None
    sent, received = row.get("input_cost", 0.0), row.get("output_cost", 0.0)
    return _json({"input_cost": sent, "output_cost": received, "total_cost": row["total_cost"]})


def _langfuse_usage(row: Row) -> str | None:
    """Disjoint units, as Langfuse sums what it is given."""
    return _json(row["usage"]) if row.get("usage") else None


def _langfuse_cost(row: Row) -> str | None:
    if "total_cost" not in row:
        return None
    units = {unit: float(amount) for unit, amount in row.get("costs", {}).items()}
    return _json({**units, "total": row["total_cost"]})


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _first_chunk_seconds(row: Row) -> float | None:
    millis = row.get("time_to_first_chunk_ms")
    return None if millis is None else millis / 1000


def _total_tokens(row: Row) -> int | None:
    sent, received = row.get("input_tokens"), row.get("output_tokens")
    return None if sent is None and received is None else (sent or 0) + (received or 0)


def _unit(*units: str) -> Read:
    def read(row: Row) -> int | None:
        usage = row.get("usage") or {}
        found = [int(usage[unit]) for unit in units if unit in usage]
        return sum(found) if found else None

    return read


def _metadata(row: Row) -> str | None:
    tags = tags_of(row)
    return _json(tags) if tags else None


def _openai_tier(row: Row) -> str | None:
    return row.get("service_tier") if row["provider_name"] in {"openai", "azure.ai.openai"} else None


def _finish_reason(row: Row) -> str | None:
    reasons = row.get("finish_reasons")
    return reasons[0] if reasons else None


OPENINFERENCE_PROVIDERS: Final[Mapping[str, str]] = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistralai",
    "moonshot_ai": "moonshot",
    "together_ai": "together",
    "x_ai": "xai",
    "z_ai": "zai",
}
"""OpenInference's word for a provider, where it is another than OpenTelemetry's."""

OPENING: Final = ("operation", "provider_name", "request_model", "server_address", "stream", *OWNERS)
"""The columns that the name and the attributes of a beginning span are made from."""

SYSTEMS: Final = {"aws.bedrock": "aws.bedrock", "azure.ai.openai": "az.ai.openai", "x_ai": "xai"}
"""Where `gen_ai.system` had another value than `gen_ai.provider.name` has."""

VALUES: Final[Mapping[str, Read]] = {
    "streamed": lambda row: row.get("stream") or None,
    "system": lambda row: SYSTEMS.get(row["provider_name"], row["provider_name"]),
    "openinference_kind": lambda row: "EMBEDDING" if row["operation"] == "embeddings" else "LLM",
    "openinference_provider": lambda row: OPENINFERENCE_PROVIDERS.get(row["provider_name"], row["provider_name"]),
    "embedding_model": lambda row: row.get("request_model") if row["operation"] == "embeddings" else None,
    "langfuse_type": lambda row: "embedding" if row["operation"] == "embeddings" else "generation",
    "langfuse_around": lambda row: "tool" if row["operation"] == "execute_tool" else "agent",
    "model": lambda row: row.get("response_model") or row.get("request_model"),
    "finish_reason": _finish_reason,
    "uncached_cost": _part_cost("input"),
    "cache_read_cost": _part_cost("input", "cache_read"),
    "cache_write_cost": _part_cost("input", "cache_write"),
    "spoken_cost": _part_cost("output"),
    "reasoning_cost": _part_cost("output", "reasoning"),
    "workflow_name": lambda row: row["name"] if row["operation"] == "invoke_workflow" else None,
    "tool_name": lambda row: row["name"] if row["operation"] == "execute_tool" else None,
    "around_kind": lambda row: "TOOL" if row["operation"] == "execute_tool" else "AGENT",
    "metadata": _metadata,
    "first_chunk_seconds": _first_chunk_seconds,
    "openai_tier": _openai_tier,
    "total_tokens": _total_tokens,
    "input_audio_tokens": _unit("input_audio", "cache_read_audio"),
    "input_image_tokens": _unit("input_image", "cache_read_image"),
    "output_audio_tokens": _unit("output_audio"),
    "output_image_tokens": _unit("output_image"),
    "mlflow_cost": _mlflow_cost,
    "langfuse_usage": _langfuse_usage,
    "langfuse_cost": _langfuse_cost,
    "amount": lambda row: float(row["effective_cost"]) if row.get("effective_cost") else None,
    "spec_443_source": lambda row: row.get("cost_source") or ("local" if row.get("list_cost") else None),
}
"""Values that are no column, made from a row."""


def tags_of(row: Row) -> dict[str, str]:
    """All tags of a row: those that have a column, then the rest."""
    found = {owner: row[owner] for owner in OWNERS if row.get(owner)}
    found.update(row.get("tags") or {})
    return found


class Names:
    """The names of some profiles, ready to be read from rows."""

    def __init__(self, profiles: Iterable[str] = DEFAULT_PROFILES) -> None:
        """`profiles` are names of `_otel_names.PROFILES`."""
        chosen = frozenset(profiles)
        unknown = chosen - set(PROFILES)
        if unknown:
            msg = f"profiles: {min(unknown)!r} is none of {', '.join(PROFILES)}"
            raise ConfigurationError(msg)
        self._start = _compiled(START, chosen)
        self._tags = _compiled(TAGS, chosen)
        self._end = _compiled(END, chosen)
        self._around = _compiled(AROUND, chosen)
        self._named = {name.value for name in TAGS if name.profile in chosen}
        self._opening = lru_cache(maxsize=4096)(self._opening_of)
        self._tagging = lru_cache(maxsize=4096)(self._tagging_of)

    def start(self, row: Row, port: int | None = None) -> tuple[str, Attributes]:
        """The name of the span of a call that begins, and what is known by then, tags included. Not to be changed."""
        rest = row.get("tags")
        return self._opening(port, tuple(rest.items()) if rest else (), (*map(row.get, OPENING),))

    def around(self, row: Row) -> Attributes:
        """Of a workflow or a tool: what it is."""
        return _read(self._around, row)

    def tags(self, tags: Mapping[str, str]) -> Attributes:
        """The attributes of some tags. Not to be changed."""
        return self._tagging(tuple(tags.items())) if tags else {}

    def end(self, row: Row) -> Attributes:
        """What the finished call adds: usage, cost, identity."""
        return _read(self._end, {**row, **costs_of(row)})

    def _opening_of(
        self, port: int | None, tags: tuple[tuple[str, str], ...], values: tuple[Any, ...]
    ) -> tuple[str, Attributes]:
        row = {"server_port": port, "tags": dict(tags), **dict(zip(OPENING, values, strict=True))}
        model = row["request_model"]
        name = f"{row['operation']} {model}" if model else row["operation"]
        return name, {**_read(self._start, row), **self.tags(tags_of(row))}

    def _tagging_of(self, items: tuple[tuple[str, str], ...]) -> Attributes:
        tags = dict(items)
        rest = {TAG_PREFIX + name: value for name, value in tags.items() if name not in self._named}
        return {
            **_read(self._tags, {**tags, "tags": {name: tags[name] for name in tags if name not in OWNERS}}),
            **rest,
        }


class Compiled(NamedTuple):
    """A table for one reader: each column with the attribute that shows it, and each value that is no column."""

    columns: tuple[tuple[str, str], ...]
    values: tuple[tuple[Read, tuple[str, ...]], ...]


def _compiled(names: Iterable[Name], profiles: frozenset[str]) -> Compiled:
    """A value that is no column is read once, for every attribute that shows it."""
    chosen = [(name.value, name.attribute) for name in names if name.profile in profiles]
    by_value: dict[str, list[str]] = {}
    for value, attribute in chosen:
        if value in VALUES:
            by_value.setdefault(value, []).append(attribute)
    return Compiled(
        tuple(one for one in chosen if one[0] not in VALUES),
        tuple((VALUES[value], tuple(attributes)) for value, attributes in by_value.items()),
    )


def _read(compiled: Compiled, row: Row) -> Attributes:
    found: Attributes = {}
    get = row.get
    for column, attribute in compiled.columns:
        value = get(column)
        if value is not None:
            found[attribute] = value
    for read, attributes in compiled.values:
        value = read(row)
        if value is not None:
            for attribute in attributes:
                found[attribute] = value
    return found
