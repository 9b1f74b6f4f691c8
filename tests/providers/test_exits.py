"""Each way to call x each way for it to end: one charge for each billed HTTP response, with the best number knowable.

Both are tables. Sync streams are driven through `Awaited`, so that each exit has one body. A gap is a strict xfail with
its reason in `GAPS`: closing it fails this suite until the entry goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai import types

from spanledger import _faults
from spanledger._types import Charge
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, reasoning_tokens=0)
REPLY = Reply("one two three four five six", TOKENS)
MESSAGES = [{"role": "user", "content": "hello"}]
QUESTION = [{"role": "user", "content": [{"text": "hello"}]}]
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": MESSAGES}
GPT: dict[str, Any] = {"model": "gpt-5-mini", "messages": MESSAGES}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hello"}
NOVA: dict[str, Any] = {"modelId": "amazon.nova-lite-v1:0", "messages": QUESTION}
DOCS = "SPANLEDGER_DOCS"
"""The documentation, where its page is to be made anew."""

SHORT = 0.3
"""Seconds after which a client gives up on a server that never answers."""


class Clients:
    """A client of each SDK, made on first use, that names its provider's own host and comes to the loopback server."""

    def __init__(self, timeout: float, retries: int) -> None:
        self._timeout = timeout
        self._retries = retries
        self._options: dict[str, Any] = {"timeout": timeout, "max_retries": retries}

    @cached_property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(**self._options)

    @cached_property
    def async_openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**self._options)

    @cached_property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(**self._options)

    @cached_property
    def async_anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._options)

    @cached_property
    def bedrock(self) -> Any:
        retries = {"total_max_attempts": self._retries + 1, "mode": "standard"}
        config = Config(read_timeout=self._timeout, retries=retries)
        return boto3.Session().client("bedrock-runtime", config=config)

    @cached_property
    def gemini(self) -> genai.Client:
        attempts = types.HttpRetryOptions(attempts=self._retries + 1, initial_delay=0.01, jitter=0)
        options = types.HttpOptions(timeout=int(self._timeout * 1000), retry_options=attempts)
        return genai.Client(http_options=options)

    async def close(self) -> None:
        for name in ("openai", "anthropic", "bedrock", "gemini"):
            if name in vars(self):
                vars(self)[name].close()
        for name in ("async_openai", "async_anthropic"):
            if name in vars(self):
                await vars(self)[name].close()
        if "gemini" in vars(self):
            await self.gemini.aio.aclose()


