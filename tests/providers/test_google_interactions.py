"""`client.interactions` of google-genai: a client of its own, so it has tests of its own."""

from __future__ import annotations

import pytest
from tests.providers._either import forget, pieces, settled
from tests.providers._google import MODEL, MODES, Caller, client_of, closing

from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

pytest.importorskip("google.genai.interactions", reason="this google-genai has no interactions")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*experimental.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Async interactions client cannot use aiohttp:UserWarning"),
]

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, reasoning_tokens=10)
REPLY = Reply("one two three four", TOKENS)
ASK = {"model": MODEL, "input": "hello"}


@pytest.fixture
def server():
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture(params=MODES)
async def call(request, server):
    async with closing(client_of(server)) as client:
        yield Caller(client, request.param)


def only(charges):
    (charge,) = charges
    return charge


def counts(charge):
    return (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens, charge.reasoning_tokens)


async def test_an_interaction_is_one_charge(call, server):
    with capture_charges() as charges:
        answer = await call("interactions.create", **ASK)
    assert answer.id == server.exchanges[0].response_id
    charge = only(charges)
    assert counts(charge) == (100, 40, 30, 10)
    assert (charge.provider_name, charge.request_model, charge.response_model) == ("gcp.gemini", MODEL, MODEL)
    assert (charge.response_id, charge.status, charge.server_address) == (answer.id, "ok", "127.0.0.1")


async def test_a_stream_is_one_charge(call):
    with capture_charges() as charges:
        events = await pieces(await call("interactions.create", **ASK, stream=True))
    assert len(events) > 5
    charge = only(charges)
    assert (counts(charge), charge.status, charge.stream) == ((100, 40, 30, 10), "ok", True)


async def test_a_stream_that_is_left_is_one_charge(call):
    with capture_charges() as charges:
        stream = await call("interactions.create", **ASK, stream=True)
        assert len(await pieces(stream, 2)) == 2
        await settled(stream.close())
        assert (only(charges).status, only(charges).input_tokens) == ("aborted", None)


async def test_a_stream_that_is_dropped_is_one_charge(call):
    with capture_charges() as charges:
        stream = await call("interactions.create", **ASK, stream=True)
        assert len(await pieces(stream, 1)) == 1
        del stream
        await forget()
    assert only(charges).status == "aborted"


async def test_a_stream_that_is_cut_is_one_charge(call, server):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("cut", 3)))
    with capture_charges() as charges:
        stream = await call("interactions.create", **ASK, stream=True)
        with pytest.raises(Exception, match=r"."):
            await pieces(stream)
    assert only(charges).status == "error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_a_failed_call_that_is_not_billed(call, server, stream):
    server.reply(refused(400))
    with capture_charges() as charges, pytest.raises(Exception, match="400"):
        await call("interactions.create", **ASK, stream=stream)
    assert (only(charges).status, only(charges).cost_status) == ("error", "not_billed")


async def test_a_raw_response_that_is_never_parsed_is_one_charge(call):
    create = getattr(call.method("interactions.with_raw_response"), "create", None)
    with capture_charges() as charges:
        await settled(create(**ASK))
    assert counts(only(charges)) == (100, 40, 30, 10)


async def test_one_that_goes_on_in_the_background_is_completed_when_it_is_asked_about(call, server):
    if not hasattr(call.method("interactions"), "sdk_configuration"):
        pytest.skip("this google-genai has interactions of an older make")

    def begun(body):
        return {name: value for name, value in {**body, "status": "in_progress"}.items() if name != "usage"}

    server.reply(Reply(amend=begun, response_id="v1_1"), Reply(amend=begun, response_id="v1_1"))
    server.answer = lambda _: Reply(REPLY.text, TOKENS, response_id="v1_1")
    with capture_charges() as charges:
        await call("interactions.create", **ASK, background=True)
        await call("interactions.get", id="v1_1")
        assert (len(charges), charges[0].cost_status) == (1, "unknown")
        await call("interactions.get", id="v1_1")
        await call("interactions.get", id="v1_1")
    assert len(charges) == 2
    assert charges[1].corrects == charges[0].charge_id
    assert counts(charges[1]) == (100, 40, 30, 10)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_requests_of_one_that_is_continued_share_the_id_of_the_call(call, server, stream):
    pytest.importorskip("google.genai._interactions_continuation", reason="this google-genai does not continue them")
    unfinished = {"status": "requires_continuation", "continuation_token": "go-on"}

    def cut_short(body):
        if isinstance(body.get("interaction"), dict) and body["interaction"].get("status") == "completed":
            return {**body, "interaction": {**body["interaction"], **unfinished}}
        return {**body, **unfinished} if body.get("status") == "completed" else body

    server.reply(Reply("one", Tokens(7, 2), amend=cut_short))
    with capture_charges() as charges:
        answer = await call("interactions.create", **ASK, stream=stream)
        if stream:
            await pieces(answer)
        await call("interactions.create", **ASK)
    assert [request.json.get("continuation_token") for request in server.requests] == [None, "go-on", None]
    assert [charge.input_tokens for charge in charges] == [7, 100, 100]
    assert {charge.call_id for charge in charges[:2]} == {charges[0].charge_id}
    assert charges[2].call_id == charges[2].charge_id
