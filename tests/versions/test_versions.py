"""One conformance suite for every SDK version: each way to call x each way for it to end, sync and async.

It imports one SDK, named by `SPANLEDGER_SDK` (`openai` or `anthropic`; both by default), and asks that SDK what it can:
a way to call that a version does not have is skipped, and so is a way to end. `nox` runs it over `sdk_versions.py`.
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
from tests._answers import CHAT, HELLO, MESSAGE, REPLY, RESPONSE, TOKENS, WHOLE, Api, Counts, faulty, played

from spanledger import _faults, _meter
from spanledger.testing import ProviderServer, Reply, capture_charges, refused

SDKS = os.environ.get("SPANLEDGER_SDK", "openai,anthropic").split(",")
MESSAGES = [{"role": "user", "content": HELLO}]
GPT: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}
USAGE: dict[str, Any] = {"stream": True, "extra_body": {"stream_options": {"include_usage": True}}}
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": MESSAGES}


APIS = {
    "chat": CHAT._replace(model="gpt-4o"),
    "responses": RESPONSE._replace(model="gpt-4o"),
    "messages": MESSAGE._replace(model="claude-sonnet-5-5"),
}
"""What is known of a stream that ends early, by the last resource of a method's path."""


class Shape(NamedTuple):
    """A way to call: `path` is the method, `wrapper` its raw form; `output` says that there are output tokens."""

    sdk: str
    name: str
    path: str
    options: dict[str, Any]
    wrapper: str = ""
    streams: bool = False
    output: bool = True

    @property
    def api(self) -> Api:
        return next(api for name, api in APIS.items() if name in self.path)

    @property
    def events(self) -> int:
        """What the application has got of a stream that ends early."""
        return self.api.events if self.wrapper == "with_streaming_response" else self.api.parsed


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
        Shape("openai", "responses", "responses.create", {"model": "gpt-4o", "input": HELLO}),
        Shape("openai", "responses parse", "responses.parse", {"model": "gpt-4o", "input": HELLO}),
        Shape(
            *("openai", "responses stream", "responses.create"),
            {"model": "gpt-4o", "input": HELLO, "stream": True},
            streams=True,
        ),
        Shape(
            *("openai", "embeddings", "embeddings.create"),
            {"model": "text-embedding-3-small", "input": HELLO, "encoding_format": "float"},
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


class Known(NamedTuple):
    """What a charge has to say of its usage."""

    usage_source: str | None
    counts: Counts


def everything(shape: Shape) -> Known:
    return Known("reported", WHOLE if shape.output else Counts(TOKENS.input_tokens))


def heard(shape: Shape) -> Known:
    """What a stream has said until it ended early."""
    return Known("partial", shape.api.heard())


def asked(shape: Shape) -> Known:
    """An answer has begun, of which nothing was read."""
    return Known("partial", shape.api.asked())


def nothing(_: Shape) -> Known:
    return Known(None, Counts())


class Exit(NamedTuple):
    """A way to end: what the server does, what is booked, what the application does once it has read what comes.

    `raises` is `None` where it depends on the SDK's version. `only` keeps the shapes that can end so.
    """

    plays: Callable[[Shape], tuple[Reply, ...]]
    status: str
    known: Callable[[Shape], Known]
    act: str = "read"
    raises: bool | None = False
    timeout: float = 30.0
    only: Callable[[Shape], bool] = lambda shape: shape.streams


def any_shape(_: Shape) -> bool:
    return True


SHORT = 0.5
"""Seconds after which a client gives up on a server that sends nothing more."""

HOLDS = faulty("hold")
"""Nothing more comes until the application has gone: what it has read is all that was sent."""

EXITS = {
    "read": Exit(played(REPLY), "ok", everything, only=any_shape),
    "429 then read": Exit(played(refused(429), REPLY), "ok", everything, only=any_shape),
    "500 then read": Exit(played(refused(500), REPLY), "ok", everything, only=any_shape),
    "400": Exit(played(refused(400)), "error", nothing, raises=True, only=any_shape),
    "timeout": Exit(faulty("hold", 0), "error", nothing, raises=True, timeout=SHORT, only=any_shape),
    "closed": Exit(HOLDS, "aborted", heard, "close"),
    "left": Exit(HOLDS, "aborted", heard, "leave"),
    "dropped": Exit(HOLDS, "aborted", heard, "drop"),
    "unread": Exit(HOLDS, "aborted", asked, "forget"),
    "cancelled": Exit(HOLDS, "aborted", heard, "cancel"),
    "stall": Exit(HOLDS, "error", heard, raises=True, timeout=SHORT),
    "cut": Exit(faulty("cut"), "error", heard, raises=True),
    "error event": Exit(faulty("error"), "error", heard, raises=None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    _faults.reset()
    gc.freeze()  # a collection is about the few objects of a test
    yield
    gc.unfreeze()
    assert _faults.snapshot() == {"lost": 0, "faults": {}}


def client_of(shape: Shape, url: str, timeout: float, *, asynchronous: bool) -> Any:
    sdk = importlib.import_module(shape.sdk)
    kind = {"openai": "OpenAI", "anthropic": "Anthropic"}[shape.sdk]
    base = f"{url}/v1" if shape.sdk == "openai" else url
    made = getattr(sdk, f"Async{kind}" if asynchronous else kind)
    return made(base_url=base, api_key="any", timeout=timeout, max_retries=0 if timeout == SHORT else 2)


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
    leave = leaving(stream) if act == "leave" else None
    await consume(events_of(stream), shape, act)
    if act == "close":
        await close(stream)
    if leave is not None:
        await settle(leave(None, None, None))


def leaving(stream: Any) -> Callable[..., Any]:
    """What a `with` around a stream calls at its end."""
    leave = getattr(stream, "__aexit__", None) or getattr(stream, "__exit__", None)
    if leave is None:
        pytest.skip("a stream of this version is no context manager")
    return leave


async def read_within(manager: Any, shape: Shape, act: str) -> None:
    """The application reads the bytes itself; leaving the block early closes the body."""
    entered = manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()
    response = await settle(entered)
    if shape.streams:
        await consume(data_of(response), shape, act)
    else:
        await settle(response.read())
    if act == "close":
        await settle(response.close())
    if act not in ("drop", "forget"):
        await settle(leaving(manager)(None, None, None))


async def data_of(response: Any) -> Any:
    """The lines that hold an event."""
    async for line in events_of(response.iter_lines()):
        if line.startswith("data:"):
            yield line


async def consume(events: Any, shape: Shape, act: str) -> None:
    """Reads all, or what comes until the stream ends early."""
    taken = 0
    while act != "forget" and (act in ("read", "cancel") or taken < shape.events):
        if await anext(events, None) is None:
            break
        taken += 1
        if act == "cancel" and taken == shape.events:
            asyncio.get_running_loop().call_later(SHORT / 10, asyncio.current_task().cancel)  # type: ignore[union-attr]
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
    if ending.only(shape) and (asynchronous or ending.act != "cancel")
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
    server.reply(*ending.plays(shape))
    with capture_charges() as charges:
        assert _meter.describe()["hooks"][shape.sdk] in ("hooked", "waiting")
        raised = asyncio.run(outcome(shape, ending, server.base_url, asynchronous=asynchronous))
        gc.collect()
    assert ending.raises in (None, raised is not None), raised
    (charge,) = charges
    assert charge.status == ending.status
    counts = Counts(charge.input_tokens, charge.cache_read_tokens, charge.output_tokens)
    assert Known(charge.usage_source, counts) == ending.known(shape)
    assert (charge.cost_status == "not_billed") == (way == "400")


async def outcome(shape: Shape, ending: Exit, url: str, *, asynchronous: bool) -> str | None:
    """The name of what the application's call raised, if anything: the error itself would keep the stream alive."""
    client = client_of(shape, url, ending.timeout, asynchronous=asynchronous)
    task = asyncio.ensure_future(call(shape, client, ending.act))
    await asyncio.wait({task})
    raised = None if task.cancelled() else task.exception()
    del task
    gc.collect()
    await shut(client)
    if isinstance(raised, pytest.skip.Exception):
        raise raised
    return type(raised).__name__ if raised else None
