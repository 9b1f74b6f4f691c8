"""The ways to call whose exits are tested."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests._answers import CHAT, CONVERSE, GENERATE, HELLO, INVOKE, MESSAGE, RESPONSE, Api
from tests.providers._either import settled
from tests.providers._exit_clients import Awaited, Clients, Later

MESSAGES = [{"role": "user", "content": HELLO}]
QUESTION = [{"role": "user", "content": [{"text": HELLO}]}]
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": MESSAGES}
CLAUDE_BODY = b'{"messages": [{"role": "user", "content": "%b"}], "max_tokens": 99}' % HELLO.encode()
GPT: dict[str, Any] = {"model": "gpt-5-mini", "messages": MESSAGES}
RESPONSES: dict[str, Any] = {"model": "gpt-5-mini", "input": HELLO}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": HELLO}
NOVA: dict[str, Any] = {"modelId": "amazon.nova-lite-v1:0", "messages": QUESTION}
ASKED = {"stream_options": {"include_usage": True}}


class Shape(NamedTuple):
    """A way to call. `open` gives an async context manager whose value is a stream, or awaits a whole answer.

    `events` are what the application has got once it has read those events of the server's. A whole answer is seen
    `early` where its head is seen before its body.
    """

    api: Api
    open: Callable[[Clients], Any]
    streams: bool = True
    asynchronous: bool = False
    events: int = 0
    early: bool = False


def sync(api: Api, make: Callable[[Clients], Any], events: int = 0) -> Shape:
    return Shape(api, lambda clients: Awaited(make(clients)), events=events or api.parsed)


def asynchronous(api: Api, make: Callable[[Clients], Any], events: int = 0) -> Shape:
    return Shape(api, lambda clients: Later(make(clients)), asynchronous=True, events=events or api.parsed)


def whole(api: Api, make: Callable[[Clients], Any], *, awaits: bool = False, early: bool = False) -> Shape:
    return Shape(api, make, streams=False, asynchronous=awaits, early=early)


def _closing(stream: Any) -> Any:
    return contextlib.closing(stream)


class Reading(NamedTuple):
    """How an application takes a raw or a streaming response: under which wrapper, as what, and how it closes that."""

    wrapper: str
    read: Callable[[Any], Any]
    close: Callable[[Any, Any], Any] = lambda response, _: response.close()
    parses: bool = False


def _close_stream(_: Any, stream: Any) -> Any:
    return stream.close()


def streamed(a: str) -> Mapping[str, Reading]:
    """The ways to read a stream, where `a` is what the methods of an async HTTP response begin with."""
    return {
        "raw stream parsed": Reading("with_raw_response", lambda raw: raw.parse(), _close_stream, parses=True),
        "raw stream unparsed": Reading(
            "with_raw_response",
            lambda raw: getattr(raw.http_response, f"{a}iter_lines")(),
            lambda raw, _: getattr(raw.http_response, f"{a}close")(),
        ),
        "stream read as lines": Reading("with_streaming_response", lambda response: response.iter_lines()),
        "stream read as bytes": Reading("with_streaming_response", lambda response: response.iter_bytes()),
        "stream read parsed": Reading(
            "with_streaming_response", lambda response: response.parse(), _close_stream, parses=True
        ),
    }


ANSWERED: Mapping[str, Reading] = {
    "raw": Reading("with_raw_response", lambda _: None, lambda *_: None),
    "raw parsed": Reading("with_raw_response", lambda raw: raw.parse(), lambda *_: None),
    "read as JSON": Reading("with_streaming_response", lambda response: response.json()),
    "read parsed": Reading("with_streaming_response", lambda response: response.parse()),
}
"""The ways to read a whole answer; a raw one has been read by the SDK already, and may never be parsed."""


class Read:
    """A raw or a streaming response in the manners of a stream, that is read in one of those ways."""

    def __init__(self, pending: Any, reading: Reading) -> None:
        self._pending = pending
        self._reading = reading

    async def __aenter__(self) -> Read:
        found = await settled(self._pending)
        self._leave = getattr(found, "__aexit__", None) or getattr(found, "__exit__", None)
        enter = getattr(found, "__aenter__", None) or getattr(found, "__enter__", None)
        self._response = await settled(enter()) if enter else found
        self._pieces = await settled(self._reading.read(self._response))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await (settled(self._leave(*exc_info)) if self._leave else self.close())

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Gives something for each event of the stream, however many of them a piece holds."""
        if hasattr(self._pieces, "__aiter__"):
            async for piece in self._pieces:
                for _ in range(_events_in(piece)):
                    yield piece
            return
        for piece in self._pieces:
            for _ in range(_events_in(piece)):
                yield piece

    async def close(self) -> None:
        await settled(self._reading.close(self._response, self._pieces))


def _events_in(piece: Any) -> int:
    if isinstance(piece, bytes):
        return piece.count(b"data:")
    return piece.startswith("data:") if isinstance(piece, str) else 1


async def _answer(pending: Any, reading: Reading) -> None:
    async with Read(pending, reading):
        pass


