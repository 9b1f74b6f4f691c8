"""google-genai, the real SDK, against a loopback server: each call shape and each way to leave it makes one charge."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext

import pytest
from google.genai import errors, types
from tests.providers._either import forget, pieces, settled
from tests.providers._google import MODEL, MODES, PLATFORMS, Caller, client_of, closing

import spanledger
from spanledger.providers import _google
from spanledger.providers._hooks import Hook
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, reasoning_tokens=10)
REPLY = Reply("one two three four", TOKENS)
ASK = {"model": MODEL, "contents": "hello"}
SHOWS_HEADERS = "sdk_http_response" in types.GenerateContentResponse.model_fields


@pytest.fixture
def server():
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
async def make(server):
    async with AsyncExitStack() as stack:

        async def make(platform="gemini", **options):
            return await stack.enter_async_context(closing(client_of(server, platform, **options)))

        yield make


@pytest.fixture
async def call(make, mode):
    return Caller(await make(), mode)


def counts(charge):
    return (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens, charge.reasoning_tokens)


def only(charges):
    (charge,) = charges
    return charge


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_one_charge_says_who_was_called_and_what_was_used(server, make, mode, platform):
    call = Caller(await make(platform), mode)
    with capture_charges() as charges:
        answer = await call("models.generate_content", **ASK)
    assert type(answer) is types.GenerateContentResponse
    assert answer.text == REPLY.text
    charge = only(charges)
    assert counts(charge) == (100, 40, 30, 10)
    assert charge.provider_name == PLATFORMS[platform]
    assert (charge.operation, charge.status, charge.stream) == ("generate_content", "ok", False)
    assert (charge.request_model, charge.response_model, charge.server_address) == (MODEL, MODEL, "127.0.0.1")
    assert charge.response_id == server.exchanges[0].response_id
    assert charge.region == ("us-central1" if platform == "vertex" else None)
    assert charge.finish_reasons == ("STOP",)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_stream_read_to_its_end_has_the_last_usage(make, mode, platform):
    call = Caller(await make(platform), mode)
    with capture_charges() as charges:
        stream = await call("models.generate_content_stream", **ASK)
        found = await pieces(stream)
    assert "".join(piece.text or "" for piece in found) == REPLY.text
    assert {type(piece) for piece in found} == {types.GenerateContentResponse}
    charge = only(charges)
    assert counts(charge) == (100, 40, 30, 10)
    assert (charge.status, charge.stream, charge.usage_source) == ("ok", True, "reported")
    assert charge.time_to_first_chunk_ms is not None


async def test_chats_send_messages_and_stream_them(call):
    with capture_charges() as charges:
        chat = call.method("chats.create")(model=MODEL)
        await settled(chat.send_message("hello"))
        await pieces(await settled(chat.send_message_stream("again")))
    assert [counts(charge) for charge in charges] == [(100, 40, 30, 10)] * 2
    assert [charge.stream for charge in charges] == [False, True]


@pytest.mark.parametrize("after", [1, 2])
async def test_a_stream_that_is_left_keeps_what_it_has_seen(call, after):
    with capture_charges() as charges:
        found = await pieces(await call("models.generate_content_stream", **ASK), after)
        await forget()
    assert len(found) == after
    charge = only(charges)
    assert (charge.status, charge.usage_source) == ("aborted", "partial")
    assert counts(charge) == (100, 40, 30, 10)


async def test_a_stream_that_is_closed_is_booked_then(call, mode):
    with capture_charges() as charges:
        stream = await call("models.generate_content_stream", **ASK)
        await (stream.__anext__() if mode == "async" else settled(next(stream)))
        await settled(stream.aclose() if mode == "async" else stream.close())
        if mode == "async":  # the SDK's generators are nested, and the event loop closes the inner ones
            await forget()
        assert only(charges).status == "aborted"


async def test_a_stream_whose_connection_is_cut_fails_with_what_it_has_seen(server, call):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("cut", 2)))
    with capture_charges() as charges, pytest.raises(Exception, match=r".*") as caught:
        await pieces(await call("models.generate_content_stream", **ASK))
    charge = only(charges)
    assert (charge.status, charge.error_type) == ("error", type(caught.value).__name__)
    assert counts(charge) == (100, 40, 30, 10)
    assert charge.usage_source == "partial"


async def test_a_stream_that_ends_without_a_reason_is_whole_all_the_same(server, call):
    def unreasoned(event):
        return {**event, "candidates": [{**event["candidates"][0], "finishReason": None}]}

    server.reply(Reply(REPLY.text, TOKENS, amend=unreasoned))
    with capture_charges() as charges:
        await pieces(await call("models.generate_content_stream", **ASK))
    assert (only(charges).status, only(charges).usage_source) == ("ok", "reported")


@pytest.mark.parametrize("kind", ["error", "malformed"])
async def test_a_stream_that_breaks_inside_is_one_charge(server, call, kind):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault(kind, 1)))
    with capture_charges() as charges:
        stream = await call("models.generate_content_stream", **ASK)
        with nullcontext() if kind == "error" and not SHOWS_HEADERS else pytest.raises(Exception, match=r".*"):
            await pieces(stream)  # an SDK that throws headers away takes an error for a chunk
    charge = only(charges)
    assert (charge.status in {"error", "aborted"}, charge.input_tokens) == (True, 100)


@pytest.mark.skipif(not SHOWS_HEADERS, reason="an old google-genai reads in a thread, which cannot be cancelled")
async def test_a_task_that_is_cancelled_leaves_one_charge(server, make):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("hold", 2)))
    call, seen = Caller(await make(), "async"), asyncio.Event()

    async def read():
        async for _ in await call("models.generate_content_stream", **ASK):
            seen.set()

    with capture_charges() as charges:
        task = asyncio.create_task(read())
        await asyncio.wait({task, asyncio.ensure_future(seen.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (only(charges).status, only(charges).usage_source) == ("aborted", "partial")


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("method", ["generate_content", "generate_content_stream"])
async def test_a_refusal_is_a_failed_call_that_is_not_billed(server, call, status, method):
    server.reply(refused(status))
    with capture_charges() as charges, pytest.raises(errors.APIError) as caught:
        await pieces(await call(f"models.{method}", **ASK))
    assert caught.value.code == status
    charge = only(charges)
    assert (charge.status, charge.cost_status) == ("error", "not_billed")


async def test_a_dead_connection_is_one_failed_call(server, call):
    server.reply(Reply(fault=Fault("cut")))
    with capture_charges() as charges, pytest.raises(Exception, match=r".*"):
        await call("models.generate_content", **ASK)
    assert only(charges).status == "error"


@pytest.mark.skipif(not hasattr(types, "GenerateVideosConfig"), reason="this google-genai makes no videos")
@pytest.mark.filterwarnings("ignore:The generate_(images|videos) method")
async def test_what_is_billed_by_neither_token_nor_stream_is_counted(server, make, mode):
    call = Caller(await make("vertex"), mode)
    image = {"predictions": [{"bytesBase64Encoded": "eA==", "mimeType": "image/png"}] * 2}
    server.reply(Reply(amend=lambda _: image), Reply(amend=lambda _: {"name": "operations/1"}))
    with capture_charges() as charges:
        await call("models.generate_images", model="imagen-4.0-generate-001", prompt="a sea")
        await call(
            "models.generate_videos",
            model="veo-3.1-generate-preview",
            prompt="a sea",
            config=types.GenerateVideosConfig(number_of_videos=2, duration_seconds=8),
        )
    assert [charge.usage for charge in charges] == [{"images": 2}, {"video_seconds": 16}]
    assert charges[1].response_id == "operations/1"


@pytest.mark.skipif(not hasattr(types, "GenerateVideosConfig"), reason="this google-genai makes no videos")
@pytest.mark.filterwarnings("ignore:The generate_videos method")
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("error", [None, {"code": 3, "message": "unsafe"}])
async def test_a_video_is_certain_once_its_operation_is_over(server, make, mode, platform, error):
    call, name = Caller(await make(platform), mode), "models/veo-3.1-generate-preview/operations/1"
    states = [{"name": name}, {"name": name, "done": False}, {"name": name, "done": True, "error": error}]
    states[2] = {key: value for key, value in states[2].items() if value is not None}
    server.reply(*(Reply(amend=lambda _, state=state: state) for state in states))
    config = types.GenerateVideosConfig(number_of_videos=1, duration_seconds=8)
    asked = {"model": "veo-3.1-generate-preview", "prompt": "a sea", "config": config}
    with capture_charges() as charges:
        try:
            operation = await call("models.generate_videos", **asked)
            for _ in range(2):
                operation = await call("operations.get", operation=operation)
        except ValueError as refusal:
            pytest.skip(f"this google-genai has no videos there: {refusal}")
    assert [charge.usage for charge in charges] == [{"video_seconds": 8}, {"video_seconds": 0 if error else 8}]
    assert [charge.usage_source for charge in charges] == ["estimated", "reported"]
    assert charges[1].corrects == charges[0].charge_id


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_embeddings_have_their_tokens(make, mode, platform):
    call = Caller(await make(platform), mode)
    with capture_charges() as charges:
        await call("models.embed_content", model="gemini-embedding-001", contents=["hello"])
    assert (only(charges).operation, only(charges).input_tokens) == ("embeddings", 100)


async def test_cached_content_is_written_once_and_then_read(call):
    config = types.CreateCachedContentConfig(contents=[types.Content(role="user", parts=[types.Part(text="long")])])
    with capture_charges() as charges:
        await call("caches.create", model="models/gemini-2.5-flash", config=config)
    charge = only(charges)
    assert charge.usage == {"cache_write": 100}
    assert charge.request_model == MODEL


async def test_what_is_free_makes_no_charge(server, call):
    server.reply(Reply(amend=lambda _: {"totalTokens": 3}))
    with capture_charges() as charges, pytest.raises(errors.APIError):
        await call("models.count_tokens", **ASK)
    assert charges == []


def ask_for_the_function(body):
    part = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    return {**body, "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


@pytest.fixture
def tool(server):
    """A function that the SDK calls by itself, and that makes a call of its own."""
    client = client_of(server)

    def weather(city: str) -> str:
        """The weather of a city."""
        client.models.generate_content(model=MODEL, contents="where is it?")
        return f"sunny in {city}"

    weather.__annotations__ = {"city": str, "return": str}  # an old google-genai reads them as they are

    def answer(request):
        if b"where is it?" in request.body:
            return Reply(usage=Tokens(50, 5))
        ended = (
            b"functionResponse" in request.body or b"function_response" in request.body or "tools" not in request.json
        )
        return REPLY if ended else Reply("once", usage=Tokens(7, 2), amend=ask_for_the_function)

    server.answer = answer
    yield {"tools": [weather]}
    if hasattr(client, "close"):
        client.close()


async def of_models(call, config):
    await call("models.generate_content", **ASK, config=config)


async def of_models_streamed(call, config):
    await pieces(await call("models.generate_content_stream", **ASK, config=config))


async def of_chats(call, config):
    await settled(call.method("chats.create")(model=MODEL, config=config).send_message("hello"))


async def of_chats_streamed(call, config):
    await pieces(await settled(call.method("chats.create")(model=MODEL, config=config).send_message_stream("hello")))


@pytest.mark.parametrize("way", [of_models, of_models_streamed, of_chats, of_chats_streamed])
async def test_the_requests_of_one_call_share_its_id_and_what_a_function_calls_has_another(call, tool, way):
    with capture_charges() as charges:
        await way(call, tool)
        await way(call, {})
    of_functions = [charge for charge in charges if charge.input_tokens == 50]
    *rounds, alone = [charge for charge in charges if charge.input_tokens != 50]
    assert of_functions
    assert [charge.input_tokens for charge in (*rounds, alone)] == [7, 100, 100]
    assert {charge.call_id for charge in rounds} == {rounds[0].charge_id}
    assert all(charge.call_id == charge.charge_id for charge in (*of_functions, alone))


@pytest.mark.skipif(not SHOWS_HEADERS, reason="this google-genai throws the headers away")
async def test_the_tier_in_a_header_decides(server, call):
    server.reply(Reply(usage=TOKENS, headers={"x-gemini-service-tier": "flex"}))
    with capture_charges() as charges:
        await call("models.generate_content", **ASK)
        server.reply(Reply(usage=TOKENS, headers={"x-gemini-service-tier": "priority"}))
        await pieces(await call("models.generate_content_stream", **ASK))
    assert [charge.service_tier for charge in charges] == ["flex", "priority"]


@pytest.mark.parametrize("method", ["models.generate_content_stream", "chats"])
async def test_a_stream_carries_the_tags_of_its_call_wherever_it_is_read(call, method):
    with capture_charges() as charges:
        with spanledger.tag(customer="acme"):
            if method == "chats":
                stream = await settled(call.method("chats.create")(model=MODEL).send_message_stream("hello"))
            else:
                stream = await call(method, **ASK)
        with spanledger.tag(customer="other"):
            await pieces(stream)
            assert spanledger.current_tags()["customer"] == "other"
    assert only(charges).customer == "acme"


async def test_what_a_method_returns_is_of_the_type_that_it_was(call):
    async def types_of():
        answers = [await call("models.generate_content", **ASK), await call("models.generate_content_stream", **ASK)]
        await pieces(answers[1])
        return [type(answer) for answer in answers]

    bare = await types_of()
    with capture_charges(), spanledger.tag(team="a"):
        assert await types_of() == bare


async def test_a_wrapped_client_is_metered_under_its_tags_and_no_other_is(make, mode, tmp_path):
    wrapped, bare = await make(), await make()
    try:
        spanledger.configure(ledger=tmp_path)
        with capture_charges() as charges:
            assert spanledger.wrap(wrapped, team="growth") is wrapped
            await Caller(wrapped, mode)("models.generate_content", **ASK)
            await Caller(bare, mode)("models.generate_content", **ASK)
        assert only(charges).team == "growth"
    finally:
        spanledger.uninstrument()


def test_an_sdk_that_is_another_is_left_alone():
    class BaseApiClient:
        def request(self, verb, where):
            """A signature that nobody knows."""

    class Module:
        pass

    module = Module()
    module.BaseApiClient = BaseApiClient
    before = BaseApiClient.request
    hook = Hook("google.genai._api_client", _google._install, state="waiting")
    hook._loaded(module)
    assert BaseApiClient.request is before
    assert "http_method" in hook.state
