"""Live interactions of google-genai over a real websocket: the end of one completes the charge of its begin."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from tests.providers._google import MODEL, client_of, closing
from websockets.asyncio.server import serve

import spanledger

pytest.importorskip("google.genai._interactions_websocket", reason="this google-genai has no live interactions")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*experimental.*:UserWarning"),
]

USAGE = {
    "total_input_tokens": 100,
    "total_cached_tokens": 30,
    "total_output_tokens": 25,
    "total_thought_tokens": 15,
    "total_tokens": 140,
}
SAYS = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "hello"}}
OVER = {"event_type": "interaction.completed", "usage": USAGE}


@asynccontextmanager
async def connected(*messages, cut=False):
    """A connection to an interaction that says these messages once the client is there."""

    async def talk(websocket):
        assert json.loads(await websocket.recv()) == {"event_type": "interaction.connect", "id": "v1_live"}
        for message in messages:
            await websocket.send(json.dumps(message))
        if cut:
            websocket.transport.abort()
        await websocket.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        at = SimpleNamespace(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with closing(client_of(at)) as client, client.aio.interactions.connect("v1_live") as connection:
            yield connection


async def heard(connection):
    return [event.event_type async for event in connection.receive()]


def counts(charge):
    return (charge.input_tokens, charge.cache_read_tokens, charge.output_tokens, charge.reasoning_tokens)


async def test_its_end_is_a_charge(charges):
    with spanledger.tag(team="voice"):
        async with connected(SAYS, SAYS, OVER) as connection:
            assert await heard(connection) == ["step.delta", "step.delta", "interaction.completed"]
    (charge,) = charges
    assert counts(charge) == (100, 30, 40, 15)
    assert (charge.response_id, charge.status, charge.usage_source) == ("v1_live", "ok", "reported")
    assert (charge.team, charge.provider_name, charge.finish_reasons) == ("voice", "gcp.gemini", ("completed",))


async def test_its_end_completes_what_this_process_began(canned, charges):
    canned.answer({"id": "v1_live", "model": MODEL, "status": "in_progress", "object": "interaction", "steps": []})
    with closing_client(canned) as begun, spanledger.tag(team="voice"):
        begun.interactions.create(model=MODEL, input="hello", background=True)
    async with connected(OVER, {"event_type": "interaction.completed", "usage": USAGE}) as connection:
        await heard(connection)
    first, second = charges
    assert (first.cost_status, second.corrects) == ("unknown", first.charge_id)
    assert (counts(second), second.cost_status, second.team) == ((100, 30, 40, 15), "exact", "voice")
    assert second.request_model == MODEL


def closing_client(canned):
    return client_of(SimpleNamespace(base_url=canned.url))


async def test_one_that_is_cancelled_is_charged_for_what_it_used(charges):
    async with connected({"event_type": "interaction.cancelled", "usage": USAGE}) as connection:
        await heard(connection)
    assert [(counts(charge), charge.finish_reasons) for charge in charges] == [((100, 30, 40, 15), ("cancelled",))]


@pytest.mark.parametrize("messages", [(SAYS,), (SAYS, {"event_type": "reconnection_required"})])
async def test_one_that_goes_on_is_no_charge_yet(charges, messages):
    async with connected(*messages) as connection:
        async for _ in connection.receive():
            break
    assert charges == []


async def test_one_that_is_cut_goes_on(charges):
    with pytest.raises(Exception, match=r"connection closed"):
        async with connected(SAYS, cut=True) as connection:
            await heard(connection)
    assert charges == []