METHODS: Mapping[str, tuple[Api, Callable[[Clients, str], Any], dict[str, Any]]] = {
    "chat": (CHAT, lambda c, a: getattr(c, f"{a}openai").chat.completions, GPT),
    "responses": (RESPONSE, lambda c, a: getattr(c, f"{a}openai").responses, RESPONSES),
    "messages": (MESSAGE, lambda c, a: getattr(c, f"{a}anthropic").messages, CLAUDE),
}
"""The methods that have a raw and a streaming form: the API, the resource, the arguments."""


def _raw_shapes(name: str, way: str) -> Iterator[tuple[str, Shape]]:
    """The shapes of one method, sync or async."""
    api, resource, arguments = METHODS[name]
    end, a = (", async", "a") if way else ("", "")

    def opened(clients: Clients, reading: Reading, **more: Any) -> Any:
        return getattr(resource(clients, way), reading.wrapper).create(**arguments, **more)

    for said, reading in ANSWERED.items():
        early = reading.wrapper == "with_streaming_response"
        answer = lambda c, r=reading: _answer(opened(c, r), r)  # noqa: E731 -- one of the shapes below
        yield f"{name} {said}{end}", whole(api, answer, awaits=bool(way), early=early)
    for said, reading in streamed(a).items():
        make = lambda c, r=reading: Read(opened(c, r, stream=True), r)  # noqa: E731 -- one of the shapes below
        yield (
            f"{name} {said}{end}",
            Shape(api, make, asynchronous=bool(way), events=api.parsed if reading.parses else api.events),
        )


SHAPES: Mapping[str, Shape] = {
    "chat": whole(CHAT, lambda c: c.openai.chat.completions.create(**GPT)),
    "chat, async": whole(CHAT, lambda c: c.async_openai.chat.completions.create(**GPT), awaits=True),
    "responses": whole(RESPONSE, lambda c: c.openai.responses.create(**RESPONSES)),
    "responses, async": whole(RESPONSE, lambda c: c.async_openai.responses.create(**RESPONSES), awaits=True),
    "messages": whole(MESSAGE, lambda c: c.anthropic.messages.create(**CLAUDE)),
    "messages, async": whole(MESSAGE, lambda c: c.async_anthropic.messages.create(**CLAUDE), awaits=True),
    "converse": whole(CONVERSE, lambda c: c.bedrock.converse(**NOVA), early=True),
    "gemini": whole(GENERATE, lambda c: c.gemini.models.generate_content(**GEMINI)),
    "gemini, async": whole(GENERATE, lambda c: c.gemini.aio.models.generate_content(**GEMINI), awaits=True),
    "chat stream": sync(CHAT, lambda c: c.openai.chat.completions.create(**GPT, stream=True)),
    "chat stream, async": asynchronous(CHAT, lambda c: c.async_openai.chat.completions.create(**GPT, stream=True)),
    "chat stream with usage": sync(CHAT, lambda c: c.openai.chat.completions.create(**GPT, **ASKED, stream=True)),
    "chat stream with usage, async": asynchronous(
        CHAT, lambda c: c.async_openai.chat.completions.create(**GPT, **ASKED, stream=True)
    ),
    "chat helper": sync(CHAT, lambda c: c.openai.chat.completions.stream(**GPT), events=8),
    "chat helper, async": asynchronous(CHAT, lambda c: c.async_openai.chat.completions.stream(**GPT), events=8),
    "responses stream": sync(RESPONSE, lambda c: c.openai.responses.create(**RESPONSES, stream=True)),
    "responses stream, async": asynchronous(
        RESPONSE, lambda c: c.async_openai.responses.create(**RESPONSES, stream=True)
    ),
    "responses helper": sync(RESPONSE, lambda c: c.openai.responses.stream(**RESPONSES)),
    "responses helper, async": asynchronous(RESPONSE, lambda c: c.async_openai.responses.stream(**RESPONSES)),
    "messages stream": sync(MESSAGE, lambda c: c.anthropic.messages.create(**CLAUDE, stream=True)),
    "messages stream, async": asynchronous(MESSAGE, lambda c: c.async_anthropic.messages.create(**CLAUDE, stream=True)),
    "messages helper": sync(MESSAGE, lambda c: c.anthropic.messages.stream(**CLAUDE), events=8),
    "messages helper, async": asynchronous(MESSAGE, lambda c: c.async_anthropic.messages.stream(**CLAUDE), events=8),
    "converse stream": sync(CONVERSE, lambda c: _closing(c.bedrock.converse_stream(**NOVA)["stream"])),
    "invoke stream": sync(
        INVOKE,
        lambda c: _closing(c.bedrock.invoke_model_with_response_stream(modelId=INVOKE.model, body=CLAUDE_BODY)["body"]),
    ),
    "gemini stream": sync(GENERATE, lambda c: _closing(c.gemini.models.generate_content_stream(**GEMINI))),
    "gemini stream, async": asynchronous(GENERATE, lambda c: c.gemini.aio.models.generate_content_stream(**GEMINI)),
    **{shape: made for name in METHODS for way in ("", "async_") for shape, made in _raw_shapes(name, way)},
}
