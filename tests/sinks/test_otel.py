"""The span of a call: our own, another library's annotated, or none."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, set_value
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from spanledger.errors import ConfigurationError
from spanledger.sinks.otel import OTel


@pytest.fixture
def sink(telemetry):
    return OTel(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)


@pytest.fixture
def call(charge, opening):
    def make(sink: OTel, *charges: Any, error: BaseException | None = None, **row: Any) -> Any:
        handle = sink.begin(opening(**row))
        handle.leave(handle.enter())
        handle.end(list(charges) or [charge()], error)
        return handle

    return make


def test_a_call_is_one_client_span_with_usage_and_cost(telemetry, sink, call):
    handle = call(sink)
    (span,) = telemetry.spans()
    assert (span.name, span.kind) == ("chat gpt-4o", SpanKind.CLIENT)
    assert handle.span_id == f"{span.context.span_id:016x}"
    found = dict(span.attributes)
    assert found["gen_ai.usage.input_tokens"] == 1000
    assert found["gen_ai.usage.cache_read.input_tokens"] == 600
    assert found["gen_ai.response.id"] == "chatcmpl-1"
    assert found["gen_ai.usage.cost"] == found["operation.cost"] == found["llm.cost.total"] == 0.00675
    assert json.loads(found["mlflow.llm.cost"]) == {"input_cost": 0.00175, "output_cost": 0.005, "total_cost": 0.00675}
    assert found["session.id"] == found["gen_ai.conversation.id"] == "s-1"
    assert found["spanledger.customer"] == "acme"
    assert found["spanledger.tag.cost_centre"] == "17"
    assert json.loads(found["metadata"]) == {
        "team": "growth",
        "customer": "acme",
        "session_id": "s-1",
        "cost_centre": "17",
    }
    assert not [name for name in found if "cost.amount" in name]


def test_what_a_sampler_needs_is_there_at_the_start(telemetry, sink, call):
    seen: dict[str, Any] = {}

    class AtStart(SpanProcessor):
        def on_start(self, span, parent_context=None):  # noqa: ARG002
            seen.update(span.attributes)

    telemetry.tracer_provider.add_span_processor(AtStart())
    call(sink)
    assert seen["gen_ai.operation.name"] == "chat"
    assert seen["gen_ai.provider.name"] == "openai"
    assert seen["gen_ai.request.model"] == "gpt-4o"
    assert seen["server.address"] == "api.openai.com"


def test_a_cost_that_is_not_known_is_not_shown_as_zero(telemetry, sink, call, charge):
    call(sink, charge(list_cost=None, contracted_cost=None, effective_cost=None, costs=None, cost_status="unknown"))
    found = telemetry.spans()[0].attributes
    assert found["spanledger.cost_status"] == "unknown"
    assert not [name for name in found if name.endswith(("cost", "cost.total"))]


def test_billed_retries_add_up_on_the_span_of_their_call(telemetry, sink, call, charge):
    call(sink, charge(), charge(response_id="chatcmpl-2"))
    found = telemetry.spans()[0].attributes
    assert found["gen_ai.usage.input_tokens"] == 2000
    assert found["gen_ai.usage.cost"] == 0.0135
    assert found["gen_ai.response.id"] == "chatcmpl-2"


def test_an_error_has_its_type_and_no_message(telemetry, sink, call, charge):
    call(sink, charge(status="error", error_type="RateLimitError"), error=ValueError("the prompt was: secret"))
    (span,) = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    assert "secret" not in span.to_json()
    assert not span.events


def test_the_span_is_current_only_while_the_call_runs(telemetry, sink, charge, opening):
    handle = sink.begin(opening())
    token = handle.enter()
    with telemetry.tracer.start_as_current_span("POST"):
        pass
    handle.leave(token)
    assert not trace.get_current_span().get_span_context().is_valid
    handle.end([charge()], None)
    http, own = telemetry.spans()
    assert http.parent.span_id == own.context.span_id


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat"},
        {"openinference.span.kind": "LLM"},
        {"llm.request.type": "completion"},
    ],
)
def test_the_span_of_another_library_is_annotated_and_not_doubled(telemetry, sink, attributes, call):
    with telemetry.tracer.start_as_current_span("theirs", attributes={**attributes, "gen_ai.usage.input_tokens": 999}):
        handle = call(sink)
    (span,) = telemetry.spans()
    assert span.name == "theirs"
    assert span.attributes["gen_ai.usage.cost"] == 0.00675
    assert span.attributes["gen_ai.usage.input_tokens"] == 999
    assert span.attributes["spanledger.team"] == "growth"
    assert handle.span_id == f"{span.context.span_id:016x}"


def test_an_agent_span_is_a_parent_and_no_model_call(telemetry, sink, call):
    with telemetry.tracer.start_as_current_span("run", attributes={"gen_ai.operation.name": "invoke_agent"}):
        call(sink)
    own, agent = telemetry.spans()
    assert own.parent.span_id == agent.context.span_id
    assert "gen_ai.usage.cost" not in agent.attributes


def test_a_native_span_that_ends_before_its_charge_is_known_waits_with_its_own_end_time(
    telemetry, sink, caplog, charge, opening
):
    caplog.set_level(logging.WARNING)
    handle = sink.begin(opening(), native=True)
    token = handle.enter()
    native = telemetry.tracer.start_span("messages.create", attributes={"gen_ai.operation.name": "chat"})
    with trace.use_span(native):
        handle.adopt_current()
        handle.adopt_current()
    native.end(end_time=native.start_time + 5)
    native.end()
    handle.leave(token)
    assert telemetry.spans() == []
    handle.end([charge()], None)
    (span,) = telemetry.spans()
    assert span.end_time == span.start_time + 5
    assert span.attributes["operation.cost"] == 0.00675
    assert span.attributes["spanledger.team"] == "growth"
    assert not caplog.records


def test_two_calls_inside_one_foreign_span_are_summed_on_it(telemetry, sink, call):
    with telemetry.tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        call(sink)
        call(sink)
    assert telemetry.spans()[0].attributes["gen_ai.usage.cost"] == 0.0135


@pytest.mark.parametrize("policy", ["off", {"openai": "off"}, {"*": "off", "anthropic": "emit"}])
def test_policy_off_leaves_no_span_but_the_place_in_the_trace(telemetry, policy, call):
    sink = OTel(tracer_provider=telemetry.tracer_provider, span_policy=policy)
    with telemetry.tracer.start_as_current_span("request") as outer:
        handle = call(sink)
    assert [span.name for span in telemetry.spans()] == ["request"]
    assert handle.trace_id == f"{outer.get_span_context().trace_id:032x}"
    assert (handle.span_id, handle.parent_span_id) == (None, f"{outer.get_span_context().span_id:016x}")


def test_policy_annotate_never_opens_a_span(telemetry, call):
    sink = OTel(tracer_provider=telemetry.tracer_provider, span_policy="annotate")
    call(sink)
    assert telemetry.spans() == []


@pytest.mark.parametrize("key", ["suppress_instrumentation", "suppress_language_model_instrumentation"])
def test_suppressed_instrumentation_has_no_span(telemetry, sink, key, call):
    token = attach(set_value(key, True))
    try:
        call(sink)
    finally:
        detach(token)
    assert telemetry.spans() == []


def test_a_call_that_is_sampled_out_keeps_its_ids(call, telemetry_with):
    telemetry = telemetry_with(sampler=ALWAYS_OFF)
    handle = call(OTel(tracer_provider=telemetry.tracer_provider))
    assert len(handle.trace_id) == 32
    assert telemetry.spans() == []


def test_without_an_sdk_only_a_remote_parent_is_noted(opening):
    sink = OTel()
    assert sink.begin(opening()) is None
    remote = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1)))
    token = attach(trace.set_span_in_context(remote, Context()))
    try:
        handle = sink.begin(opening())
    finally:
        detach(token)
    assert (handle.trace_id, handle.span_id, handle.parent_span_id) == (f"{0xA:032x}", None, f"{0xB:016x}")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"span_policy": "always"}, "span_policy"),
        ({"profiles": ["phoenix"]}, "profiles: 'phoenix'"),
        ({"metrics": ["grafana"]}, "metrics: 'grafana'"),
    ],
)
def test_a_wrong_setting_is_named(settings, named):
    with pytest.raises(ConfigurationError, match=named):
        OTel(**settings)


def ended_late(telemetry, call, sink, tokens):
    """As OpenInference does for LangChain: never current, and a model call only when it ends."""
    tracer = telemetry.tracer_provider.get_tracer("openinference.instrumentation.langchain")
    theirs = tracer.start_span("ChatOpenAI")
    call(sink)
    theirs.set_attributes({"openinference.span.kind": "LLM", "llm.token_count.prompt": tokens})
    theirs.set_attribute("llm.token_count.completion", 500)
    theirs.end()
    return next(span for span in telemetry.spans() if span.name == "ChatOpenAI")


def test_a_span_that_tells_only_at_its_end_of_a_call_that_was_shown_loses_its_usage(telemetry, sink, call):
    theirs = ended_late(telemetry, call, sink, 1000)
    assert not [name for name in theirs.attributes if name.startswith("llm.token_count.")]
    assert theirs.attributes["openinference.span.kind"] == "LLM"


def test_a_span_of_another_call_keeps_its_usage(telemetry, sink, call):
    assert ended_late(telemetry, call, sink, 999).attributes["llm.token_count.prompt"] == 999


def test_a_span_that_tells_the_output_of_a_call_and_no_input_loses_its_usage(telemetry, sink, call):
    """As LangChain tells of a stream of Anthropic's."""
    theirs = ended_late(telemetry, call, sink, 0)
    assert not [name for name in theirs.attributes if name.startswith("llm.token_count.")]


