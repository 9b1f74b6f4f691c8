"""Libraries that call a provider through its SDK, in this process, are booked once: by the SDK's hook.

An optional suite, as these frameworks pin much: `nox -s layers` installs them and runs it.
"""

import importlib

import pytest

from spanledger.testing import ProviderServer, capture_charges


@pytest.fixture
def url():
    with ProviderServer() as server:
        yield server.base_url


def langchain_openai(module, url):
    module.ChatOpenAI(base_url=f"{url}/v1", api_key="any", model="gpt-5-mini").invoke("hi")


def langchain_responses(module, url):
    model = module.ChatOpenAI(base_url=f"{url}/v1", api_key="any", model="gpt-5-mini", use_responses_api=True)
    assert len(list(model.stream("hi"))) > 1


def langchain_anthropic(module, url):
    model = module.ChatAnthropic(base_url=url, api_key="any", model="claude-haiku-4-5")
    assert len(list(model.stream("hi"))) > 1


def litellm(module, url):
    messages = [{"role": "user", "content": "hi"}]
    module.completion(model="openai/gpt-5-mini", api_base=f"{url}/v1", api_key="any", messages=messages)


def agents(module, url):
    from openai import AsyncOpenAI

    module.set_tracing_disabled(True)
    model = module.OpenAIResponsesModel("gpt-5-mini", AsyncOpenAI(base_url=f"{url}/v1", api_key="any"))
    module.Runner.run_sync(module.Agent(name="one", model=model), "hi")


def pydantic_ai(module, url):
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    provider = AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=url, api_key="any"))
    module.Agent(AnthropicModel("claude-haiku-4-5", provider=provider)).run_sync("hi")


LAYERS = {
    langchain_openai: "langchain_openai",
    langchain_responses: "langchain_openai",
    langchain_anthropic: "langchain_anthropic",
    litellm: "litellm",
    agents: "agents",
    pydantic_ai: "pydantic_ai",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", LAYERS)
def test_what_a_framework_asks_through_the_sdk_is_one_charge(monkeypatch, url, call):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    pytest.importorskip(LAYERS[call], reason=f"{LAYERS[call]} is not installed")
    with capture_charges() as charges:
        call(importlib.import_module(LAYERS[call]), url)
    assert [(charge.input_tokens, charge.output_tokens, charge.status) for charge in charges] == [(12, 8, "ok")]
