"""Amazon Bedrock's runtime: Converse, and InvokeModel with the body of each model family."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from spanledger._types import Usage
from spanledger.providers._folding import merge_usage, see
from spanledger.providers._reading import (
    Api,
    Body,
    Reading,
    Request,
    State,
    UsageTable,
    as_count,
    dig,
    first,
    keep,
    paths,
    text,
)

CONVERSE_TOKENS = UsageTable(
    wholes={"cache_write": paths("cacheWriteInputTokens", "cacheWriteInputTokenCount")},
    parts={
        "cache_write_5m": ("cache_write", paths("_ttl.5m")),
        "cache_write_1h": ("cache_write", paths("_ttl.1h")),
    },
    extras={
        "input": paths("inputTokens"),
        "output": paths("outputTokens"),
        "cache_read": paths("cacheReadInputTokens", "cacheReadInputTokenCount"),
    },
    total=paths("totalTokens"),
)
"""Input leaves out what the cache served or stored; `cacheDetails` splits what was written by lifetime."""

INVOKE_TOKENS = UsageTable(
    wholes={
        "output": paths(
            "usage.output_tokens",
            "usage.outputTokens",
            "usage.completion_tokens",
            "generation_token_count",
            "_titan_output",
            "totalOutputTextTokenCount",
            "meta.billed_units.output_tokens",
            "_metrics.outputTokenCount",
            "_headers.output",
        ),
        "cache_write": paths(
            "usage.cache_creation_input_tokens",
            "usage.cacheWriteInputTokenCount",
            "usage.cacheWriteInputTokens",
            "_metrics.cacheWriteInputTokenCount",
            "_headers.cache_write",
        ),
    },
    parts={
        "cache_write_5m": ("cache_write", paths("usage.cache_creation.ephemeral_5m_input_tokens")),
        "cache_write_1h": ("cache_write", paths("usage.cache_creation.ephemeral_1h_input_tokens")),
        "reasoning": (
            "output",
            paths("usage.output_tokens_details.thinking_tokens", "usage.completion_tokens_details.reasoning_tokens"),
        ),
    },
    extras={
        "input": paths(
            "usage.input_tokens",
            "usage.inputTokens",
            "usage.prompt_tokens",
            "prompt_token_count",
            "inputTextTokenCount",
            "meta.billed_units.input_tokens",
            "_metrics.inputTokenCount",
            "_headers.input",
        ),
        "cache_read": paths(
            "usage.cache_read_input_tokens",
            "usage.cacheReadInputTokenCount",
            "usage.cacheReadInputTokens",
            "_metrics.cacheReadInputTokenCount",
            "_headers.cache_read",
        ),
    },
)
"""What each family calls its counts; last the stream's `amazon-bedrock-invocationMetrics` and the response headers."""

COUNT = re.compile(r"[0-9]{1,15}")
"""A count in a header. Python makes no number of some thousands of digits."""

HEADERS: Mapping[str, str] = {
    "x-amzn-bedrock-input-token-count": "input",
    "x-amzn-bedrock-output-token-count": "output",
    "x-amzn-bedrock-cache-read-input-token-count": "cache_read",
    "x-amzn-bedrock-cache-write-input-token-count": "cache_write",
}


CONVERSE_TEXT = paths("delta.text", "delta.toolUse.input", "delta.reasoningContent.text")
INVOKE_TEXT = paths(
    *("delta.text", "delta.thinking", "delta.partial_json", "contentBlockDelta.delta.text"),
    *(
        "contentBlockDelta.delta.toolUse.input",
        "generation",
        "outputText",
        "outputs",
        "completion",
        "generations",
        "text",
    ),
)
"""Where an event of a stream has text, for an estimate should the stream be broken off."""


def fold_converse(state: State, event: Body) -> None:
    """A Converse response or an event of ConverseStream, in the form of the wire or of boto3."""
    keep(state, event, "stopReason", "performanceConfig", "serviceTier", "trace")
    if isinstance(event.get("usage"), dict):
        state["usage"] = event["usage"]
        state["_done"] = True
    if (seen := first(event, CONVERSE_TEXT)).__class__ is str:
        see(state, seen)


def read_converse(state: State, request: Request) -> Reading:
    """The reading of a Converse response: it names no model, so the requested one counts, or the router's choice."""
    usage = state.get("usage")
    reason = text(state.get("stopReason"))
    routed = text(dig(state, ("trace", "promptRouter", "invokedModelId")))
    return Reading(
        _with_fee(CONVERSE_TOKENS.read(_with_lifetimes(usage)), routed),
        response_model=routed,
        response_id=text(state.get("_request_id")),
        finish_reasons=(reason,) if reason else (),
        context={**request.context, **_tier(state)},
    )


def _with_fee(usage: Usage | None, routed: str | None) -> Usage | None:
    """A prompt router charges for what it reads, beside the model that it chooses."""
    if usage is None or not usage.usable or routed is None:
        return usage
    return usage._replace(units={**usage.units, "router_tokens": usage.input_tokens or 0})


def _with_lifetimes(usage: Any) -> Any:
    details = usage.get("cacheDetails") if isinstance(usage, dict) else None
    if not isinstance(details, list):
        return usage
    lifetimes = {str(one.get("ttl")): one.get("inputTokens") for one in details if isinstance(one, dict)}
    return {**usage, "_ttl": lifetimes}


