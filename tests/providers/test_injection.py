"""A chat stream is asked for its usage, and the application reads it as if nobody had asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger import _call
from spanledger._seen import Recent
from spanledger.errors import ConfigurationError
from spanledger.providers import _injection
from spanledger.providers._injection import HidingDecoder, UsageHider
from spanledger.testing import Fault, ProviderServer, Reply, Request, Tokens, capture_charges, refused

HELLO: Any = [{"role": "user", "content": "hello"}]
TOKENS = Tokens(input_tokens=1000, output_tokens=50, cache_read_tokens=300, reasoning_tokens=20)
REPLY = Reply('one "usage": null two, "usage":null three', TOKENS, response_id="chatcmpl-same")
CHAT: Any = {"model": "gpt-5-mini", "messages": HELLO, "stream": True}
LEGACY: Any = {"model": "gpt-3.5-turbo-instruct", "prompt": "hello", "stream": True}


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_injection.asking, "hosts", ("127.0.0.1",))
    monkeypatch.setattr(_injection, "refusers", Recent(512))


def client_of(server: ProviderServer, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0, **more)


def async_client_of(server: ProviderServer, **more: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0, **more)


def dumps(stream: Any) -> list[str]:
    return [chunk.model_dump_json(exclude_unset=True) for chunk in stream]


def chat(client: openai.OpenAI) -> Any:
    return dumps(client.chat.completions.create(**CHAT))


def legacy(client: openai.OpenAI) -> Any:
    return dumps(client.completions.create(**LEGACY))


def context_manager(client: openai.OpenAI) -> Any:
    with client.chat.completions.create(**CHAT) as stream:
        return dumps(stream)


def helper(client: openai.OpenAI) -> Any:
    if not hasattr(client.chat.completions, "stream"):
        pytest.skip("this openai has no chat.completions.stream")
    with client.chat.completions.stream(model="gpt-5-mini", messages=HELLO) as stream:
        seen = [event.model_dump_json() for event in stream]
        return seen, stream.get_final_completion().model_dump_json()


def raw_parsed(client: openai.OpenAI) -> Any:
    return dumps(client.chat.completions.with_raw_response.create(**CHAT).parse())


def raw_lines(client: openai.OpenAI) -> Any:
    return list(client.chat.completions.with_raw_response.create(**CHAT).http_response.iter_lines())


def streaming_lines(client: openai.OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return list(response.iter_lines())


def streaming_bytes(client: openai.OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return b"".join(response.iter_bytes(7))


def streaming_parsed(client: openai.OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return dumps(response.parse())


def posted(client: openai.OpenAI) -> Any:
    kind = openai.Stream[openai.types.chat.ChatCompletionChunk]
    body = dict(CHAT)
    seen = dumps(
        client.post("/chat/completions", body=body, cast_to=openai.types.chat.ChatCompletionChunk, stream=True,
                    stream_cls=kind)
    )  # fmt: skip
    assert body == CHAT
    return seen


SHAPES = [
    *(chat, legacy, context_manager, helper, raw_parsed, raw_lines),
    *(streaming_lines, streaming_bytes, streaming_parsed, posted),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_application_sees_what_it_would_have_seen(
    server: ProviderServer, shape: Callable[[openai.OpenAI], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(server) as client:
        bare = shape(client)
        with capture_charges() as charges:
            metered = shape(client)
        monkeypatch.setattr(_injection.asking, "enabled", False)
        with capture_charges() as unasked:
            assert shape(client) == bare
    assert metered == bare
    assert b"include_usage" in server.requests[1].body
    assert b"include_usage" not in server.requests[2].body
    assert [(one.input_tokens, one.output_tokens, one.usage_source) for one in charges] == [(1000, 50, "reported")]
    assert charges[0].usage == {"input": 700, "cache_read": 300, "output": 30, "reasoning": 20}
    assert [one.usage_source for one in unasked] != ["reported"]


async def async_chat(client: openai.AsyncOpenAI) -> Any:
    stream = await client.chat.completions.create(**CHAT)
    return [chunk.model_dump_json(exclude_unset=True) async for chunk in stream]


async def async_helper(client: openai.AsyncOpenAI) -> Any:
    if not hasattr(client.chat.completions, "stream"):
        pytest.skip("this openai has no chat.completions.stream")
    async with client.chat.completions.stream(model="gpt-5-mini", messages=HELLO) as stream:
        return [event.model_dump_json() async for event in stream]


async def async_raw_lines(client: openai.AsyncOpenAI) -> Any:
    response = await client.chat.completions.with_raw_response.create(**CHAT)
    return [line async for line in response.http_response.aiter_lines()]


async def async_streaming_lines(client: openai.AsyncOpenAI) -> Any:
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return [line async for line in response.iter_lines()]


ASYNC_SHAPES = [async_chat, async_helper, async_raw_lines, async_streaming_lines]


@pytest.mark.parametrize("shape", ASYNC_SHAPES)
async def test_the_same_holds_for_async_clients(
    server: ProviderServer, shape: Callable[[openai.AsyncOpenAI], Awaitable[Any]]
) -> None:
    async with async_client_of(server) as client:
        bare = await shape(client)
        with capture_charges() as charges:
            assert await shape(client) == bare
    assert [(one.input_tokens, one.output_tokens, one.usage_source) for one in charges] == [(1000, 50, "reported")]


def test_one_that_asks_itself_gets_its_chunk(server: ProviderServer) -> None:
    asking: Any = {**CHAT, "stream_options": {"include_usage": True}}
    with client_of(server) as client:
        bare = dumps(client.chat.completions.create(**asking))
        with capture_charges() as charges:
            assert dumps(client.chat.completions.create(**asking)) == bare
    assert '"total_tokens":1050' in bare[-1]
    assert charges[0].output_tokens == 50


@pytest.mark.parametrize(
    "decided",
    [
        {"stream_options": {"include_usage": False}},
        {"extra_body": {"stream_options": {"include_usage": True}}},
        {"extra_body": {"stream_options": {"include_obfuscation": False}}},
        {"extra_body": {"data_sources": []}},
    ],
)
def test_what_the_application_decides_stands(server: ProviderServer, decided: dict[str, Any]) -> None:
    with client_of(server) as client:
        client.chat.completions.create(**CHAT, **decided).close()
        with capture_charges():
            client.chat.completions.create(**CHAT, **decided).close()
    assert server.requests[0].json == server.requests[1].json


def test_other_stream_options_are_kept(server: ProviderServer) -> None:
    with client_of(server) as client, capture_charges():
        list(client.chat.completions.create(**CHAT, stream_options={"include_obfuscation": False}))  # type: ignore[call-overload]
    assert server.requests[0].json["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize(
    ("host", "version", "taken"),
    [
        ("api.openai.com", None, True),
        ("eu.api.openai.com", None, True),
        ("acme.openai.azure.com", "2024-10-21", True),
        ("acme.openai.azure.com", "2024-09-01-preview", True),
        ("acme.openai.azure.com", "2024-06-01", False),
        ("acme.openai.azure.com", None, True),
        ("acme.openai.azure.com", "preview", True),
        ("notopenai.com", None, False),
        ("openrouter.ai", None, False),
        ("api.mistral.ai", None, False),
        ("localhost", None, False),
    ],
)
def test_only_known_hosts_are_asked(host: str, version: str | None, taken: bool) -> None:  # noqa: FBT001
    query = {"default_query": {"api-version": version}} if version else {}
    with openai.OpenAI(base_url=f"https://{host}/v1", api_key="any", **query) as client:
        api = type("Api", (), {"name": "chat.completions"})
        call: Any = type("Call", (), {"server_address": host, "api": api})
        assert _injection._takes(client, call) is taken


def test_a_host_that_refuses_gets_the_request_as_it_was(server: ProviderServer) -> None:
    def answer(request: Request) -> Reply:
        def complain(body: Any) -> Any:
            body["error"]["message"] = "Unrecognized request argument supplied: stream_options"
            return body

        return Reply(status=400, amend=complain) if "stream_options" in request.json else REPLY

    server.answer = answer
    with client_of(server) as client:
        with capture_charges() as charges:
            seen = [dumps(client.chat.completions.create(**CHAT)) for _ in range(2)]
        assert seen == [dumps(client.chat.completions.create(**CHAT))] * 2
    assert ["stream_options" in request.json for request in server.requests] == [True, False, False, False]
    assert [one.cost_status for one in charges if one.status == "error"] == ["not_billed"]


def test_another_refusal_is_the_applications(server: ProviderServer) -> None:
    server.reply(refused(400))
    with (
        client_of(server) as client,
        capture_charges(),
        pytest.raises(openai.BadRequestError, match="refused with 400"),
    ):
        client.chat.completions.create(**CHAT)
    assert len(server.requests) == 1


def test_a_stream_broken_off_or_cut_ends_as_before(server: ProviderServer) -> None:
    with client_of(server) as client, capture_charges() as charges:
        stream = client.chat.completions.create(**CHAT)
        next(iter(stream))
        stream.close()
        assert stream.response.is_closed
        server.reply(Reply("one two three", TOKENS, fault=Fault("cut", 2)))
        with pytest.raises(Exception, match=r"(?i)peer closed|connection|incomplete|reset"):
            list(client.chat.completions.create(**CHAT))
    assert [one.status for one in charges] == ["aborted", "error"]


def wire(*, asked: bool) -> bytes:
    """A stream as a provider sends it, to a request that asks for usage or does not."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
    deltas = [{"content": word} for word in ('one "usage": null', "\n\n", "two")]
    events: list[Any] = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if asked:
        events = [{**event, "usage": None} for event in events]
        events.append({**head, "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 50}})
    return b"".join(b"data: %b\n\n" % line for line in [*(json.dumps(one).encode() for one in events), b"[DONE]"])


def cutting(httpx: Any, cuts: list[int]) -> Any:
    """A transport that brings the stream in pieces which end at these bytes."""

    def answer(request: Any) -> Any:
        body = wire(asked=b"include_usage" in request.content)
        ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})

        async def pieces() -> Any:
            for start, end in zip([0, *ends], ends, strict=False):
                yield body[start:end]

        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=pieces())

    return httpx.MockTransport(answer)


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(1, 2000), max_size=6),
    shape=st.sampled_from([async_chat, async_raw_lines, async_streaming_lines]),
)
def test_it_does_not_matter_where_the_network_cuts_a_stream(
    cuts: list[int], shape: Callable[[openai.AsyncOpenAI], Awaitable[Any]]
) -> None:
    httpx = pytest.importorskip("httpx2", reason="this openai has an older httpx")

    async def compared() -> list[Any]:
        http = httpx.AsyncClient(transport=cutting(httpx, cuts))
        async with openai.AsyncOpenAI(api_key="any", max_retries=0, http_client=http) as client:
            bare = await shape(client)
            with capture_charges() as charges:
                assert await shape(client) == bare
            return charges

    charges = asyncio.run(compared())
    assert [(one.input_tokens, one.output_tokens, one.usage_source) for one in charges] == [(1000, 50, "reported")]


