"""The SDKs that Stainless generates for other providers: each is metered by a file of a few lines, and works alike."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from tests.providers._either import forget, pieces, settled

from spanledger import providers
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, reasoning_tokens=10)
REPLY = Reply("one two three four", TOKENS)
ASK = {"model": "some-model", "messages": [{"role": "user", "content": "hello"}]}


class Sibling(NamedTuple):
    """Where one SDK keeps its client, and how it is called."""

    module: str
    client: str
    provider_name: str
    chat: str = "chat.completions.create"
    base: str = ""
    options: Mapping[str, Any] = MappingProxyType({})


SIBLINGS = {
    "cerebras": Sibling(
        "cerebras.cloud.sdk", "Cerebras", "cerebras", options=MappingProxyType({"warm_tcp_connection": False})
    ),
    "fireworks": Sibling("fireworks", "Fireworks", "fireworks_ai"),
    "groq": Sibling("groq", "Groq", "groq"),
    "perplexity": Sibling("perplexity", "Perplexity", "perplexity"),
    "sambanova": Sibling("sambanova", "SambaNova", "sambanova", base="/v1"),
    "together": Sibling("together", "Together", "together_ai"),
    "writer": Sibling("writerai", "Writer", "writer", chat="chat.chat"),
}
BESIDES = ("openai", "anthropic")


def test_every_sibling_is_in_this_table():
    assert set(SIBLINGS) | set(BESIDES) == set(providers.STAINLESS)


@pytest.fixture
def server():
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def mode(request):
    return request.param


@pytest.fixture(params=SIBLINGS)
async def chat(request, mode, server):
    sibling = SIBLINGS[request.param]
    module = pytest.importorskip(sibling.module, reason=f"{sibling.module} is not installed")
    kind = getattr(module, ("Async" if mode == "async" else "") + sibling.client)
    client = kind(api_key="any", base_url=server.base_url + sibling.base, **sibling.options)
    method = client
    for name in sibling.chat.split("."):
        method = getattr(method, name)
    method.__self__.sibling = sibling
    yield method
    await settled(client.close())


def text_of(event):
    delta = event.choices[0].delta  # cerebras leaves it a dict
    return (delta.get("content") if isinstance(delta, dict) else delta.content) or ""


async def test_a_call_is_one_charge_of_that_provider(chat):
    with capture_charges() as charges:
        answer = await settled(chat(**ASK))
    assert answer.choices[0].message.content == REPLY.text
    (charge,) = charges
    assert charge.provider_name == chat.__self__.sibling.provider_name
    assert (charge.operation, charge.status, charge.request_model) == ("chat", "ok", "some-model")
    assert (charge.input_tokens, charge.output_tokens) == (100, 40)
    assert (charge.cache_read_tokens, charge.reasoning_tokens) == (30, 10)


async def test_a_stream_is_one_charge(chat):
    with capture_charges() as charges:
        stream = await settled(chat(**ASK, stream=True, extra_body={"stream_options": {"include_usage": True}}))
        found = await pieces(stream)
    assert "".join(text_of(event) for event in found if event.choices) == REPLY.text
    (charge,) = charges
    assert (charge.status, charge.stream, charge.input_tokens, charge.output_tokens) == ("ok", True, 100, 40)


async def test_a_stream_that_is_left_is_one_charge(chat):
    with capture_charges() as charges:
        stream = await settled(chat(**ASK, stream=True))
        assert len(await pieces(stream, 1)) == 1
        await settled(stream.close())
        del stream
        await forget()
    (charge,) = charges
    assert (charge.status, charge.stream) == ("aborted", True)


async def test_a_stream_that_is_cut_is_one_charge(chat, server):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("cut", 2)))
    with capture_charges() as charges:
        stream = await settled(chat(**ASK, stream=True))
        with pytest.raises(Exception, match=r"."):
            await pieces(stream)
    (charge,) = charges
    assert (charge.status, charge.stream) == ("error", True)


async def test_a_call_that_is_tried_again_is_one_charge(chat, server):
    server.reply(refused(500))
    with capture_charges() as charges:
        await settled(chat(**ASK))
    (charge,) = charges
    assert (len(server.requests), charge.status, charge.input_tokens) == (2, "ok", 100)


async def test_a_refusal_is_not_billed(chat, server):
    server.reply(refused(400))
    with capture_charges() as charges, pytest.raises(Exception, match="400"):
        await settled(chat(**ASK))
    (charge,) = charges
    assert (charge.status, charge.cost_status) == ("error", "not_billed")


async def test_a_raw_response_that_is_never_parsed_is_one_charge(chat):
    raw = chat.__self__.with_raw_response
    with capture_charges() as charges:
        await settled(getattr(raw, chat.__name__)(**ASK))
    (charge,) = charges
    assert charge.input_tokens == 100


async def test_what_comes_back_is_the_sdks_own(chat):
    async def kinds():
        answer, stream = await settled(chat(**ASK)), await settled(chat(**ASK, stream=True))
        return [type(answer), type(stream), *{type(event) for event in await pieces(stream)}]

    bare = await kinds()
    with capture_charges():
        assert await kinds() == bare


def test_perplexitys_own_cost_is_kept_beside_ours(server):
    perplexity = pytest.importorskip("perplexity")
    cost = {"input_tokens_cost": 0.1, "output_tokens_cost": 0.2, "request_cost": 0.005, "total_cost": 0.305}
    server.reply(Reply(amend=lambda body: {**body, "usage": {**body["usage"], "cost": cost}}))
    with capture_charges() as charges, perplexity.Perplexity(api_key="any", base_url=server.base_url) as client:
        client.chat.completions.create(**ASK)
    assert str(charges[0].provider_cost) == "0.305"


def test_together_ranks_documents(server):
    together = pytest.importorskip("together")
    importlib.import_module("together.types.rerank_create_response")
    ranked = {"object": "rerank", "model": "ranker", "results": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    server.answer = lambda _: Reply(amend=lambda _: ranked)
    with capture_charges() as charges, together.Together(api_key="any", base_url=server.base_url) as client:
        client.rerank.create(model="ranker", query="which", documents=["one", "two"])
    assert (charges[0].operation, charges[0].input_tokens) == ("rerank", 7)
