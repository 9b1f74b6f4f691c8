"""Charges from the spans of other libraries: each call once, whoever else saw it."""

from __future__ import annotations

from decimal import Decimal

import anthropic
import openai
import pytest
from tests.otel.conftest import at_work

import spanledger
from spanledger import _bridge, _meter
from spanledger.testing import Reply, Tokens

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
    "gen_ai.usage.cache_read.input_tokens": 600,
}


@pytest.fixture
def bridged(telemetry, tmp_path):
    """spanledger metering, and booking what other tracers report."""
    charges = []

    class Booked:
        def book(self, charge):
            charges.append(charge)

        def flush(self):
            pass

    spanledger.instrument(ledger=tmp_path / "l", bridge=["*"], tags={"environment": "test"})
    _meter.add_sink(Booked())
    yield charges
    spanledger.uninstrument()
    assert telemetry


@pytest.fixture
def tracer(telemetry):
    return telemetry.tracer_provider.get_tracer("litellm")


def test_a_span_of_another_library_becomes_a_charge(bridged, tracer):
    with spanledger.tag(team="growth"), tracer.start_as_current_span("chat gpt-4o", attributes=CHAT) as span:
        span.set_attributes({"gen_ai.response.id": "r-1", "gen_ai.response.finish_reasons": ["stop"]})
    (charge,) = bridged
    assert (charge.provider_name, charge.operation, charge.request_model) == ("openai", "chat", "gpt-4o")
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (1000, 500, 600)
    assert charge.usage == {"input": 400, "output": 500, "cache_read": 600}
    assert charge.cost_status == "exact"
    assert charge.list_cost == Decimal("0.00675")
    assert (charge.team, charge.environment, charge.finish_reasons) == ("growth", "test", ("stop",))
    assert charge.span_id == f"{span.get_span_context().span_id:016x}"


def test_openinference_and_older_names_are_read(bridged, tracer):
    openinference = {
        "openinference.span.kind": "LLM",
        "llm.provider": "anthropic",
        "llm.model_name": "claude-opus-5",
        "llm.token_count.prompt": 10,
        "llm.token_count.prompt_details.cache_write": 4,
        "llm.token_count.completion": 7,
    }
    older = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "az.ai.openai",
        "gen_ai.usage.prompt_tokens": 3,
        "gen_ai.usage.completion_tokens": 2,
    }
    for attributes in (openinference, older):
        tracer.start_span("x", attributes=attributes).end()
    first, second = bridged
    assert (first.provider_name, first.cache_write_tokens, first.usage["input"]) == ("anthropic", 4, 6)
    assert (second.provider_name, second.input_tokens, second.output_tokens) == ("azure.ai.openai", 3, 2)


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5},
        {"gen_ai.operation.name": "chat"},
        {"http.request.method": "POST"},
    ],
)
def test_agents_calls_without_usage_and_other_spans_are_no_charges(bridged, tracer, attributes):
    tracer.start_span("x", attributes=attributes).end()
    assert bridged == []


def test_a_call_that_a_hook_has_booked_is_not_booked_again(bridged, tracer, provider):
    with tracer.start_as_current_span("outer", attributes=CHAT) as outer:
        with openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        outer.set_attribute("gen_ai.usage.input_tokens", 1000)
    assert len(bridged) == 1


def test_the_response_id_is_enough_to_know_a_call_again(bridged, tracer, provider):
    with openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    tracer.start_span("late", attributes={**CHAT, "gen_ai.response.id": answer.id}).end()
    assert len(bridged) == 1


def test_a_span_that_is_not_current_is_known_by_its_size_and_time(bridged, tracer, provider):
    """LangChain's callbacks open spans that are never current."""
    with tracer.start_as_current_span("request"):
        outer = tracer.start_span("ChatOpenAI", attributes={"openinference.span.kind": "CHAIN"})
        with openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        outer.set_attributes({"openinference.span.kind": "LLM", "llm.token_count.prompt": 1000})
        outer.set_attributes({"llm.token_count.completion": 500})
        outer.end()
    assert len(bridged) == 1