def test_a_report_of_a_stream_in_a_trace_of_its_own_loses_its_usage_where_it_is_logfires(telemetry, sink, call):
    usage = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}
    call(sink)
    for scope in ("other.library", "logfire.openai"):
        telemetry.tracer_provider.get_tracer(scope).start_span(scope, attributes=usage).end()
    _, other, logfires = telemetry.spans()
    assert "gen_ai.usage.input_tokens" in other.attributes
    assert "gen_ai.usage.input_tokens" not in logfires.attributes


def test_a_report_of_a_call_that_was_shown_loses_its_usage_once(telemetry, sink, call):
    """As Logfire does for a stream, in a span of its own after it."""
    usage = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}
    with telemetry.tracer.start_as_current_span("request"):
        call(sink)
        for _ in range(2):
            telemetry.tracer.start_span("streaming response took 1 s", attributes=usage).end()
    _, report, other, _ = telemetry.spans()
    assert "gen_ai.usage.input_tokens" not in report.attributes
    assert other.attributes["gen_ai.usage.input_tokens"] == 1000


def test_a_provider_that_cannot_be_hashed_is_watched_too(telemetry, call):
    class Proxy:
        """Like Logfire's."""

        __hash__ = None

        def __getattr__(self, name):
            return getattr(telemetry.tracer_provider, name)

    call(OTel(tracer_provider=Proxy()))
    assert telemetry.spans()


