"""aiobotocore, and aioboto3 on top of it: real clients against a loopback server."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.providers._either import forget, pieces

import spanledger
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

session = pytest.importorskip("aiobotocore.session", reason="aiobotocore is not installed")
AioConfig = pytest.importorskip("aiobotocore.config").AioConfig

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, cache_write_tokens=20)
REPLY = Reply("one two three four", TOKENS)
MODEL = "us.amazon.nova-lite-v1:0"
HELLO = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "hello"}]}]}
INVOKE = {"modelId": "anthropic.claude-sonnet-5", "body": b"{}"}
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}


@pytest.fixture
def server():
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture
def charges():
    with capture_charges() as found:
        yield found


def made(server, attempts=1):
    config = AioConfig(retries={"total_max_attempts": attempts, "mode": "standard"})
    return session.get_session().create_client("bedrock-runtime", endpoint_url=server.base_url, config=config, **KEYS)


@pytest.fixture
async def client(server, charges):  # noqa: ARG001 -- the client is made while it is metered
    async with made(server) as one:
        yield one


def counts(charge):
    return (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens, charge.cache_write_tokens)


def only(charges):
    (charge,) = charges
    return charge


def known(usage):
    """What this version of botocore gives away: before 1.36 it drops the counts of the cache."""
    cached = (usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens"))
    return (usage["inputTokens"] + sum(filter(None, cached)), usage["outputTokens"], *cached)


async def test_converse(client, charges):
    answer = await client.converse(**HELLO)
    assert answer["output"]["message"]["content"][0]["text"] == REPLY.text
    charge = only(charges)
    assert counts(charge) == known(answer["usage"])
    assert (charge.provider_name, charge.request_model, charge.region) == ("aws.bedrock", MODEL, "us-east-1")


async def test_a_stream_read_to_its_end(client, charges):
    answer = await client.converse_stream(**HELLO)
    events = await pieces(answer["stream"])
    assert "metadata" in events[-1]
    assert (counts(only(charges)), only(charges).status) == ((100, 40, 30, 20), "ok")


@pytest.mark.parametrize("how", ["dropped", "closed"])
async def test_a_stream_that_is_left(client, charges, how):
    answer = await client.converse_stream(**HELLO)
    await pieces(answer["stream"], 2)
    if how == "closed":
        answer["stream"].close()
        assert len(charges) == 1
    del answer
    await forget()
    assert only(charges).status == "aborted"


async def test_a_stream_that_is_cut(server, client, charges):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("cut", 2)))
    answer = await client.converse_stream(**HELLO)
    with pytest.raises(Exception, match=r"."):
        await pieces(answer["stream"])
    answer["stream"].close()
    assert only(charges).status == "error"


async def test_a_stream_in_which_the_provider_fails(server, client, charges):
    server.reply(Reply(REPLY.text, TOKENS, fault=Fault("error", 2)))
    answer = await client.converse_stream(**HELLO)
    with pytest.raises(Exception, match=r"."):
        await pieces(answer["stream"])
    answer["stream"].close()
    del answer
    await forget()
    assert only(charges).error_type == "modelStreamErrorException"


async def whole(body):
    return await body.read()


async def in_pieces(body):
    return b"".join([piece async for piece in body.iter_chunks(7)])


async def in_a_block(body):
    async with body as held:
        return await held.read()


async def by_lines(body):
    return b"".join([line async for line in body.iter_lines()])


@pytest.mark.parametrize("read", [whole, in_pieces, in_a_block, by_lines])
async def test_a_body_is_counted_however_it_is_read(client, charges, read):
    answer = await client.invoke_model(**INVOKE)
    kind = type(answer["body"])
    assert json.loads(await read(answer["body"]))["content"][0]["text"] == REPLY.text
    assert type(answer["body"]) is kind
    answer["body"].close()
    assert (counts(only(charges)), only(charges).status) == ((100, 40, 30, 20), "ok")


async def test_a_body_that_is_dropped_unread_still_has_its_headers(client, charges):
    answer = await client.invoke_model(**INVOKE)
    answer["body"].close()
    del answer
    await forget()
    assert counts(only(charges))[1] == 40


async def test_a_stream_of_bodies(client, charges):
    answer = await client.invoke_model_with_response_stream(**INVOKE)
    assert await pieces(answer["body"])
    assert counts(only(charges)) == (100, 40, 30, 20)


async def test_a_refusal_is_not_billed(server, client, charges):
    server.reply(refused(400))
    with pytest.raises(Exception, match="400"):
        await client.converse(**HELLO)
    assert (only(charges).status, only(charges).cost_status) == ("error", "not_billed")


async def test_a_call_that_is_tried_again_is_one_charge(server, charges):
    server.reply(refused(500))
    async with made(server, attempts=2) as client:
        answer = await client.converse(**HELLO)
    assert (len(server.requests), counts(only(charges))) == (2, known(answer["usage"]))


async def test_a_call_that_is_cancelled_while_it_waits_is_one_charge(server, client, charges):
    arrived, loop = asyncio.Event(), asyncio.get_running_loop()

    def hold(_request):
        loop.call_soon_threadsafe(arrived.set)
        return Reply(fault=Fault("hold"))

    server.answer = hold
    task = asyncio.create_task(client.converse(**HELLO))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await forget()
    assert (only(charges).status, only(charges).cost_status) == ("aborted", "unknown")


async def test_a_wrapped_client_is_metered_under_its_tags_and_no_other_is(server, tmp_path):
    try:
        async with made(server) as wrapped, made(server) as bare:
            spanledger.configure(ledger=tmp_path)
            with capture_charges() as charges:
                assert spanledger.wrap(wrapped, team="growth") is wrapped
                await wrapped.converse(**HELLO)
                await bare.converse(**HELLO)
        assert only(charges).team == "growth"
    finally:
        spanledger.uninstrument()


async def test_aioboto3(server, charges):
    aioboto3 = pytest.importorskip("aioboto3")
    if not hasattr(aioboto3, "Session"):
        pytest.skip("an aioboto3 without a Session")
    async with aioboto3.Session(**KEYS).client("bedrock-runtime", endpoint_url=server.base_url) as client:
        answer = await client.converse(**HELLO)
    assert counts(only(charges)) == known(answer["usage"])
