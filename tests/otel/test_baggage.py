"""What a provider sees on the wire: no tag, ever; an application's own baggage only where it is meant to."""

from __future__ import annotations

import logging

import anthropic
import boto3
import httpx2
import openai
import pytest
from google import genai
from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import spanledger
from spanledger import _baggage
from spanledger._baggage import TagPropagator
from spanledger.errors import ConfigurationError

NAME = "ACME-secret"


def ask_openai(url):
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1") as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


def ask_for_a_stream(url):
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1") as client:
        list(client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True))


def ask_anthropic(url):
    with anthropic.Anthropic(api_key="k", base_url=url) as client:
        client.messages.create(model="claude-opus-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}])


def ask_bedrock(url):
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    client.converse(modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hi"}]}])
    client.close()


def ask_gemini(url):
    with genai.Client(api_key="k", http_options={"base_url": url}) as client:
        client.models.generate_content(model="gemini-2.5-flash", contents="hi")


ASK = {
    "openai": ask_openai,
    "openai stream": ask_for_a_stream,
    "anthropic": ask_anthropic,
    "bedrock": ask_bedrock,
    "gemini": ask_gemini,
}


@pytest.fixture
def instrumented(telemetry):
    """The HTTP clients of all four SDKs, instrumented as an application would."""
    httpx_module = pytest.importorskip("opentelemetry.instrumentation.httpx", reason="the instrumentation is absent")
    urllib3_module = pytest.importorskip(
        "opentelemetry.instrumentation.urllib3", reason="the instrumentation is absent"
    )
    made = [
        httpx_module.HTTPXClientInstrumentor(),  # google-genai's
        httpx_module.HTTPX2ClientInstrumentor(),  # openai's and anthropic's
        urllib3_module.URLLib3Instrumentor(),  # botocore's
    ]
    for one in made:
        one.instrument(tracer_provider=telemetry.tracer_provider)
    yield telemetry
    for one in made:
        one.uninstrument()


@pytest.fixture
def own_baggage():
    token = attach(baggage.set_baggage("customer.name", NAME))
    yield
    detach(token)


@pytest.fixture
def propagating():
    """An application that also sends tags on."""
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(
        CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator(), TagPropagator()])
    )
    yield
    propagate.set_global_textmap(before)


def wire(provider):
    assert provider.requests
    lines = [f"{name}: {value}" for request in provider.requests for name, value in request.headers.items()]
    sent = [f"{request.path} {request.query} {request.body.decode()}" for request in provider.requests]
    return "\n".join(lines + sent)


@pytest.mark.parametrize("sdk", ASK)
def test_no_tag_is_on_the_wire(provider, metered, sdk):
    with spanledger.tag(customer=NAME, team=NAME):
        ASK[sdk](provider.base_url)
    assert NAME not in wire(provider)
    assert [charge.customer for charge in metered] == [NAME]


@pytest.mark.parametrize("sdk", ASK)
def test_no_tag_is_on_the_wire_of_an_instrumented_client(provider, instrumented, metered, sdk):
    with spanledger.tag(customer=NAME, team=NAME):
        ASK[sdk](provider.base_url)
    assert NAME not in wire(provider)
    assert len(metered) == 1
    assert len(instrumented.carrying("spanledger.charge_id")) == 1
    assert instrumented.carrying("http.request.method") + instrumented.carrying("http.method")


@pytest.mark.usefixtures("own_baggage", "instrumented")
@pytest.mark.parametrize("sdk", ASK)
def test_without_us_an_instrumented_client_sends_baggage(provider, sdk):
    """What the other tests guard against does happen: each SDK's client is instrumented."""
    ASK[sdk](provider.base_url)
    assert NAME in wire(provider)


@pytest.mark.usefixtures("propagating")
@pytest.mark.parametrize("sdk", ASK)
def test_no_tag_that_is_sent_on_reaches_a_provider(provider, instrumented, tmp_path, sdk):
    spanledger.instrument(ledger=tmp_path / "l", baggage_out=["customer"])
    with spanledger.tag(customer=NAME):
        ASK[sdk](provider.base_url)
    spanledger.uninstrument()
    assert NAME not in wire(provider)
    assert instrumented.spans()


@pytest.mark.usefixtures("propagating")
def test_a_tag_of_the_list_is_sent_to_a_service_of_our_own_and_taken_there(provider, instrumented, tmp_path):
    spanledger.instrument(ledger=tmp_path / "l", baggage_out=["customer"], baggage_in=["customer"])
    with spanledger.tag(customer="acme", team="growth"), httpx2.Client() as client:
        client.post(f"{provider.base_url}/v1/chat/completions", json={"model": "gpt-4o"})
    headers = provider.requests[0].headers
    assert headers["baggage"] == "customer=acme"
    token = attach(propagate.extract(headers))
    assert spanledger.current_tags() == {"customer": "acme"}
    detach(token)
    spanledger.uninstrument()
    assert instrumented.spans()


@pytest.mark.usefixtures("own_baggage")
@pytest.mark.parametrize("sdk", ASK)
def test_own_baggage_is_stripped_where_that_is_set(provider, instrumented, tmp_path, sdk):
    spanledger.instrument(ledger=tmp_path / "l", provider_baggage="strip")
    ASK[sdk](provider.base_url)
    assert baggage.get_baggage("customer.name") == NAME
    spanledger.uninstrument()
    assert NAME not in wire(provider)
    assert instrumented.spans()


@pytest.mark.usefixtures("own_baggage")
def test_own_baggage_is_stripped_without_any_opentelemetry_sdk(provider, tmp_path):
    ask_anthropic(provider.base_url)
    assert NAME in wire(provider)
    provider.exchanges.clear()
    spanledger.instrument(ledger=tmp_path / "l", provider_baggage="strip")
    ask_anthropic(provider.base_url)
    spanledger.uninstrument()
    assert NAME not in wire(provider)


@pytest.mark.usefixtures("own_baggage", "metered")
def test_own_baggage_that_reaches_a_provider_is_warned_of_once(provider, caplog, monkeypatch):
    monkeypatch.setattr(_baggage.rules, "warned", False)
    caplog.set_level(logging.WARNING, "spanledger")
    ask_openai(provider.base_url)
    assert not caplog.records
    assert NAME not in wire(provider)
    ask_anthropic(provider.base_url)
    ask_anthropic(provider.base_url)
    (record,) = caplog.records
    assert "customer.name" in record.message
    assert NAME not in record.message


@pytest.mark.usefixtures("own_baggage")
def test_baggage_that_nobody_allowed_is_no_tag(metered, provider):
    ask_openai(provider.base_url)
    assert not metered[0].tags
    assert metered[0].customer is None


def test_an_unknown_policy_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="provider_baggage"):
        spanledger.configure(ledger=tmp_path / "l", provider_baggage="hide")