def test_where_instrumentation_is_suppressed_the_span_that_is_there_is_annotated(telemetry, sink, call):
    with telemetry.tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        token = attach(set_value("suppress_instrumentation", True))
        call(sink)
        detach(token)
    (span,) = telemetry.spans()
    assert span.attributes["gen_ai.usage.cost"] == 0.00675


def test_the_profiles_of_openinference_and_langfuse_have_their_details(telemetry, call, charge):
    costs = {"input": "0.001", "cache_read": "0.00075", "output": "0.004", "reasoning": "0.001"}
    profiles = ["openinference", "langfuse"]
    call(OTel(tracer_provider=telemetry.tracer_provider, profiles=profiles), charge(costs=costs, release="1.2"))
    found = telemetry.spans()[0].attributes
    assert found["llm.cost.prompt_details.input"] == 0.001
    assert found["llm.cost.prompt_details.cache_read"] == 0.00075
    assert found["llm.cost.completion_details.output"] == 0.004
    assert found["llm.cost.completion_details.reasoning"] == 0.001
    assert (found["llm.provider"], found["llm.finish_reason"]) == ("openai", "stop")
    assert (found["llm.request.model_name"], found["llm.response.model_name"]) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert found["langfuse.observation.type"] == "generation"
    assert (found["langfuse.observation.model.name"], found["langfuse.release"]) == ("gpt-4o-2024-08-06", "1.2")


def test_the_parts_of_a_cost_are_in_proportion_where_a_contract_changed_the_whole(telemetry, call, charge):
    sink = OTel(tracer_provider=telemetry.tracer_provider, profiles=["openinference"])
    call(sink, charge(list_cost="2", effective_cost="1", costs={"input": "0.5", "output": "1.5"}))
    found = telemetry.spans()[0].attributes
    assert found["llm.cost.prompt_details.input"] == 0.25
    assert found["llm.cost.completion_details.output"] == 0.75


def test_an_embedding_is_one_to_openinference_and_langfuse(telemetry, call, charge):
    sink = OTel(tracer_provider=telemetry.tracer_provider, profiles=["openinference", "langfuse"])
    call(sink, charge(operation="embeddings"), operation="embeddings")
    found = telemetry.spans()[0].attributes
    assert (found["openinference.span.kind"], found["langfuse.observation.type"]) == ("EMBEDDING", "embedding")
    assert found["embedding.model_name"] == "gpt-4o"
