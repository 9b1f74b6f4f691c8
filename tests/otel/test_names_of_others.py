"""The names in the profiles of others are names that their own packages know."""

from __future__ import annotations

import pytest

from spanledger.sinks._otel_names import AROUND, END, START, TAGS, Name

TABLE: tuple[Name, ...] = (*START, *AROUND, *TAGS, *END)


def names_of(profile: str) -> set[str]:
    return {name.attribute for name in TABLE if name.profile == profile}


def constants(kind: type) -> set[str]:
    return {value for value in vars(kind).values() if isinstance(value, str)}


def test_openinference_knows_its_names():
    semconv = pytest.importorskip("openinference.semconv.trace")
    known = constants(semconv.SpanAttributes)
    assert names_of("openinference") <= known
    assert names_of("llm-cost") <= known
    assert "metadata" in known


def test_openinference_knows_our_kinds():
    semconv = pytest.importorskip("openinference.semconv.trace")
    assert {"LLM", "EMBEDDING", "TOOL", "AGENT"} <= {kind.value for kind in semconv.OpenInferenceSpanKindValues}


def test_openinference_knows_our_words_for_providers():
    semconv = pytest.importorskip("openinference.semconv.trace")
    from spanledger.sinks._otel_values import OPENINFERENCE_PROVIDERS

    known = {provider.value for provider in semconv.OpenInferenceLLMProviderValues}
    assert set(OPENINFERENCE_PROVIDERS.values()) <= known


def test_langfuse_knows_its_names():
    attributes = pytest.importorskip("langfuse._client.attributes")
    known = constants(attributes.LangfuseOtelSpanAttributes)
    metadata = attributes.LangfuseOtelSpanAttributes.TRACE_METADATA + "."
    assert {name for name in names_of("langfuse") if not name.startswith(metadata)} <= known


def test_mlflow_knows_its_name():
    constant = pytest.importorskip("mlflow.tracing.constant")
    assert names_of("mlflow") == {constant.SpanAttributeKey.LLM_COST}
