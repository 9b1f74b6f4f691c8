"""The one table of metrics: instruments, dashboards, alert rules and the reference page are made from it.

Sources: semantic-conventions-genai v0.1.0 for `gen_ai.client.*`, its older names where dashboards still read them.
There is no convention for cost yet; `spanledger.cost` is a counter, so that it can be summed over any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
MINUTES: Final = tuple(round(0.1 * 2**power, 1) for power in range(13))
TOKENS: Final = tuple(4**power for power in range(14))

CALL: Final = (
    *("operation", "provider_name", "request_model", "response_model"),
    *("server_address", "server_port", "error_type"),
)
COST: Final = ("operation", "provider_name", "request_model", "response_model", "tags")
SHORT: Final = ("operation", "provider_name", "request_model")

ATTRIBUTES: Final[Mapping[str, str]] = {
    "operation": "gen_ai.operation.name",
    "provider_name": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "server_address": "server.address",
    "server_port": "server.port",
    "error_type": "error.type",
    "cost_status": "spanledger.cost_status",
    "usage_source": "spanledger.usage_source",
    "workflow_name": "gen_ai.agent.name",
    "tool_name": "gen_ai.tool.name",
}
"""The attribute of each column. A tag goes by its own name; `tags` stands for all that metrics are to carry."""


class Metric(NamedTuple):
    """One instrument. `by` are its columns; `value` says what it counts or records."""

    profile: str
    name: str
    kind: str
    unit: str
    value: str
    by: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()


SEMCONV: Final = "semconv-genai"
OWN: Final = "spanledger"

METRICS: Final[tuple[Metric, ...]] = (
    Metric(SEMCONV, "gen_ai.client.inference.duration", "histogram", "s", "inference_seconds", CALL, "How long a call took, retries and streaming included.", SECONDS),
    Metric(SEMCONV, "gen_ai.client.embeddings.duration", "histogram", "s", "embeddings_seconds", CALL, "How long an embeddings call took.", SECONDS),
    Metric(SEMCONV, "gen_ai.client.inference.time_to_first_chunk", "histogram", "s", "first_chunk_seconds", CALL, "From the call to the first event of a stream.", SECONDS),
    Metric(SEMCONV, "gen_ai.client.inference.usage.input_tokens", "counter", "{token}", "input", COST, "Tokens sent, cached ones included."),
    Metric(SEMCONV, "gen_ai.client.inference.usage.output_tokens", "counter", "{token}", "output", COST, "Tokens received, reasoning included."),
    Metric(SEMCONV, "gen_ai.client.inference.usage.cache_read.input_tokens", "counter", "{token}", "cache_read", COST, "The part of the input that the cache served."),
    Metric(SEMCONV, "gen_ai.client.inference.usage.cache_write.input_tokens", "counter", "{token}", "cache_write", COST, "The part of the input that was written to the cache."),
    Metric(SEMCONV, "gen_ai.client.inference.usage.reasoning.output_tokens", "counter", "{token}", "reasoning", COST, "The part of the output that is reasoning."),
    Metric(SEMCONV, "gen_ai.invoke_agent.duration", "histogram", "s", "workflow_seconds", ("workflow_name", "error_type"), "How long a workflow took.", MINUTES),
    Metric(SEMCONV, "gen_ai.execute_tool.duration", "histogram", "s", "tool_seconds", ("tool_name", "error_type"), "How long a tool took.", SECONDS),
    Metric("semconv-genai-tokens", "gen_ai.client.inference.operation.input_tokens", "histogram", "{token}", "inference_input", CALL, "Tokens that a call sent; for percentiles, not for sums.", TOKENS),
    Metric("semconv-genai-tokens", "gen_ai.client.inference.operation.output_tokens", "histogram", "{token}", "inference_output", CALL, "Tokens that a call received; for percentiles, not for sums.", TOKENS),
    Metric("semconv-genai-tokens", "gen_ai.client.embeddings.operation.input_tokens", "histogram", "{token}", "embeddings_input", CALL, "Tokens that an embeddings call sent; for percentiles, not for sums.", TOKENS),
    Metric("v1.41-older", "gen_ai.client.token.usage", "histogram", "{token}", "tokens", SHORT, "Tokens of a call by gen_ai.token.type; the older name, which Grafana prices by.", TOKENS),
    Metric("v1.41-durations", "gen_ai.client.operation.duration", "histogram", "s", "seconds", CALL, "How long a call took; the older name.", SECONDS),
    Metric(OWN, "spanledger.cost", "counter", "{USD}", "cost", COST, "What calls cost, in US dollars; a lower bound while some charges have no price."),
    Metric(OWN, "spanledger.charges", "counter", "{charge}", "charges", ("provider_name", "cost_status", "usage_source", "tags"), "Charges by how sure their cost is; one that is corrected later stays under its first status."),
    Metric(OWN, "spanledger.faults", "counter", "{fault}", "faults", (), "Faults inside spanledger that were kept from the application."),
    Metric(OWN, "spanledger.lost", "counter", "{charge}", "lost", (), "Charges that reached no ledger."),
)  # fmt: skip

DEFAULT_METRICS: Final = (SEMCONV, "v1.41-older", OWN)

PROFILES: Final = tuple(dict.fromkeys(metric.profile for metric in METRICS))

MODALITIES: Final[Mapping[str, str]] = {"audio": "audio", "image": "image", "video": "video"}
"""The ending of a unit's name that says its modality; all others are text."""
