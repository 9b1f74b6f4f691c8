"""The one versioned table of span attributes: which name carries which value of a charge, for which reader.

The names of the GenAI conventions still change, and each backend reads its own. A profile is a reader's set of names;
adding a backend is adding rows here. `value` is a ledger column or one of `_otel_values.VALUES`. A name of `START` is
given when the span begins, so that samplers see it; all others when the call is over.

Sources: semantic-conventions-genai v0.1.0 (all of `gen_ai.*` is in development) and its migration page for the older
names; OpenInference's semantic conventions; the attributes that Langfuse, MLflow and Logfire document that they read;
the open proposal semantic-conventions-genai #443.
"""

from __future__ import annotations

from typing import Final, NamedTuple

VERSION: Final = "2026-11-27"
"""The day on which the table changed last."""

COMPARED: Final = {
    "openinference-semantic-conventions": "0.1.42",
    "langfuse": "5.0.4",
    "logfire": "5.4.0",
    "mlflow": "3.17.2",
}
"""The newest versions, on that day, of the packages that hold the names of others."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"
"""The core conventions that semantic-conventions-genai v0.1.0 stands on."""


class Name(NamedTuple):
    """One attribute of one profile."""

    profile: str
    attribute: str
    value: str


CORE: Final = "spanledger"
SEMCONV: Final = "semconv-genai"

START: Final[tuple[Name, ...]] = (
    Name(SEMCONV, "gen_ai.operation.name", "operation"),
    Name(SEMCONV, "gen_ai.provider.name", "provider_name"),
    Name(SEMCONV, "gen_ai.request.model", "request_model"),
    Name(SEMCONV, "gen_ai.request.stream", "streamed"),
    Name(SEMCONV, "server.address", "server_address"),
    Name(SEMCONV, "server.port", "server_port"),
    Name("v1.41-older", "gen_ai.system", "system"),
    Name("openinference", "llm.model_name", "request_model"),
    Name("openinference", "llm.request.model_name", "request_model"),
    Name("openinference", "embedding.model_name", "embedding_model"),
    Name("openinference", "llm.provider", "openinference_provider"),
    Name("openinference", "openinference.span.kind", "openinference_kind"),
    Name("langfuse", "langfuse.observation.type", "langfuse_type"),
)

TAGS: Final[tuple[Name, ...]] = (
    Name(SEMCONV, "user.id", "user_id"),
    Name(SEMCONV, "session.id", "session_id"),
    Name(SEMCONV, "gen_ai.conversation.id", "session_id"),
    Name(CORE, "spanledger.team", "team"),
    Name(CORE, "spanledger.feature", "feature"),
    Name(CORE, "spanledger.customer", "customer"),
    Name(CORE, "spanledger.environment", "environment"),
    Name("metadata", "metadata", "metadata"),
    Name("langfuse", "langfuse.trace.metadata.team", "team"),
    Name("langfuse", "langfuse.trace.metadata.feature", "feature"),
    Name("langfuse", "langfuse.trace.metadata.customer", "customer"),
    Name("langfuse", "langfuse.environment", "environment"),
)

AROUND: Final[tuple[Name, ...]] = (
    Name(SEMCONV, "gen_ai.operation.name", "operation"),
    Name(SEMCONV, "gen_ai.agent.name", "workflow_name"),
    Name(SEMCONV, "gen_ai.tool.name", "tool_name"),
    Name(SEMCONV, "gen_ai.tool.type", "tool_type"),
    Name(SEMCONV, "gen_ai.tool.call.id", "tool_call_id"),
    Name("v1.41-older", "gen_ai.workflow.name", "workflow_name"),
    Name("openinference", "openinference.span.kind", "around_kind"),
    Name("openinference", "tool.name", "tool_name"),
    Name("openinference", "agent.name", "workflow_name"),
    Name("langfuse", "langfuse.observation.type", "langfuse_around"),
)
"""The names of a span around calls, of a workflow or a tool: given when it begins, beside its tags."""

TAG_PREFIX: Final = "spanledger.tag."
"""Every tag without a row in `TAGS` goes by this prefix and its own name."""

IDENTITY: Final[tuple[Name, ...]] = (
    Name(CORE, "spanledger.charge_id", "charge_id"),
    Name(SEMCONV, "gen_ai.response.id", "response_id"),
    Name(SEMCONV, "gen_ai.response.model", "response_model"),
    Name(SEMCONV, "gen_ai.response.finish_reasons", "finish_reasons"),
    Name(SEMCONV, "gen_ai.response.time_to_first_chunk", "first_chunk_seconds"),
    Name(SEMCONV, "openai.response.service_tier", "openai_tier"),
    Name(SEMCONV, "error.type", "error_type"),
    Name("openinference", "llm.response.model_name", "response_model"),
    Name("openinference", "llm.finish_reason", "finish_reason"),
    Name("langfuse", "langfuse.observation.model.name", "model"),
    Name("langfuse", "langfuse.release", "release"),
)

TOKENS: Final[tuple[Name, ...]] = (
    Name(SEMCONV, "gen_ai.usage.input_tokens", "input_tokens"),
    Name(SEMCONV, "gen_ai.usage.output_tokens", "output_tokens"),
    Name(SEMCONV, "gen_ai.usage.cache_read.input_tokens", "cache_read_tokens"),
    Name(SEMCONV, "gen_ai.usage.cache_write.input_tokens", "cache_write_tokens"),
    Name(SEMCONV, "gen_ai.usage.reasoning.output_tokens", "reasoning_tokens"),
    Name("v1.41-older", "gen_ai.usage.cache_creation.input_tokens", "cache_write_tokens"),
    Name("modality", "gen_ai.usage.audio.input_tokens", "input_audio_tokens"),
    Name("modality", "gen_ai.usage.image.input_tokens", "input_image_tokens"),
    Name("modality", "gen_ai.usage.audio.output_tokens", "output_audio_tokens"),
    Name("modality", "gen_ai.usage.image.output_tokens", "output_image_tokens"),
    Name("openinference", "llm.token_count.prompt", "input_tokens"),
    Name("openinference", "llm.token_count.completion", "output_tokens"),
    Name("openinference", "llm.token_count.total", "total_tokens"),
    Name("openinference", "llm.token_count.prompt_details.cache_read", "cache_read_tokens"),
    Name("openinference", "llm.token_count.prompt_details.cache_write", "cache_write_tokens"),
    Name("openinference", "llm.token_count.completion_details.reasoning", "reasoning_tokens"),
    Name("openinference", "llm.token_count.prompt_details.audio", "input_audio_tokens"),
    Name("openinference", "llm.token_count.completion_details.audio", "output_audio_tokens"),
    Name("langfuse", "langfuse.observation.usage_details", "langfuse_usage"),
)

MONEY: Final[tuple[Name, ...]] = (
    Name(CORE, "spanledger.cost_status", "cost_status"),
    Name("openlit", "gen_ai.usage.cost", "total_cost"),
    Name("logfire", "operation.cost", "total_cost"),
    Name("llm-cost", "llm.cost.total", "total_cost"),
    Name("llm-cost", "llm.cost.prompt", "input_cost"),
    Name("llm-cost", "llm.cost.completion", "output_cost"),
    Name("openinference", "llm.cost.prompt_details.input", "uncached_cost"),
    Name("openinference", "llm.cost.prompt_details.cache_read", "cache_read_cost"),
    Name("openinference", "llm.cost.prompt_details.cache_write", "cache_write_cost"),
    Name("openinference", "llm.cost.completion_details.output", "spoken_cost"),
    Name("openinference", "llm.cost.completion_details.reasoning", "reasoning_cost"),
    Name("mlflow", "mlflow.llm.cost", "mlflow_cost"),
    Name("langfuse", "langfuse.observation.cost_details", "langfuse_cost"),
    Name("spec-443", "gen_ai.usage.cost.amount", "amount"),
    Name("spec-443", "gen_ai.usage.cost.currency", "currency"),
    Name("spec-443", "gen_ai.usage.cost.source", "spec_443_source"),
)

END: Final = (*IDENTITY, *TOKENS, *MONEY)

PROFILES: Final = tuple(dict.fromkeys(name.profile for name in (*START, *AROUND, *TAGS, *END)))
"""Every profile, in the order of the table."""

DEFAULT_PROFILES: Final = (
    CORE,
    SEMCONV,
    "v1.41-older",
    "metadata",
    "openlit",
    "logfire",
    "llm-cost",
    "mlflow",
)
"""What lights up the most backends without a setting.

`spec-443` is off: its names nest under `gen_ai.usage.cost`, which others read as a number, and Langfuse counts them as
tokens. `langfuse` and `openinference` repeat what their backends read from the default names, plus details.
"""