def test_settings_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import spanledger

    monkeypatch.setattr(_injection.asking, "enabled", True)
    monkeypatch.setenv("SPANLEDGER_INCLUDE_USAGE", "0")
    monkeypatch.setenv("SPANLEDGER_INCLUDE_USAGE_HOSTS", "llm.internal, 10.0.0.7")
    try:
        spanledger.configure(ledger=tmp_path)
        assert (_injection.asking.enabled, _injection.asking.hosts) == (False, ("llm.internal", "10.0.0.7"))
        spanledger.configure(ledger=tmp_path, include_usage=True, include_usage_hosts=["a"])
        assert (_injection.asking.enabled, _injection.asking.hosts) == (True, ("a",))
        with pytest.raises(ConfigurationError, match="include_usage takes bool"):
            spanledger.configure(ledger=tmp_path, include_usage="yes")  # type: ignore[typeddict-item]
    finally:
        spanledger.uninstrument()
        _injection.asking.enabled = True


class Taker:
    """Stands where a tally would, and keeps what it is shown."""

    sealed = False

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def observe(self, event: Any) -> None:
        self.seen.append(event)


ENDS = ["\n\n", "\r\n\r\n", "\r\r"]
SPACES = st.sampled_from([(",", ":"), (", ", ": ")])
CONTENT = st.text(max_size=20) | st.sampled_from(['"usage":null', ',"usage": null', "\n\n", "usage", ""])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A stream with what `include_usage` adds to it, and the same without."""
    end = draw(st.sampled_from(ENDS))
    asked, unasked = [], []
    for content in draw(st.lists(CONTENT, max_size=5)):
        body: dict[str, Any] = {"id": "1", "choices": [{"delta": {"content": content}}]}
        separators = draw(SPACES)
        position = draw(st.sampled_from([0, 1, 2]))
        items = list(body.items())
        items.insert(position, ("usage", None))
        asked.append(f"data: {json.dumps(dict(items), separators=separators)}{end}")
        unasked.append(f"data: {json.dumps(body, separators=separators)}{end}")
    usage = {"id": "1", "choices": [], "usage": {"total_tokens": 3}}
    asked.append(f"data: {json.dumps(usage)}{end}")
    tail = f"data: [DONE]{end}" + draw(st.sampled_from(["", "data: {"]))
    return "".join([*asked, tail]).encode(), "".join([*unasked, tail]).encode()


@settings(max_examples=300)
@given(streams(), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_bytes_cut_anywhere_come_out_as_if_unasked(pair: tuple[bytes, bytes], sizes: list[int]) -> None:
    asked, unasked = pair
    taker: Any = Taker()
    hider = UsageHider(taker)
    shown, at, turn = b"", 0, 0
    while at < len(asked):
        size = sizes[turn % len(sizes)]
        shown += hider.feed(asked[at : at + size])
        at, turn = at + size, turn + 1
    assert shown + hider.rest() == unasked
    assert [event["usage"] for event in taker.seen] == [{"total_tokens": 3}]


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_other_bytes_pass(pieces: list[bytes]) -> None:
    taker: Any = Taker()
    hider = UsageHider(taker)
    assert b"".join(hider.feed(piece) for piece in pieces) + hider.rest() == b"".join(pieces)


def test_a_fault_of_ours_shows_the_application_everything() -> None:
    class Broken(Taker):
        def observe(self, event: Any) -> None:
            raise ValueError(event)

    data = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\ndata: [DONE]\n\n'
    broken: Any = Broken()
    decoder = HidingDecoder(Identity(), UsageHider(broken))
    assert decoder.decode(data[:20]) + decoder.decode(data[20:]) + decoder.flush() == data


class Identity:
    def decode(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def test_nothing_is_asked_while_nothing_is_metered(server: ProviderServer) -> None:
    assert _call.meter is None
    with client_of(server) as client:
        list(client.chat.completions.create(**CHAT))
    assert "stream_options" not in server.requests[0].json
