"""One conformance suite for every SDK version: each way to call x each way for it to end, sync and async.

It imports one SDK, named by `SPANLEDGER_SDK` (`openai` or `anthropic`; both by default), and asks that SDK what it can:
a way to call that a version does not have is skipped. `nox` runs it over `sdk_versions.py`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from spanledger import _faults, _meter
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

SDKS = os.environ.get("SPANLEDGER_SDK", "openai,anthropic").split(",")
TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30)
REPLY = Reply("one two three four", TOKENS)
MESSAGES = [{"role": "user", "content": "hello"}]
GPT: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}
USAGE: dict[str, Any] = {"stream": True, "extra_body": {"stream_options": {"include_usage": True}}}
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": MESSAGES}


class Shape(NamedTuple):
    """A way to call: `path` is the method, `wrapper` its raw form; `output` says that there are output tokens."""

    sdk: str
    name: str
    path: str
    options: dict[str, Any]
    wrapper: str = ""
    streams: bool = False
    output: bool = True


SHAPES = {
    f"{shape.sdk} {shape.name}": shape
    for shape in (
        Shape("openai", "chat", "chat.completions.create", GPT),
        Shape("openai", "chat raw", "chat.completions.create", GPT, "with_raw_response"),
        Shape("openai", "chat parse", "chat.completions.parse", GPT),
        Shape("openai", "chat beta parse", "beta.chat.completions.parse", GPT),
        Shape("openai", "chat stream", "chat.completions.create", {**GPT, **USAGE}, streams=True),
        Shape(
            "openai", "chat raw stream", "chat.completions.create", {**GPT, **USAGE}, "with_raw_response", streams=True
        ),
        Shape("openai", "chat read", "chat.completions.create", GPT, "with_streaming_response"),
        Shape(
            "openai", "chat lines", "chat.completions.create", {**GPT, **USAGE}, "with_streaming_response", streams=True
        ),
        Shape("openai", "responses", "responses.create", {"model": "gpt-4o", "input": "hello"}),
        Shape("openai", "responses parse", "responses.parse", {"model": "gpt-4o", "input": "hello"}),
        Shape(
            *("openai", "responses stream", "responses.create"),
            {"model": "gpt-4o", "input": "hello", "stream": True},
            streams=True,
        ),
        Shape(
            *("openai", "embeddings", "embeddings.create"),
            {"model": "text-embedding-3-small", "input": "hello", "encoding_format": "float"},
            output=False,
        ),
        Shape("anthropic", "messages", "messages.create", CLAUDE),
        Shape("anthropic", "messages raw", "messages.create", CLAUDE, "with_raw_response"),
        Shape("anthropic", "messages beta", "beta.messages.create", CLAUDE),
        Shape("anthropic", "messages stream", "messages.create", {**CLAUDE, "stream": True}, streams=True),
        Shape(
            *("anthropic", "messages raw stream", "messages.create"),
            {**CLAUDE, "stream": True},
            "with_raw_response",
            streams=True,
        ),
        Shape("anthropic", "messages read", "messages.create", CLAUDE, "with_streaming_response"),
        Shape(
            *("anthropic", "messages lines", "messages.create"),
            {**CLAUDE, "stream": True},
            "with_streaming_response",
            streams=True,
        ),
    )
    if shape.sdk in SDKS
}


class Exit(NamedTuple):
    """A way to end: what the server does, what the application does after `events` of a stream, what is booked."""

    replies: tuple[Reply, ...]
    status: str
    act: str = "read"
    raises: bool = False
    only_streams: bool = False


EXITS = {
    "read": Exit((REPLY,), "ok"),
    "429 then read": Exit((refused(429), REPLY), "ok"),
    "500 then read": Exit((refused(500), REPLY), "ok"),
    "400": Exit((refused(400),), "error", raises=True),
    "closed": Exit((REPLY,), "aborted", "close", only_streams=True),
    "dropped": Exit((REPLY,), "aborted", "drop", only_streams=True),
    "cut": Exit((Reply("one two three four", TOKENS, fault=Fault("cut", 2)),), "error", raises=True, only_streams=True),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    _faults.reset()
    yield
    assert _faults.snapshot() == {"lost": 0, "faults": {}}


def client_of(shape: Shape, url: str, *, asynchronous: bool) -> Any:
    sdk = importlib.import_module(shape.sdk)
    kind = {"openai": "OpenAI", "anthropic": "Anthropic"}[shape.sdk]
    base = f"{url}/v1" if shape.sdk == "openai" else url
    return getattr(sdk, f"Async{kind}" if asynchronous else kind)(base_url=base, api_key="any", max_retries=2)


def method_of(client: Any, shape: Shape) -> Callable[..., Any]:
    """The method; the test is skipped where this version does not have it."""
    *resources, name = shape.path.split(".")
    holder = client
    for resource in [*resources, *([shape.wrapper] if shape.wrapper else [])]:
        holder = getattr(holder, resource, None)
    method = getattr(holder, name, None)
    if method is None:
        pytest.skip(f"this version has no {shape.path} {shape.wrapper}".rstrip())
    return method  # type: ignore[no-any-return]


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def events_of(stream: Any) -> Any:
    """Iterates a sync or an async stream."""
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
    else:
        for event in stream:
            yield event


async def call(shape: Shape, client: Any, act: str) -> None:
    """Makes one call and ends it."""
    made = method_of(client, shape)(**shape.options)
    if shape.wrapper == "with_streaming_response":
        await read_within(made, shape, act)
        return
    result = await settle(made)
    if not shape.streams:
        return
    stream = await settle(result.parse()) if shape.wrapper else result
    await consume(events_of(stream), act)
    if act == "close":
        await close(stream)


async def read_within(manager: Any, shape: Shape, act: str) -> None:
    """The application reads the bytes itself; leaving the block early closes the body."""
    entered = manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()
    response = await settle(entered)
    if shape.streams:
        await consume(events_of(response.iter_lines()), act)
    else:
        await settle(response.read())
    left = manager.__aexit__ if hasattr(manager, "__aexit__") else manager.__exit__
    await settle(left(None, None, None))


async def consume(events: Any, act: str) -> None:
    async for _ in events:
        if act != "read":
            break
    await events.aclose()


async def close(stream: Any) -> None:
    closing = getattr(stream, "close", None)
    if closing is None:
        closing = stream.response.aclose if hasattr(stream, "__aiter__") else stream.response.close
    await settle(closing())


async def shut(client: Any) -> None:
    await settle(client.close())


CASES = [
    pytest.param(shape, way, asynchronous, id=f"{name}, {way}, {'async' if asynchronous else 'sync'}")
    for name, shape in SHAPES.items()
    for way, ending in EXITS.items()
    for asynchronous in (False, True)
    if shape.streams or not ending.only_streams
]


@pytest.mark.parametrize(("shape", "way", "asynchronous"), CASES)
def test_every_call_is_one_charge_whatever_its_end(
    server: ProviderServer,
    shape: Shape,
    way: str,
    asynchronous: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    ending = EXITS[way]
    server._script.clear()
    server.reply(*ending.replies)
    with capture_charges() as charges:
        assert _meter.describe()["hooks"][shape.sdk] in ("hooked", "waiting")
        raised = asyncio.run(outcome(shape, server.base_url, ending.act, asynchronous=asynchronous))
        gc.collect()
    assert (raised is not None) == ending.raises, raised
    assert [charge.status for charge in charges] == [ending.status]
    (charge,) = charges
    if ending.status == "ok":
        assert charge.usage_source == "reported"
        assert (charge.input_tokens, charge.cache_read_tokens) == ((100, 30) if shape.output else (100, None))
        assert charge.output_tokens == (40 if shape.output else None)
    elif way == "400":
        assert (charge.cost_status, charge.list_cost) == ("not_billed", 0)
    else:
        assert charge.usage_source in ("partial", "estimated", None)
        assert charge.cost_status != "exact"


async def outcome(shape: Shape, url: str, act: str, *, asynchronous: bool) -> Exception | None:
    """What the application's call raised, if anything."""
    client = client_of(shape, url, asynchronous=asynchronous)
    try:
        await call(shape, client, act)
    except Exception as error:  # noqa: BLE001 -- compared with what is expected
        return error
    finally:
        await shut(client)
    return None
