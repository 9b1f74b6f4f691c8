"""Anthropic's wire format: Messages, on its own API, Bedrock, Vertex AI and Foundry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger.providers import _batches
from spanledger.providers._anthropic_iterations import read_iterations
from spanledger.providers._folding import ignore, merge_usage, read_unbilled, see, stated_cost
from spanledger.providers._reading import Api, Body, Reading, Request, State, UsageTable, dig, keep, paths, text
from spanledger.providers._stainless import Stainless

TOKENS = UsageTable(
    wholes={"output": paths("output_tokens"), "cache_write": paths("cache_creation_input_tokens")},
    parts={
        "cache_write_5m": ("cache_write", paths("cache_creation.ephemeral_5m_input_tokens")),
        "cache_write_1h": ("cache_write", paths("cache_creation.ephemeral_1h_input_tokens")),
        "reasoning": ("output", paths("output_tokens_details.thinking_tokens")),
    },
    extras={
        "input": paths("input_tokens"),
        "cache_read": paths("cache_read_input_tokens"),
        "web_search": paths("server_tool_use.web_search_requests"),
    },
)
"""`input_tokens` leaves out what the cache served or stored; the split by lifetime may not add up to its total."""


def fold_messages(state: State, event: Body) -> None:
    """A Message body or a stream event: `message_start` has the input, `message_delta` the cumulative rest."""
    kind = event.get("type")
    if kind == "content_block_delta":
        _fold_delta(state, event.get("delta"))
    elif kind == "message_start":
        _fold_message(state, event.get("message"))
    elif kind == "message_delta":
        _fold_end(state, event)
    elif kind == "message_stop":
        state["_done"] = True
        keep(state, event, "amazon-bedrock-invocationMetrics")
    elif kind == "error":
        state["_error"] = text(dig(event, ("error", "type"))) or "error"
    elif kind == "message" or "usage" in event:
        _fold_message(state, event)
        state["_done"] = True
        if "usage" not in state:
            see(state, event.get("content"))


def _fold_delta(state: State, delta: Any) -> None:
    if isinstance(delta, dict):
        see(state, delta.get("text") or delta.get("thinking") or delta.get("partial_json"))


def _fold_message(state: State, message: Any) -> None:
    if isinstance(message, dict):
        keep(state, message, "id", "model", "stop_reason", "stop_details")
        merge_usage(state, message.get("usage"))


def _fold_end(state: State, event: Body) -> None:
    if isinstance(event.get("usage"), dict):
        merge_usage(state, event["usage"])
        state["_done"] = True
    delta = event.get("delta")
    if isinstance(delta, dict):
        keep(state, delta, "stop_reason", "stop_details")


def read_messages(state: State, request: Request) -> Reading:
    """The reading of a Message."""
    usage = state.get("usage")
    model, reason = text(state.get("model")), text(state.get("stop_reason"))
    return Reading(
        read_iterations(TOKENS, usage, model),
        response_model=model,
        response_id=text(state.get("id")),
        finish_reasons=(reason,) if reason else (),
        context={**request.context, **_context(usage), **_refusal(state, usage)},
        provider_cost=stated_cost(usage),
    )


def _context(usage: object) -> Mapping[str, str]:
    if not isinstance(usage, dict):
        return {}
    names = ("service_tier", "inference_geo", "speed")
    return {name: value for name in names if (value := text(usage.get(name)))}


def fold_completion(state: State, event: Body) -> None:
    """A Text Completion body or event, of the API before Messages: it reports no usage."""
    keep(state, event, "id", "log_id", "model", "stop_reason")
    if isinstance(event.get("completion"), str):
        see(state, event["completion"])
    if event.get("stop_reason") is not None:
        state["_done"] = True


def read_completion(state: State, request: Request) -> Reading:
    """The reading of a Text Completion."""
    reading = read_messages(state, request)
    return reading._replace(response_id=reading.response_id or text(state.get("log_id")))


def _refusal(state: State, usage: Any) -> Mapping[str, str]:
    """The category of a refusal before any output: whether such a request is billed depends on it."""
    if state.get("stop_reason") != "refusal" or not isinstance(usage, Mapping) or usage.get("output_tokens"):
        return {}
    return {"refusal": text(dig(state, ("stop_details", "category"))) or "unnamed"}


MESSAGES = Api("messages", "chat", fold_messages, read_messages)
COMPLETE = Api("complete", "text_completion", fold_completion, read_completion)
COUNT_TOKENS = Api("messages.count_tokens", "count_tokens", ignore, read_unbilled, billed=False)


def result_of(line: Body) -> _batches.Result | None:
    """The answer in a line of a batch's results; one that failed, expired or was cancelled is not billed."""
    custom_id, message = text(line.get("custom_id")), dig(line, ("result", "message"))
    return _batches.Result(custom_id, message) if custom_id and isinstance(message, dict) else None


BATCH_RESULTS = _batches.results("messages.batches.results", result_of, lambda _: MESSAGES)

ROUTES: Mapping[str, Api] = {
    "/v1/messages/batches": _batches.CREATE,
    "/v1/messages/batches/{}/cancel": _batches.RETRIEVE,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
    "/v1/complete": COMPLETE,
}

LOOKUPS: Mapping[str, Api] = {
    "/v1/messages/batches": _batches.RETRIEVE,
    "/v1/messages/batches/{}": _batches.RETRIEVE,
    "/v1/messages/batches/{}/results": BATCH_RESULTS,
}

PLATFORMS: Mapping[str, str] = {
    "AnthropicBedrock": "aws.bedrock",
    "AnthropicBedrockMantle": "aws.bedrock",
    "AnthropicVertex": "gcp.vertex_ai",
    "AnthropicFoundry": "azure.ai.inference",
}

provider = Stainless("anthropic", "anthropic", ROUTES, platforms=PLATFORMS, lookups=LOOKUPS)
