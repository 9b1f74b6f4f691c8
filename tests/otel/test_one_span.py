"""One call, one span with usage, whoever else watches: real SDKs, real instrumentations."""

from __future__ import annotations

import anthropic
import openai
import pytest
from tests.otel.conftest import at_work

import spanledger
from spanledger.testing import refused

MESSAGES = [{"role": "user", "content": "hello"}]


def ask_openai(url, *, stream=False, model="gpt-4o"):
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=model,
            messages=MESSAGES,
            stream=stream,
            **({"stream_options": {"include_usage": True}} if stream else {}),
        )
        if stream:
            for _ in answer:
                pass


def ask_anthropic(url, *, stream=False, model="claude-opus-5"):
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        answer = client.messages.create(model=model, messages=MESSAGES, max_tokens=10, stream=stream)
        if stream:
            for _ in answer:
                pass


ASK = {"openai": ask_openai, "anthropic": ask_anthropic}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_one_span_carries_usage_and_the_ledger_knows_it(telemetry, metered, provider, sdk, stream):
    with spanledger.tag(team="growth"):
        ASK[sdk](provider.base_url, stream=stream)
    (span,) = telemetry.carrying("gen_ai.usage.input_tokens")
    assert span.attributes["gen_ai.usage.input_tokens"] == 1000
    assert span.attributes["gen_ai.usage.output_tokens"] == 500
    assert span.attributes["spanledger.team"] == "growth"
    (charge,) = metered
    assert charge.span_id == f"{span.context.span_id:016x}"
    assert charge.trace_id == f"{span.context.trace_id:032x}"
    assert span.attributes["spanledger.charge_id"] == charge.charge_id


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_refused_call_is_one_span_with_its_error(telemetry, metered, provider, sdk):
    provider.reply(refused(400))
    with spanledger.tag(team="growth"), pytest.raises((openai.BadRequestError, anthropic.BadRequestError)):
        ASK[sdk](provider.base_url)
    (span,) = telemetry.spans()
    assert span.attributes["error.type"]
    assert span.attributes["spanledger.team"] == "growth"
    assert not span.status.is_ok
    assert metered[0].span_id == f"{span.context.span_id:016x}"


OTHERS = {
    "official openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "official anthropic": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openinference openai": ("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openinference anthropic": ("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openllmetry openai": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openllmetry anthropic": ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
}


@pytest.fixture
def other(request, telemetry, monkeypatch):
    """Another instrumentation at work, beside which spanledger is to add nothing but cost and tags."""
    for owner in (openai.resources.chat.Completions, anthropic.resources.Messages):
        monkeypatch.setattr(owner, "create", owner.create)  # OpenLLMetry does not put everything back
    module, name, sdk = OTHERS[request.param]
    with at_work(module, name, telemetry.tracer_provider):
        yield sdk


USAGE = ("gen_ai.usage.input_tokens", "llm.token_count.prompt")


@pytest.mark.parametrize("other", OTHERS, indirect=True)
def test_the_span_of_another_instrumentation_is_annotated(other, telemetry, metered, provider):
    with spanledger.tag(team="growth"):
        ASK[other](provider.base_url, stream=False)
        ASK[other](provider.base_url, stream=True)
    charged = telemetry.carrying("spanledger.charge_id")
    used = [span for span in telemetry.spans() if any(name in span.attributes for name in USAGE)]
    assert used == charged
    assert {span.attributes["spanledger.charge_id"] for span in charged} == {charge.charge_id for charge in metered}
    assert len(charged) == len(metered) == 2
    for span in charged:
        assert span.instrumentation_scope.name not in {"spanledger", "com.anthropic.sdk.python"}
        assert span.attributes["spanledger.team"] == "growth"
