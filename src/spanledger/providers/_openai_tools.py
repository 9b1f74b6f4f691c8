"""What a Responses body is billed for beside its tokens: searches, files, and the images that another model made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanledger._types import Quantity, Usage
from spanledger.providers._reading import State, UsageTable, as_count, dig, paths

IMAGES: Final = UsageTable(
    wholes={"input": paths("input_tokens"), "output": paths("output_tokens")},
    parts={
        "cache_read": ("input", paths("input_tokens_details.cached_tokens")),
        "input_image": ("input", paths("input_tokens_details.image_tokens")),
        "output_image": ("output", paths("output_tokens_details.image_tokens", "_image_tokens")),
    },
)
"""`tool_usage.image_gen`: the tokens of an image model, which are no part of the response's own."""

IMAGE_MODEL: Final = "gpt-image-1"
"""What the image tool uses where neither the request nor the response names a model."""


def with_tools(usage: Usage | None, state: State) -> Usage | None:
    """A response's usage and what its tools cost. Billable searches are counted by the provider where it says so."""
    if usage is None or not usage.usable or not ("tool_usage" in state or "output" in state):
        return usage
    extras = {unit: count for unit, count in _tools(state) if count}
    if not extras:
        return usage
    guessed = any(unit.endswith(f"@{IMAGE_MODEL}") for unit in extras) and _named(state) is None
    flaw = f"the image model is not named: priced as {IMAGE_MODEL}" if guessed else None
    return usage._replace(units={**usage.units, **extras}, flaw=usage.flaw or flaw)


def _tools(state: State) -> Iterator[tuple[str, Quantity]]:
    items = _objects(state.get("output"))
    yield _search_unit(state), _searches(state, items)
    yield "file_search", _file_searches(items)
    yield from _images(state)


def _search_unit(state: State) -> str:
    preview = any(str(tool.get("type")).startswith("web_search_preview") for tool in _objects(state.get("tools")))
    return "web_search_preview" if preview else "web_search"


def note_done(state: State, item: Any) -> None:
    """Counts what a tool has done while a response goes on: its end says all of that again, if it comes."""
    items = _objects([item])
    done = {_search_unit(state): _searches({}, items), "file_search": _file_searches(items)}
    fees = state.setdefault("_fees", {})
    fees.update({unit: fees.get(unit, 0) + count for unit, count in done.items() if count})


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _searches(state: State, items: list[Mapping[str, Any]]) -> int:
    """Opening or scanning a page that a search found is free; only searches bill."""
    counted = as_count(dig(state, ("tool_usage", "web_search", "num_requests")))
    if counted is not None:
        return counted
    calls = (item for item in items if item.get("type") == "web_search_call")
    return sum(dig(item, ("action", "type")) in (None, "search") for item in calls)


def _file_searches(items: list[Mapping[str, Any]]) -> int:
    return sum(item.get("type") == "file_search_call" for item in items)


def _images(state: State) -> Iterator[tuple[str, Quantity]]:
    reported = dig(state, ("tool_usage", "image_gen"))
    if isinstance(reported, Mapping) and "output_tokens_details" not in reported:
        reported = {**reported, "_image_tokens": reported.get("output_tokens")}
    usage = IMAGES.read(reported)
    if usage is not None and usage.usable:
        model = _named(state) or IMAGE_MODEL
        for unit, count in usage.units.items():
            yield f"{unit}@{model}", count


def _named(state: State) -> str | None:
    """The image model, as the usage, an image in the output or the tool of the request names it."""
    makers = [*_objects(state.get("output")), *_objects(state.get("tools"))]
    named = [maker.get("model") for maker in makers if str(maker.get("type")).startswith("image_generation")]
    reported = dig(state, ("tool_usage", "image_gen", "model"))
    return next((name for name in (reported, *named) if isinstance(name, str) and name), None)
