"""Live sessions of google-genai over a real websocket: each turn of the model is a charge."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from google.genai import errors, live
from tests.providers._google import client_of, closing
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import spanledger
from spanledger.testing import capture_charges

if not hasattr(live.AsyncSession, "send_client_content"):
    pytest.skip("this google-genai cannot say something in a session as the newer ones do", allow_module_level=True)

MODEL = "gemini-live-2.5-flash"
SAYS = {"serverContent": {"modelTurn": {"parts": [{"text": "hello"}]}}}
OVER = {"serverContent": {"turnComplete": True}}
CALLS = {"toolCall": {"functionCalls": [{"id": "1", "name": "weather", "args": {}}]}}


def usage(prompt, response, **details):
    counts = {"promptTokenCount": prompt, "responseTokenCount": response, "totalTokenCount": prompt + response}
    return {"usageMetadata": {**counts, **details}}


@asynccontextmanager
async def talking(*messages, cut=False):
    """A session with a server that says these messages once the client has said something."""

    async def talk(websocket):
        await websocket.recv()
        await websocket.send(json.dumps({"setupComplete": {}}))
        await websocket.recv()
        for message in messages:
            await websocket.send(json.dumps(message))
        if cut:
            websocket.transport.abort()
        await websocket.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server, closing(client_of(server_at(server))) as client:
        client._api_client._websocket_ssl_ctx = {}
        client._api_client._websocket_base_url = lambda *_: str(server_at(server).base_url)
        async with client.aio.live.connect(model=MODEL, config={"response_modalities": ["TEXT"]}) as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]})
            yield session


def server_at(server):
    """Where it listens: the SDK itself insists on TLS."""
    return SimpleNamespace(base_url=f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def hear(session, count):
    """As an application does, over as many turns as it takes."""
    heard = []
    while len(heard) < count:
        async for message in session.receive():
            heard.append(message)
            if len(heard) == count:
                break
    return heard


async def test_each_turn_is_a_charge_with_its_own_usage():
    messages = [SAYS, {**OVER, **usage(143, 19)}, SAYS, SAYS, {**OVER, **usage(181, 24)}]
    with capture_charges() as charges:
        async with talking(*messages) as session:
            heard = await hear(session, len(messages))
    assert heard[0].text == "hello"
    assert [(charge.input_tokens, charge.output_tokens) for charge in charges] == [(143, 19), (181, 24)]
    assert {(charge.status, charge.request_model, charge.stream) for charge in charges} == {("ok", MODEL, True)}
    assert {charge.provider_name for charge in charges} == {"gcp.gemini"}


async def test_a_turn_that_waits_for_a_tool_is_a_charge_and_the_rest_another():
    messages = [{**CALLS, **usage(50, 5)}, SAYS, {**OVER, **usage(70, 9)}]
    with capture_charges() as charges:
        async with talking(*messages) as session:
            await hear(session, len(messages))
    assert [charge.input_tokens for charge in charges] == [50, 70]
    assert [charge.finish_reasons for charge in charges] == [("tool_call",), ("turn_complete",)]


async def test_usage_that_comes_after_its_turn_belongs_to_it():
    messages = [SAYS, OVER, usage(40, 4), SAYS, {**OVER, **usage(60, 6)}]
    with capture_charges() as charges:
        async with talking(*messages) as session:
            await hear(session, len(messages))
    assert [charge.input_tokens for charge in charges] == [40, 60]


async def test_the_last_usage_of_a_turn_counts():
    messages = [{**SAYS, **usage(40, 4)}, {**SAYS, **usage(40, 8)}, {**OVER, **usage(40, 12)}]
    with capture_charges() as charges:
        async with talking(*messages) as session:
            await hear(session, len(messages))
    assert [charge.output_tokens for charge in charges] == [12]


async def test_audio_is_counted_apart():
    spoken = {
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 42}, {"modality": "TEXT", "tokenCount": 8}],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}],
    }
    with capture_charges() as charges:
        async with talking(SAYS, {**OVER, **usage(50, 9, **spoken)}) as session:
            await hear(session, 2)
    assert charges[0].usage == {"input": 8, "input_audio": 42, "output": 0, "output_audio": 9}


async def test_a_session_that_is_left_within_a_turn_is_a_charge_of_what_is_known():
    with capture_charges() as charges:
        async with talking({**SAYS, **usage(40, 4)}, SAYS) as session:
            await hear(session, 2)
            assert charges == []
    (charge,) = charges
    assert (charge.status, charge.usage_source, charge.input_tokens) == ("aborted", "partial", 40)


async def test_a_connection_that_is_cut_within_a_turn_is_a_failed_charge():
    with capture_charges() as charges:
        async with talking(SAYS, cut=True) as session:
            await hear(session, 1)
            with pytest.raises((errors.APIError, ConnectionClosed)) as caught:
                await asyncio.wait_for(hear(session, 1), 10)
    (charge,) = charges
    assert (charge.status, charge.error_type) == ("error", caught.type.__name__)


async def test_a_turn_carries_the_tags_that_are_in_force_where_it_is_received():
    with capture_charges() as charges, spanledger.tag(customer="acme"):
        async with talking(SAYS, {**OVER, **usage(1, 1)}) as session:
            await hear(session, 2)
    assert charges[0].customer == "acme"


async def test_a_session_is_the_sdks_own():
    async with talking(SAYS) as session:
        bare = type(session)
    with capture_charges():
        async with talking(SAYS) as session:
            assert type(session) is bare