class Awaited:
    """A sync stream, or what opens one, in the manners of an async one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aenter__(self) -> Awaited:
        return Awaited(self._stream.__enter__())

    async def __aexit__(self, *exc_info: object) -> None:
        self._stream.__exit__(*exc_info)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self._stream:
            yield event

    def close(self) -> None:
        self._stream.close()


class Shape(NamedTuple):
    """A way to call. `open` gives an async context manager whose value is a stream, or awaits a whole answer.

    `knows` tells what is known of a stream's usage before its end: `input`, `all` or nothing.
    """

    open: Callable[[Clients], Any]
    streams: bool = True
    asynchronous: bool = False
    knows: str = ""


def sync(make: Callable[[Clients], Any], knows: str = "") -> Shape:
    return Shape(lambda clients: Awaited(make(clients)), knows=knows)


def asynchronous(make: Callable[[Clients], Any], knows: str = "") -> Shape:
    return Shape(lambda clients: Later(make(clients)), asynchronous=True, knows=knows)


def whole(make: Callable[[Clients], Any], *, awaits: bool = False) -> Shape:
    return Shape(make, streams=False, asynchronous=awaits)


class Later:
    """An async stream that is still to be awaited, as a context manager of the stream."""

    def __init__(self, pending: Any) -> None:
        self._pending = pending

    async def __aenter__(self) -> Any:
        opened = await self._pending if inspect.isawaitable(self._pending) else self._pending
        self._opened = opened
        return await opened.__aenter__() if hasattr(opened, "__aenter__") else opened

    async def __aexit__(self, *exc_info: object) -> None:
        opened = self._opened
        await (opened.__aexit__(*exc_info) if hasattr(opened, "__aexit__") else opened.aclose())


def _closing(stream: Any) -> Any:
    return contextlib.closing(stream)


ASKED = {"stream_options": {"include_usage": True}}

SHAPES: Mapping[str, Shape] = {
    "chat": whole(lambda c: c.openai.chat.completions.create(**GPT)),
    "chat, async": whole(lambda c: c.async_openai.chat.completions.create(**GPT), awaits=True),
    "chat raw": whole(lambda c: c.openai.chat.completions.with_raw_response.create(**GPT)),
    "responses": whole(lambda c: c.openai.responses.create(model="gpt-5-mini", input="hello")),
    "responses, async": whole(
        lambda c: c.async_openai.responses.create(model="gpt-5-mini", input="hello"), awaits=True
    ),
    "messages": whole(lambda c: c.anthropic.messages.create(**CLAUDE)),
    "messages, async": whole(lambda c: c.async_anthropic.messages.create(**CLAUDE), awaits=True),
    "converse": whole(lambda c: c.bedrock.converse(**NOVA)),
    "gemini": whole(lambda c: c.gemini.models.generate_content(**GEMINI)),
    "gemini, async": whole(lambda c: c.gemini.aio.models.generate_content(**GEMINI), awaits=True),
    "chat stream": sync(lambda c: c.openai.chat.completions.create(**GPT, stream=True)),
    "chat stream, async": asynchronous(lambda c: c.async_openai.chat.completions.create(**GPT, stream=True)),
    "chat stream with usage": sync(lambda c: c.openai.chat.completions.create(**GPT, **ASKED, stream=True)),
    "chat stream with usage, async": asynchronous(
        lambda c: c.async_openai.chat.completions.create(**GPT, **ASKED, stream=True)
    ),
    "chat helper": sync(lambda c: c.openai.chat.completions.stream(**GPT)),
    "chat helper, async": asynchronous(lambda c: c.async_openai.chat.completions.stream(**GPT)),
    "responses stream": sync(lambda c: c.openai.responses.create(model="gpt-5-mini", input="hello", stream=True)),
    "responses stream, async": asynchronous(
        lambda c: c.async_openai.responses.create(model="gpt-5-mini", input="hello", stream=True)
    ),
    "responses helper": sync(lambda c: c.openai.responses.stream(model="gpt-5-mini", input="hello")),
    "messages stream": sync(lambda c: c.anthropic.messages.create(**CLAUDE, stream=True), knows="input"),
    "messages stream, async": asynchronous(
        lambda c: c.async_anthropic.messages.create(**CLAUDE, stream=True), knows="input"
    ),
    "messages helper": sync(lambda c: c.anthropic.messages.stream(**CLAUDE), knows="input"),
    "messages helper, async": asynchronous(lambda c: c.async_anthropic.messages.stream(**CLAUDE), knows="input"),
    "converse stream": sync(lambda c: _closing(c.bedrock.converse_stream(**NOVA)["stream"])),
    "invoke stream": sync(
        lambda c: _closing(
            c.bedrock.invoke_model_with_response_stream(modelId="anthropic.claude-sonnet-5", body=b"{}")["body"]
        ),
        knows="input",
    ),
    "gemini stream": sync(lambda c: _closing(c.gemini.models.generate_content_stream(**GEMINI)), knows="all"),
    "gemini stream, async": asynchronous(lambda c: c.gemini.aio.models.generate_content_stream(**GEMINI), knows="all"),
}


async def answered(shape: Shape, clients: Clients) -> None:
    """Takes a whole answer, or reads a stream to its end."""
    if shape.streams:
        await read(shape, clients)
        return
    answer = shape.open(clients)
    if inspect.isawaitable(answer):
        await answer


async def read(shape: Shape, clients: Clients) -> None:
    async with shape.open(clients) as stream:
        async for _ in stream:
            pass


async def take(stream: Any, count: int) -> None:
    """Reads some events and leaves the iteration."""
    taken = 0
    async for _ in stream:
        taken += 1
        if taken == count:
            break


async def broken_off(shape: Shape, clients: Clients) -> None:
    opening = shape.open(clients)
    stream = await opening.__aenter__()
    await take(stream, 3)
    del stream, opening
    await settled()


async def closed(shape: Shape, clients: Clients) -> None:
    stream = await shape.open(clients).__aenter__()
    await take(stream, 3)
    ended = getattr(stream, "close", None) or stream.aclose
    result = ended()
    if inspect.isawaitable(result):
        await result


async def left(shape: Shape, clients: Clients) -> None:
    async with shape.open(clients) as stream:
        await take(stream, 3)


async def collected(shape: Shape, clients: Clients) -> None:
    opening = shape.open(clients)
    stream = await opening.__aenter__()
    del stream, opening
    await settled()


async def cancelled(shape: Shape, clients: Clients) -> None:
    """The server holds the rest of the stream back; the task that waits for it is cancelled."""
    begun = asyncio.Event()

    async def reading() -> None:
        async with shape.open(clients) as stream:
            async for _ in stream:
                begun.set()

    task = asyncio.create_task(reading())
    await begun.wait()
    await asyncio.sleep(SHORT / 10)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def failing(shape: Shape, clients: Clients) -> None:
    """The SDK raises, as a rule: boto3 takes half a body for a whole one, and a raw response is never parsed."""
    try:
        await answered(shape, clients)
    except Exception as error:
        raise SdkFailedError from error


class SdkFailedError(Exception):
    """The application saw an error of its SDK."""


async def settled() -> None:
    """Lets finalisers run: those of Python, and those that an event loop runs for async generators."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)


