"""Spans that other libraries emit, read as if they were responses: GenAI conventions old and new, OpenInference.

For calls that no hook of ours sees, and for archives of an OpenTelemetry collector. Nothing but names, numbers and
times is taken: message content is never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from spanledger._rows import LONGEST, instant, millis, put, write_tags
from spanledger._tags import short
from spanledger._types import OWNERS, Row
from spanledger.providers._reading import Path, Reading, UsageTable, text


class SpanFacts(NamedTuple):
    """One finished span. Ids are hexadecimal text, times nanoseconds since 1970."""

    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    failed: bool


def flat(*names: str) -> tuple[Path, ...]:
    """Attributes are flat: each name is a whole path."""
    return tuple((name,) for name in names)


TOKENS: Final = UsageTable(
    wholes={
        "input": flat("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens"),
        "output": flat("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens"),
    },
    parts={
        "cache_read": (
            "input",
            flat(
                "gen_ai.usage.cache_read.input_tokens",
                "llm.token_count.prompt_details.cache_read",
                "gen_ai.usage.cache_read_input_tokens",
                "gen_ai.usage.details.cache_read_tokens",
            ),
        ),
        "cache_write": (
            "input",
            flat(
                "gen_ai.usage.cache_write.input_tokens",
                "gen_ai.usage.cache_creation.input_tokens",
                "llm.token_count.prompt_details.cache_write",
                "gen_ai.usage.cache_creation_input_tokens",
                "gen_ai.usage.details.cache_write_tokens",
            ),
        ),
        "input_audio": (
            "input",
            flat("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
        ),
        "reasoning": (
            "output",
            flat(
                "gen_ai.usage.reasoning.output_tokens",
                "llm.token_count.completion_details.reasoning",
                "gen_ai.usage.details.reasoning_tokens",
            ),
        ),
        "output_audio": (
            "output",
            flat("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
        ),
    },
)
"""Input and output are inclusive in all conventions; where a library leaves the cache out, a part is negative."""

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "request_model": ("gen_ai.request.model", "llm.model_name", "embedding.model_name"),
    "server_address": ("server.address",),
    "user_id": ("user.id", "enduser.id"),
    "session_id": ("session.id", "gen_ai.conversation.id"),
    "error_type": ("error.type",),
    "team": ("spanledger.team",),
    "feature": ("spanledger.feature",),
    "customer": ("spanledger.customer",),
    "environment": ("spanledger.environment", "deployment.environment.name", "deployment.environment"),
    "service_name": ("service.name",),
    "release": ("service.version",),
}
"""Where each column stands, on the span or on its resource."""

PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")

PROVIDERS: Final[Mapping[str, str]] = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""Other names of a provider, as the conventions have called it or still do."""

OPERATIONS: Final[Mapping[str, str]] = {"LLM": "chat", "EMBEDDING": "embeddings", "completion": "text_completion"}
OPERATION: Final = ("gen_ai.operation.name", "openinference.span.kind", "llm.request.type")
TAG_PREFIX: Final = "spanledger.tag."


def reading_of(span: SpanFacts) -> Reading:
    """What the span says of the response."""
    attributes = span.attributes
    tier = _first(attributes, ("openai.response.service_tier", "anthropic.response.service_tier"))
    reasons = attributes.get("gen_ai.response.finish_reasons")
    return Reading(
        TOKENS.read(dict(attributes)),
        response_model=_first(attributes, ("gen_ai.response.model", "llm.model_name", "embedding.model_name")),
        response_id=_first(attributes, ("gen_ai.response.id",)),
        finish_reasons=tuple(map(str, reasons)) if isinstance(reasons, (list, tuple)) else (),
        context={"service_tier": tier} if tier else {},
    )


def row_of(span: SpanFacts) -> Row:
    """Who, what, when and where: all columns but usage and money."""
    attributes = span.attributes
    name = (_first(attributes, PROVIDER) or "unknown").lower()[:LONGEST]
    operation = (_first(attributes, OPERATION) or "chat")[:LONGEST]
    row: Row = {
        "started_at": instant(span.start_ns),
        "duration_ms": millis(span.end_ns - span.start_ns),
        "provider_name": PROVIDERS.get(name, name),
        "operation": OPERATIONS.get(operation, operation),
        "status": "error" if span.failed else "ok",
        "trace_id": span.trace_id,
        "span_id": span.span_id,
    }
    put(row, "parent_span_id", span.parent_span_id)
    for column, places in COLUMNS.items():
        put(row, column, _first(attributes, places) or _first(span.resource, places))
    tags = {key.removeprefix(TAG_PREFIX): attributes[key] for key in attributes if key.startswith(TAG_PREFIX)}
    write_tags(row, {}, {key: short(str(value)) for key, value in tags.items() if key not in OWNERS})
    return row


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := text(attributes.get(name)))), None)
