"""Each way to call that has no suite of its own: sync and async, OpenAI and Azure, every client of Anthropic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import anthropic
import openai
import pydantic
import pytest
from tests.providers._either import pieces, settled

from spanledger._types import Charge
from spanledger.testing import ProviderServer, Reply, Tokens

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30)
REPLY = Reply('{"word": "hello"}', TOKENS)
HELLO: Any = [{"role": "user", "content": "hello"}]
CHAT: Any = {"model": "gpt-5-mini", "messages": HELLO}
ASK: Any = {"model": "gpt-5-mini", "input": "hello"}
USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}
TELL: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": HELLO}


class Word(pydantic.BaseModel):
    """What `parse` is to make of the answer."""

    word: str


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: REPLY) as running:
        yield running


class Shape(NamedTuple):
    """The method, what it is given, and how its result is read: by default as a whole answer, or to its end."""

    method: str
    options: Mapping[str, Any]
    read: Callable[[Any], Any] = settled


async def entered(manager: Any) -> Any:
    """What a context manager gives, sync or async."""
    return await settled(manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__())


async def left(manager: Any) -> None:
    await settled(
        manager.__aexit__(None, None, None) if hasattr(manager, "__aexit__") else manager.__exit__(None, None, None)
    )


async def to_its_end(pending: Any) -> None:
    assert await pieces(await settled(pending))


async def by_the_helper(manager: Any) -> None:
    assert await pieces(await entered(manager))
    await left(manager)


async def unparsed(pending: Any) -> None:
    assert (await settled(pending)).http_response.status_code == 200


async def unparsed_stream(pending: Any) -> None:
    raw = await settled(pending)
    assert await pieces(await settled(raw.parse()))


async def as_json(manager: Any) -> None:
    response = await entered(manager)
    assert await settled(response.json())
    await left(manager)


async def parsed(pending: Any) -> None:
    answer = await settled(pending)
    found = answer.output_parsed if hasattr(answer, "output_parsed") else answer.choices[0].message.parsed
    assert found == Word(word="hello")


OPENAI: Mapping[str, Shape] = {
    "chat": Shape("chat.completions.create", CHAT),
    "chat stream": Shape("chat.completions.create", {**CHAT, "stream": True, **USAGE}, to_its_end),
    "chat helper": Shape("chat.completions.stream", {**CHAT, "stream_options": {"include_usage": True}}, by_the_helper),
    "chat parse": Shape("chat.completions.parse", {**CHAT, "response_format": Word}, parsed),
    "chat beta parse": Shape("beta.chat.completions.parse", {**CHAT, "response_format": Word}, parsed),
    "chat raw": Shape("chat.completions.with_raw_response.create", CHAT, unparsed),
    "chat raw stream": Shape("chat.completions.with_raw_response.create", {**CHAT, **USAGE}, unparsed_stream),
    "chat read as JSON": Shape("chat.completions.with_streaming_response.create", CHAT, as_json),
    "completions": Shape("completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"}),
    "completions stream": Shape(
        "completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "hello", **USAGE}, to_its_end
    ),
    "completions raw": Shape(
        "completions.with_raw_response.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"}, unparsed
    ),
    "responses": Shape("responses.create", ASK),
    "responses stream": Shape("responses.create", {**ASK, "stream": True}, to_its_end),
    "responses helper": Shape("responses.stream", ASK, by_the_helper),
    "responses parse": Shape("responses.parse", {**ASK, "text_format": Word}, parsed),
    "responses beta": Shape("beta.responses.create", ASK),
    "responses raw": Shape("responses.with_raw_response.create", ASK, unparsed),
    "responses raw stream": Shape("responses.with_raw_response.create", {**ASK, "stream": True}, unparsed_stream),
    "responses read as JSON": Shape("responses.with_streaming_response.create", ASK, as_json),
}


def azure(kind: str, url: str) -> Any:
    return getattr(openai, kind)(azure_endpoint=url, api_version="2024-10-21", api_key="any", max_retries=0)


def plain(kind: str, url: str) -> Any:
    return getattr(openai, kind)(base_url=f"{url}/v1", api_key="any", max_retries=0)


CLIENTS: Mapping[str, Callable[[str, str], Any]] = {
    "OpenAI": plain,
    "AsyncOpenAI": plain,
    "AzureOpenAI": azure,
    "AsyncAzureOpenAI": azure,
}


def method_of(client: Any, path: str) -> Any:
    for name in path.split("."):
        client = getattr(client, name)
    return client


async def run(client: Any, shape: Shape) -> None:
    try:
        await shape.read(method_of(client, shape.method)(**shape.options))
    finally:
        await settled(client.close())


@pytest.mark.parametrize("shape", OPENAI)
@pytest.mark.parametrize("kind", CLIENTS)
def test_each_shape_is_one_charge(kind: str, shape: str, server: ProviderServer, charges: list[Charge]) -> None:
    asyncio.run(run(CLIENTS[kind](kind, server.base_url), OPENAI[shape]))
    (charge,) = charges
    assert (charge.status, charge.usage_source) == ("ok", "reported")
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (100, 40, 30)
    assert charge.request_model == OPENAI[shape].options["model"]
    assert charge.stream == ("stream" in shape or "helper" in shape)
    assert charge.provider_name == ("azure.ai.openai" if "Azure" in kind else "openai_compatible")
    assert len(server.requests) == 1


COMPACTED: Any = {
    "id": "resp_1",
    "object": "response.compaction",
    "created_at": 1,
    "output": [],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 140,
    },
}


@pytest.mark.parametrize("path", ["responses", "beta.responses", "responses.with_raw_response"])
def test_what_is_compacted_is_billed(path: str, canned: Any, client: openai.OpenAI, charges: list[Charge]) -> None:
    canned.answer(COMPACTED)
    method_of(client, path).compact(model="gpt-5-mini", input="a long talk")
    (charge,) = charges
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (100, 40, 30)
    assert (charge.request_model, charge.response_id, charge.status) == ("gpt-5-mini", "resp_1", "ok")


IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
    "output_tokens": 4160,
    "total_tokens": 4210,
}


def test_a_streamed_edit_of_an_image(canned: Any, client: openai.OpenAI, charges: list[Charge]) -> None:
    canned.answer([{"type": "image_edit.completed", "b64_json": "aGVsbG8=", "usage": IMAGE_USAGE}])
    stream = client.images.edit(model="gpt-image-1", prompt="greener", image=("a.png", b"\x89PNG"), stream=True)
    assert [event.type for event in stream] == ["image_edit.completed"]
    (charge,) = charges
    assert (charge.input_tokens, charge.output_tokens) == (50, 4160)
    assert charge.usage["output_image"] == 4160
    assert (charge.stream, charge.request_model) == (True, "gpt-image-1")


async def helped(manager: Any) -> None:
    stream = await entered(manager)
    assert (await settled(stream.get_final_message())).content
    await left(manager)


ANTHROPIC: Mapping[str, Shape] = {
    "messages": Shape("messages.create", TELL),
    "beta": Shape("beta.messages.create", TELL),
    "stream": Shape("messages.create", {**TELL, "stream": True}, to_its_end),
    "beta stream": Shape("beta.messages.create", {**TELL, "stream": True}, to_its_end),
    "helper": Shape("messages.stream", TELL, helped),
    "beta helper": Shape("beta.messages.stream", TELL, helped),
    "parse": Shape("messages.parse", {**TELL, "output_format": Word}),
    "beta parse": Shape("beta.messages.parse", {**TELL, "output_format": Word}),
    "raw": Shape("messages.with_raw_response.create", TELL, unparsed),
    "raw stream": Shape("messages.with_raw_response.create", {**TELL, "stream": True}, unparsed_stream),
    "read as JSON": Shape("messages.with_streaming_response.create", TELL, as_json),
}
PLATFORMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Anthropic": ("anthropic", {"api_key": "any"}),
    "AnthropicBedrock": ("aws.bedrock", {"aws_access_key": "a", "aws_secret_key": "s", "aws_region": "us-east-1"}),
    "AnthropicVertex": ("gcp.vertex_ai", {"region": "us-east5", "project_id": "p", "access_token": "t"}),
    "AnthropicFoundry": ("azure.ai.inference", {"api_key": "any"}),
}


MODELS: Mapping[str, str] = {"AnthropicBedrock": "anthropic.claude-haiku-4-5-20251001-v1:0"}


def asking(shape: Shape, model: str) -> Shape:
    return shape._replace(options={**shape.options, "model": model})


@pytest.mark.parametrize("shape", ANTHROPIC)
@pytest.mark.parametrize("mode", ["", "Async"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_shape_of_each_client_of_anthropic_is_one_charge(
    platform: str, mode: str, shape: str, server: ProviderServer, charges: list[Charge]
) -> None:
    provider_name, settings = PLATFORMS[platform]
    client = getattr(anthropic, mode + platform)(base_url=server.base_url, max_retries=0, **settings)
    asyncio.run(run(client, asking(ANTHROPIC[shape], MODELS.get(platform, TELL["model"]))))
    (charge,) = charges
    assert (charge.status, charge.usage_source, charge.provider_name) == ("ok", "reported", provider_name)
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (100, 40, 30)
    assert charge.stream == ("stream" in shape or "helper" in shape)
    assert len(server.requests) == 1


async def test_an_async_middleware_that_answers_from_a_cache_or_sends_twice(
    server: ProviderServer, charges: list[Charge]
) -> None:
    kept: list[Any] = []

    async def once(request: Any, call_next: Any) -> Any:
        if not kept:
            kept.append(await call_next(request))
        return kept[0]

    async def twice(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return await call_next(request)

    for middleware, calls, booked in ((once, 2, 1), (twice, 1, 3)):
        async with anthropic.AsyncAnthropic(
            base_url=server.base_url, api_key="any", max_retries=0, middleware=[middleware]
        ) as client:
            for _ in range(calls):
                await client.messages.create(**TELL)
        assert (len(charges), len(server.requests)) == (booked, booked)
    assert {charge.input_tokens for charge in charges} == {100}
    assert json.loads(server.requests[0].body)["model"] == TELL["model"]