class Exit(NamedTuple):
    """A way to end: what the server plays, what the application does, and what the charge has to say.

    `counts` names which counts have to be right: `all`, `known` (what the shape knows before its end) or nothing.
    """

    drive: Callable[[Shape, Clients], Awaitable[None]]
    status: str
    counts: str = ""
    replies: tuple[Reply, ...] = (REPLY,)
    timeout: float = 30.0
    retries: int = 2
    cost_status: tuple[str, ...] = ("exact", "estimated", "partial", "unknown")
    billed: bool = True
    where: Callable[[Shape], bool] = lambda shape: shape.streams


def _faulty(kind: Any, after: int) -> tuple[Reply, ...]:
    return (Reply(REPLY.text, TOKENS, fault=Fault(kind, after)),)


EVERYWHERE: Callable[[Shape], bool] = lambda _: True  # noqa: E731 -- a row of the table below
WHOLE: Callable[[Shape], bool] = lambda shape: not shape.streams  # noqa: E731 -- as above

EXITS: Mapping[str, Exit] = {
    "read to the end": Exit(answered, "ok", "all", where=EVERYWHERE),
    "429, then retried": Exit(answered, "ok", "all", (refused(429), REPLY), where=EVERYWHERE),
    "500, then success": Exit(answered, "ok", "all", (refused(500), REPLY), where=EVERYWHERE),
    "400": Exit(failing, "error", "", (refused(400),), cost_status=("not_billed",), where=EVERYWHERE),
    "no answer in time": Exit(failing, "error", "", _faulty("hold", 0), SHORT, 0, where=EVERYWHERE),
    "body cut": Exit(failing, "error", "", _faulty("cut", 0), retries=0, where=WHOLE),
    "body is no JSON": Exit(failing, "error", "", _faulty("malformed", 0), retries=0, where=WHOLE),
    "broken off": Exit(broken_off, "aborted", "known"),
    "closed": Exit(closed, "aborted", "known"),
    "with left early": Exit(left, "aborted", "known"),
    "collected unread": Exit(collected, "aborted"),
    "task cancelled": Exit(cancelled, "aborted", "known", _faulty("hold", 3), where=lambda shape: shape.asynchronous),
    "connection cut": Exit(failing, "error", "known", _faulty("cut", 3)),
    "stalls": Exit(failing, "error", "known", _faulty("hold", 3), SHORT, 0),
    "error event": Exit(failing, "error", "known", _faulty("error", 3)),
    "error event first": Exit(
        failing, "error", "", _faulty("error", 0), 30, 0, cost_status=("not_billed",), billed=False
    ),
    "error event second": Exit(failing, "error", "known", _faulty("error", 1), 30, 0),
}

GAPS: Mapping[tuple[str, str], str] = {}
"""What is not right yet, by shape and exit, and why."""


def _cases() -> Iterator[Any]:
    for shape_name, shape in SHAPES.items():
        for exit_name, exit_ in EXITS.items():
            if exit_.where(shape) and not (exit_name == "task cancelled" and not shape.streams):
                gap = GAPS.get((shape_name, exit_name))
                marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
                yield pytest.param(shape_name, exit_name, id=f"{shape_name}: {exit_name}", marks=marks)


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """The SDKs' modules are left out of every collection: it is about the few objects of a test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Page:
    """The page of the documentation that says what each call books, cell by cell; every cell is held to its charge."""

    HEAD = """# What a call books, however it ends

Each way to call x each way for it to end, with the real SDKs against a server on loopback that plays the fault. A cell
is the one charge: its `status`, its `usage_source` where there is a usage, and its `cost_status`. Made by
`SPANLEDGER_DOCS=docs pytest tests/providers/test_exits.py`; a test fails where a cell is not what happens.