def test_of_nested_reports_of_one_call_the_inner_one_is_booked(bridged, tracer):
    with (
        tracer.start_as_current_span("framework", attributes=CHAT),
        tracer.start_as_current_span("wrapper", attributes=CHAT),
        tracer.start_as_current_span("client", attributes={**CHAT, "gen_ai.response.id": "r-2"}),
    ):
        pass
    assert [charge.response_id for charge in bridged] == ["r-2"]


def ask_claude(url, *, stream):
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        messages = [{"role": "user", "content": "hi"}]
        answer = client.messages.create(model="claude-opus-5", max_tokens=9, messages=messages, stream=stream)
        return [event.type for event in answer] if stream else answer.id


@pytest.mark.parametrize("stream", [False, True])
def test_the_spans_that_the_anthropic_sdk_opens_itself_are_not_booked_again(bridged, telemetry, provider, stream):
    ask_claude(provider.base_url, stream=stream)
    (native,) = telemetry.carrying("gen_ai.usage.input_tokens")
    assert native.instrumentation_scope.name == "com.anthropic.sdk.python"
    assert [(charge.input_tokens, charge.output_tokens) for charge in bridged] == [(1000, 500)]


def test_litellm_over_a_native_span_over_our_hook_is_one_charge(bridged, tracer, provider):
    """What LiteLLM reports of its own call, in its own words: input includes the cache, and the id is its own."""
    with tracer.start_as_current_span("litellm_request") as span:
        ask_claude(provider.base_url, stream=False)
        span.set_attributes({**CHAT, "gen_ai.provider.name": "anthropic", "gen_ai.response.id": "chatcmpl-litellm"})
    assert len(bridged) == 1


OTHERS = {
    "official": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor"),
    "openinference": ("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
    "openllmetry": ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
}


@pytest.fixture(params=OTHERS)
def second(request, telemetry, monkeypatch):
    """Another instrumentation at work."""
    monkeypatch.setattr(anthropic.resources.Messages, "create", anthropic.resources.Messages.create)
    module, name = OTHERS[request.param]
    with at_work(module, name, telemetry.tracer_provider):
        yield module


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize("stream", [False, True])
def test_a_second_instrumentation_that_is_bridged_books_nothing_more(bridged, telemetry, provider, stream):
    ask_claude(provider.base_url, stream=stream)
    assert len(telemetry.spans()) > 1
    assert len(bridged) == 1


def test_every_library_is_read_alike_though_anthropic_counts_the_cache_apart(telemetry, provider, second):
    """A span's input includes what the cache did, Anthropic's own number does not: nothing is counted twice."""
    provider.reply(Reply(usage=Tokens(1000, 500, cache_read_tokens=600, cache_write_tokens=300)))
    ask_claude(provider.base_url, stream=False)
    found = {
        span.instrumentation_scope.name: _bridge.priced_row(_bridge.facts_of(span, span.attributes))
        for span in telemetry.spans()
    }
    assert len(found) == 2
    for scope, (row, _) in found.items():
        assert row["usage"] == {"input": 100, "output": 500, "cache_read": 600, "cache_write": 300}, (scope, second)
        assert (row["input_tokens"], row["list_cost"]) == (1000, "0.015175")


def test_only_the_scopes_that_are_named_are_bridged(telemetry, tmp_path):
    spanledger.instrument(ledger=tmp_path / "l", bridge=["litellm"])
    booked = []
    _meter.add_sink(type("S", (), {"book": lambda _, charge: booked.append(charge), "flush": lambda _: None})())
    for scope in ("litellm.proxy", "other"):
        telemetry.tracer_provider.get_tracer(scope).start_span("x", attributes=CHAT).end()
    spanledger.uninstrument()
    assert len(booked) == 1
