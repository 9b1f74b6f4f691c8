"""The span processor: tags on every span of a tagged block, and only those that are allowed."""

from __future__ import annotations

import openai
import pytest

import spanledger


@pytest.fixture
def traced(telemetry, metered):
    assert not metered
    return telemetry


def test_every_span_of_a_tagged_block_gets_the_allowed_tags(traced):
    tracer = traced.tracer_provider.get_tracer("application")
    with spanledger.tag(team="growth", user="u-1", cost_centre="17"), tracer.start_as_current_span("query"):
        pass
    with tracer.start_as_current_span("outside"):
        pass
    inside, outside = traced.spans()
    assert dict(inside.attributes) == {"spanledger.team": "growth", "metadata": '{"team":"growth"}'}
    assert not outside.attributes


def test_after_uninstrument_no_span_is_tagged(traced):
    spanledger.uninstrument()
    with spanledger.tag(team="growth"), traced.tracer_provider.get_tracer("application").start_as_current_span("query"):
        pass
    assert not traced.spans()[0].attributes


def test_which_tags_are_allowed_is_a_setting(telemetry, tmp_path):
    spanledger.instrument(ledger=tmp_path / "l", span_tags=["cost_centre"])
    tracer = telemetry.tracer_provider.get_tracer("application")
    with spanledger.tag(team="growth", cost_centre="17"), tracer.start_as_current_span("query"):
        pass
    spanledger.uninstrument()
    assert telemetry.spans()[0].attributes["spanledger.tag.cost_centre"] == "17"
    assert "spanledger.team" not in telemetry.spans()[0].attributes


def test_configuring_again_adds_no_second_processor(telemetry, tmp_path):
    for _ in range(3):
        spanledger.instrument(ledger=tmp_path / "l")
    spanledger.uninstrument()
    processors = telemetry.tracer_provider._active_span_processor._span_processors
    assert [type(one).__name__ for one in processors].count("TagProcessor") == 1


def test_the_span_of_a_workflow_has_its_tags_and_no_usage(traced, provider):
    with (
        spanledger.workflow("support", customer="acme"),
        openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client,
    ):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    call, workflow = traced.spans()
    assert workflow.name == "invoke_workflow support"
    assert workflow.attributes["spanledger.customer"] == "acme"
    assert not [name for name in workflow.attributes if "usage" in name or "cost" in name]
    assert call.parent.span_id == workflow.context.span_id