A provider bills what it made, whoever hung up. An error event in the place of an answer is a refusal, as a status of
400 is. Once an answer has begun, but no text has come, nobody knows whether the prompt is billed. The usage of a stream
that ended early is *partial*: what was reported by then, and for the rest an estimate of the text that was sent and
seen; its cost is a lower bound. `(none)` is a stream whose request never went out.
"""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: dict[tuple[str, str], str] = {}
        self.written = path.read_text() if path.exists() else ""

    def check(self, shape: str, exit_: str, charges: list[Charge]) -> None:
        cell = self.cells[shape, exit_] = "; ".join(map(_cell, charges)) or "(none)"
        if not os.environ.get(DOCS):
            assert self.known[shape, exit_] == cell

    @cached_property
    def known(self) -> Mapping[tuple[str, str], str]:
        """The cells of the page as it stands."""
        rows = [[part.strip() for part in line.split("|")[1:-1]] for line in self.written.splitlines() if "|" in line]
        tables: dict[tuple[str, str], str] = {}
        names: list[str] = []
        for shape, *cells in rows:
            if shape == "shape":
                names = cells
            elif cells and set(cells[0]) != {"-"}:
                tables.update({(shape, name): cell for name, cell in zip(names, cells, strict=True) if cell})
        return tables

    def write(self) -> None:
        whole = [name for name, shape in SHAPES.items() if not shape.streams]
        streamed = [name for name, shape in SHAPES.items() if shape.streams]
        parts = [self.HEAD, "## Whole answers\n", self._table(whole), "## Streams\n", self._table(streamed)]
        self.path.write_text("\n".join(parts))

    def _table(self, shapes: list[str]) -> str:
        exits = [name for name in EXITS if any((shape, name) in self.cells for shape in shapes)]
        lines = [f"| shape | {' | '.join(exits)} |", "|---" * (len(exits) + 1) + "|"]
        lines += [
            f"| {shape} | {' | '.join(self.cells.get((shape, name), '') for name in exits)} |" for shape in shapes
        ]
        return "\n".join(lines) + "\n"


def _cell(charge: Charge) -> str:
    return " · ".join(part for part in (charge.status, charge.usage_source, charge.cost_status) if part)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    page = Page(Path(__file__).parents[2] / "docs" / "reference" / "exits.md")
    yield page
    if os.environ.get(DOCS):
        page.write()


@pytest.fixture
def charges() -> Iterator[list[Charge]]:
    """The charges of the test. A fault of ours fails it where it is called, so that a gap may be expected."""
    _faults.reset()
    with capture_charges() as made:
        yield made


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running, running.environment():
        yield running


@pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning",  # google-genai, where aiohttp is installed
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize(("shape_name", "exit_name"), list(_cases()))
async def test_one_charge_for_each_billed_response(
    shape_name: str, exit_name: str, server: ProviderServer, charges: list[Charge], page: Page
) -> None:
    shape, exit_ = SHAPES[shape_name], EXITS[exit_name]
    server.reply(*exit_.replies)
    failed = await driven(shape, exit_)
    billed = [exchange for exchange in server.exchanges if exchange.reply.status == 200 and exit_.billed]
    booked = [charge for charge in charges if charge.cost_status != "not_billed"]
    assert _faults.snapshot() == {"lost": 0, "faults": {}}
    assert len(booked) == len(billed)
    assert len(charges) == (1 if server.exchanges else 0)
    for charge in charges:
        assert charge.status == ("ok" if not shape.streams and exit_.status == "error" and not failed else exit_.status)
        assert charge.cost_status in exit_.cost_status
        check_counts(charge, exit_.counts if exit_.counts != "known" else shape.knows)
    page.check(shape_name, exit_name, charges)


async def test_a_stream_that_is_left_as_an_older_error_is_handled_was_not_failed_by_it(
    server: ProviderServer, charges: list[Charge]
) -> None:
    server.reply(refused(400), REPLY)
    clients = Clients(30, 0)
    try:
        clients.openai.chat.completions.create(**GPT)
    except openai.BadRequestError:
        clients.openai.chat.completions.create(**GPT, stream=True).close()
    await clients.close()
    assert [charge.status for charge in charges] == ["error", "aborted"]


async def driven(shape: Shape, exit_: Exit) -> bool:
    """Whether the application saw an error."""
    clients = Clients(exit_.timeout, exit_.retries)
    try:
        await exit_.drive(shape, clients)
    except SdkFailedError:
        return True
    finally:
        await settled()
        await clients.close()
        await settled()
    return False


def check_counts(charge: Charge, known: str) -> None:
    """The counts that have to be right are, and the charge says how it knows them; what is partial has a number."""
    if charge.usage_source == "partial":
        assert charge.input_tokens
        assert charge.output_tokens is not None
    if known == "all":
        assert charge.output_tokens == TOKENS.output_tokens
    if known in ("all", "input"):
        assert charge.input_tokens == TOKENS.input_tokens
        assert charge.usage_source in ("reported", "partial", "estimated")
        assert charge.list_cost