def _tier(state: State) -> Mapping[str, str]:
    found = {
        "service_tier": text(dig(state, ("serviceTier", "type"))),
        "latency": text(dig(state, ("performanceConfig", "latency"))),
    }
    return {name: value for name, value in found.items() if value}


def fold_invoke(state: State, event: Body) -> None:
    """An InvokeModel body or a chunk of its stream, of any family, and Claude's own stream events."""
    message = event.get("message")
    if event.get("type") == "message_start" and isinstance(message, dict):
        event = message
    keep(
        state,
        event,
        *("id", "model", "stop_reason", "prompt_token_count", "generation_token_count", "inputTextTokenCount"),
        *("meta", "stopReason", "completionReason", "totalOutputTextTokenCount"),
    )
    merge_usage(state, event.get("usage") or dig(event, ("metadata", "usage")))
    metrics = event.get("amazon-bedrock-invocationMetrics")
    if isinstance(metrics, dict):
        state["_metrics"] = metrics
    if isinstance(metrics, dict) or event.get("totalOutputTextTokenCount") is not None:
        state["_done"] = True
    results = event.get("results")
    if isinstance(results, list):
        state["_titan_output"] = _titan_output(results)
    if (seen := first(event, INVOKE_TEXT)) is not None:
        see(state, seen)
    elif isinstance(choices := event.get("choices"), list):
        see(state, [choice.get("delta") for choice in choices if isinstance(choice, dict)])


def _titan_output(results: list[Any]) -> int | None:
    counts = [one.get("tokenCount") for one in results if isinstance(one, dict)]
    return sum(count for count in counts if isinstance(count, int)) if counts else None


def _exclusive(state: State) -> State:
    """OpenAI's models count in their input what the cache served: it is taken out, as the others do."""
    served = as_count(dig(state, ("usage", "prompt_tokens_details", "cached_tokens")))
    sent = as_count(dig(state, ("usage", "prompt_tokens")))
    if not served or sent is None:
        return state
    return {**state, "usage": {**state["usage"], "prompt_tokens": sent - served, "cacheReadInputTokens": served}}


def read_invoke(state: State, request: Request) -> Reading:
    """The reading of an InvokeModel response; the headers count where the body does not say."""
    reason = text(state.get("stop_reason")) or text(state.get("stopReason")) or text(state.get("completionReason"))
    return Reading(
        INVOKE_TOKENS.read({**_exclusive(state), "_headers": header_counts(request.headers)}),
        response_model=text(state.get("model")),
        response_id=text(state.get("_request_id")) or text(state.get("id")),
        finish_reasons=(reason,) if reason else (),
        context=request.context,
    )


def header_counts(headers: Body) -> Mapping[str, int]:
    """The token counts that Bedrock puts into the headers of a response."""
    found = {unit: headers.get(name) for name, unit in HEADERS.items()}
    return {unit: int(said) for unit, said in found.items() if isinstance(said, str) and COUNT.fullmatch(said)}


GUARDRAIL_UNITS = UsageTable(
    extras={
        "guardrail_topics": paths("topicPolicyUnits"),
        "guardrail_content": paths("contentPolicyUnits", "contentFilter.textUnits"),
        "guardrail_images": paths("contentPolicyImageUnits"),
        "guardrail_private_data": paths("sensitiveInformationPolicyUnits", "sensitiveInformation.textUnits"),
        "guardrail_prompt_attacks": paths("promptAttack.textUnits"),
        "guardrail_grounding": paths("contextualGroundingPolicyUnits"),
        "guardrail_reasoning": paths("automatedReasoningPolicyUnits"),
    }
)
"""Text units, and images, that each policy looked at. Words and regular expressions are free."""


def fold_guardrail(state: State, event: Body) -> None:
    """An answer of a guardrail."""
    keep(state, event, "usage", "action")


def read_guardrail(name: str) -> Callable[[State, Request], Reading]:
    """Reads an answer of a guardrail; prices of your own find it under this name, in the place of a model."""

    def read(state: State, request: Request) -> Reading:
        action = text(state.get("action"))
        return Reading(
            GUARDRAIL_UNITS.read(state.get("usage")),
            response_model=name,
            response_id=text(state.get("_request_id")),
            finish_reasons=(action,) if action else (),
            context=request.context,
        )

    return read


APIS: Mapping[str, Api] = {
    "ApplyGuardrail": Api("apply_guardrail", "apply_guardrail", fold_guardrail, read_guardrail("guardrails")),
    "Converse": Api("converse", "chat", fold_converse, read_converse),
    "ConverseStream": Api("converse_stream", "chat", fold_converse, read_converse),
    "InvokeGuardrailChecks": Api(
        "invoke_guardrail_checks", "apply_guardrail", fold_guardrail, read_guardrail("guardrail-checks")
    ),
    "InvokeModel": Api("invoke_model", "chat", fold_invoke, read_invoke),
    "InvokeModelWithResponseStream": Api("invoke_model_with_response_stream", "chat", fold_invoke, read_invoke),
}
"""The operations of `bedrock-runtime` that bill."""
