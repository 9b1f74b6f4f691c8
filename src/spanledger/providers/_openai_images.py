"""OpenAI's images: by tokens where the response reports them, else by the image, at its size and quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger._types import Quantity, Usage
from spanledger.providers._folding import merge_usage, stated_cost
from spanledger.providers._reading import Api, Body, Reading, Request, State, UsageTable, keep, paths, text

TOKENS: Final = UsageTable(
    wholes={"input": paths("input_tokens"), "output": paths("output_tokens")},
    parts={
        "cache_read": ("input", paths("input_tokens_details.cached_tokens")),
        "input_image": ("input", paths("input_tokens_details.image_tokens")),
        "output_image": ("output", paths("output_tokens_details.image_tokens")),
    },
    total=paths("total_tokens"),
)

SVG: Final = UsageTable(
    wholes={"input": paths("input_tokens"), "output": paths("output_tokens")},
    parts={"reasoning": ("output", paths("reasoning_tokens"))},
    total=paths("total_tokens"),
)
"""An SVG is written by a model of its own, which the response names."""

DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "dall-e-2": {"size": "1024x1024"},
    "dall-e-3": {"size": "1024x1024", "quality": "standard"},
}
"""What decides the price of an image where the request leaves it out."""


def fold_images(state: State, event: Body) -> None:
    """A whole body, or the event that ends a stream; events before it hold pictures and no usage."""
    kind = event.get("type")
    if isinstance(kind, str) and not kind.endswith(".completed"):
        return
    keep(state, event, "model", "size", "quality", "svg_usage")
    merge_usage(state, event.get("usage"))
    data = event.get("data")
    state["_images"] = state.get("_images", 0) + (len(data) if isinstance(data, list) else int(kind is not None))
    state["_done"] = True


def read_images(state: State, request: Request) -> Reading:
    """The reading of an images response."""
    usage = _tokens(state)
    return Reading(
        usage or _count(state),
        response_model=text(state.get("model")),
        context=request.context if usage else {**request.context, **_form(state, request)},
        provider_cost=stated_cost(state.get("usage")),
    )


def _tokens(state: State) -> Usage | None:
    """Without details of the output, all of it is the image."""
    reported = state.get("usage")
    if isinstance(reported, dict) and not isinstance(reported.get("output_tokens_details"), dict):
        reported = {**reported, "output_tokens_details": {"image_tokens": reported.get("output_tokens")}}
    usage, svg = TOKENS.read(reported), _svg(state.get("svg_usage"))
    return usage._replace(units={**usage.units, **svg}) if usage else None


def _svg(reported: Any) -> Mapping[str, Quantity]:
    usage = SVG.read(reported)
    model = text(reported.get("model")) if usage else None
    return {f"{unit}@{model}": quantity for unit, quantity in usage.units.items()} if usage and model else {}


def _count(state: State) -> Usage | None:
    return Usage({"images": state["_images"]}) if state.get("_images") else None


def _form(state: State, request: Request) -> Mapping[str, str]:
    usual = DEFAULTS.get(request.model or "", {})
    stated = {name: text(state.get(name)) or text(request.body.get(name)) for name in ("size", "quality")}
    return {**usual, **{name: value for name, value in stated.items() if value and value != "auto"}}


GENERATE: Final = Api("images.generate", "generate_content", fold_images, read_images)
EDIT: Final = Api("images.edit", "generate_content", fold_images, read_images)
VARIATION: Final = Api("images.create_variation", "generate_content", fold_images, read_images)

ROUTES: Final[Mapping[str, Api]] = {
    "/images/generations": GENERATE,
    "/images/edits": EDIT,
    "/images/variations": VARIATION,
}
