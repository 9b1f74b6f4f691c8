"""Spans around calls, of workflows and tools: what they say, what they never carry, and when there is none."""

from __future__ import annotations

import openai
import pytest
from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

import spanledger


@pytest.fixture
def ask(provider):
    def ask_once():
        with openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    return ask_once


def test_a_workflow_with_a_tool_is_one_tree(telemetry, metered, ask):
    with spanledger.workflow("support", customer="acme") as run, spanledger.tool("search", call_id="call_1"):
        ask()
    call, tool, workflow = telemetry.spans()
    assert (workflow.name, tool.name, call.name) == ("invoke_workflow support", "execute_tool search", "chat gpt-4o")
    assert (workflow.kind, tool.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert (tool.parent.span_id, call.parent.span_id) == (workflow.context.span_id, tool.context.span_id)
    assert dict(workflow.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.agent.name": "support",
        "gen_ai.workflow.name": "support",
        "spanledger.customer": "acme",
        "metadata": '{"customer":"acme"}',
    }
    assert dict(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "spanledger.customer": "acme",
        "metadata": '{"customer":"acme"}',
    }
    (charge,) = metered
    assert charge.tags == {"tool": "search"}
    assert charge.trace_id == run.trace_id == f"{workflow.context.trace_id:032x}"
    assert charge.parent_span_id == f"{tool.context.span_id:016x}"


@spanledger.tool("fails")
def failing():
    msg = "the prompt was: secret"
    raise ValueError(msg)


@spanledger.tool("fails")
async def failing_later():
    failing.__wrapped__()


@spanledger.workflow("fails")
def failing_on_the_way():
    yield 1
    failing.__wrapped__()


@pytest.mark.usefixtures("metered")
async def test_an_error_gives_its_type_and_no_message(telemetry):
    for run in (failing, lambda: list(failing_on_the_way())):
        with pytest.raises(ValueError, match="secret"):
            run()
    with pytest.raises(ValueError, match="secret"):
        await failing_later()
    with pytest.raises(ValueError, match="secret"), spanledger.workflow("fails"):
        failing.__wrapped__()
    assert len(telemetry.spans()) == 4
    for span in telemetry.spans():
        assert (span.attributes["error.type"], span.status.status_code) == ("ValueError", StatusCode.ERROR)
        assert "secret" not in span.to_json()


@pytest.mark.usefixtures("metered")
def test_a_generator_that_is_closed_has_not_failed(telemetry):
    steps = failing_on_the_way()
    next(steps)
    steps.close()
    (span,) = telemetry.spans()
    assert "error.type" not in span.attributes


def silent_by_policy(tmp_path):
    spanledger.instrument(ledger=tmp_path / "l", span_policy="off")


def silent_by_suppression(tmp_path):
    spanledger.instrument(ledger=tmp_path / "l")
    return attach(set_value("suppress_instrumentation", True))


@pytest.mark.parametrize("silence", [silent_by_policy, silent_by_suppression])
def test_where_there_are_no_spans_the_ledger_still_has_the_run(telemetry, ask, tmp_path, silence):
    token = silence(tmp_path)
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request") as request:
        with spanledger.workflow("support") as run, spanledger.tool("search"):
            ask()
        assert request.is_recording()
    if token is not None:
        detach(token)
    spanledger.uninstrument()
    assert [span.name for span in telemetry.spans()] == ["request"]
    (row,) = spanledger.Ledger(tmp_path / "l").charges().to_arrow().to_pylist()
    assert (row["workflow_id"], dict(row["tags"])) == (run.workflow_id, {"tool": "search"})
    assert row["trace_id"] == run.trace_id == f"{request.get_span_context().trace_id:032x}"


def test_a_run_that_is_sampled_out_is_one_trace_in_the_ledger(monkeypatch, metered, ask):
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF))
    with spanledger.workflow("support") as run:
        ask()
        ask()
    assert {charge.trace_id for charge in metered} == {run.trace_id}
    assert {charge.parent_span_id for charge in metered} == {run.span_id}


def test_without_metering_a_tool_is_a_tag(telemetry):
    with spanledger.tool("search", team="growth"):
        assert spanledger.current_tags() == {"tool": "search", "team": "growth"}
    assert telemetry.spans() == []


@pytest.mark.usefixtures("metered")
def test_how_long_a_workflow_and_a_tool_took_is_measured(telemetry):
    with spanledger.workflow("support"), spanledger.tool("search"):
        pass
    with pytest.raises(ValueError, match="secret"):
        failing()
    data = telemetry.reader.get_metrics_data()
    metrics = {m.name: m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    (agent,) = metrics["gen_ai.invoke_agent.duration"].data.data_points
    tools = metrics["gen_ai.execute_tool.duration"].data.data_points
    assert (dict(agent.attributes), agent.count) == ({"gen_ai.agent.name": "support"}, 1)
    assert [dict(tool.attributes) for tool in tools] == [
        {"gen_ai.tool.name": "search"},
        {"gen_ai.tool.name": "fails", "error.type": "ValueError"},
    ]
