"""Websockets: each response is one charge, read from the events that the SDK decodes."""

import asyncio
import gc
import importlib
import json
import subprocess
import sys
import threading
import types
from decimal import Decimal

import openai
import pytest
from websockets.sync.server import serve

import spanledger
from spanledger.providers import _realtime

# The SDK connects in a way that newer websockets announce the end of.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

SESSION = {
    "type": "session.created",
    "session": {
        "object": "realtime.session",
        "model": "gpt-realtime-2026-01-01",
        "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
    },
}
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
UNITS = {
    "input": 59,
    "input_audio": 9,
    "cache_read": 60,
    "cache_read_audio": 4,
    "output": 30,
    "output_audio": 91,
}
PLAIN = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


def begun(number):
    return {
        "type": "response.created",
        "response": {"object": "realtime.response", "id": number, "status": "in_progress"},
    }


def done(number, usage=USAGE):
    response = {"object": "realtime.response", "id": number, "status": "completed", "output": [], "usage": usage}
    return {"type": "response.done", "event_id": "event_1", "response": response}


SOUND = {"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "AAAA"}
HEARD = {
    "type": "conversation.item.input_audio_transcription.completed",
    "item_id": "item_1",
    "content_index": 0,
    "transcript": "hello",
    "usage": {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 3,
        "total_tokens": 17,
    },
}


class Talk:
    """A websocket server that says what a test gives it, and then nothing until the client has gone."""

    def __init__(self):
        self.events = []
        self.asked = []
        self.hangs_up = False
        self._server = serve(self._handle, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1"

    def _handle(self, connection):
        self.asked.append(connection.request.path)
        for event in self.events:
            connection.send(json.dumps(event))
        if not self.hangs_up:
            for _ in connection:
                pass

    def close(self):
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def talk():
    server = Talk()
    yield server
    server.close()


@pytest.fixture
def client(talk):
    with openai.OpenAI(api_key="any", websocket_base_url=talk.url) as made:
        yield made


@pytest.fixture
async def async_client(talk):
    async with openai.AsyncOpenAI(api_key="any", websocket_base_url=talk.url) as made:
        yield made


def test_a_realtime_response_by_modality(talk, client, charges):
    talk.events = [SESSION, begun("resp_1"), SOUND, done("resp_1")]
    with client.realtime.connect(model="gpt-realtime") as connection, spanledger.tag(team="voice"):
        kinds = [connection.recv().type for _ in talk.events]
    assert kinds == [event["type"] for event in talk.events]
    (charge,) = charges
    assert charge.usage == UNITS
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (132, 121, 64)
    assert (charge.response_model, charge.response_id) == ("gpt-realtime-2026-01-01", "resp_1")
    assert (charge.team, charge.provider_name, charge.server_address) == ("voice", "openai", "127.0.0.1")
    assert (charge.status, charge.usage_source, charge.finish_reasons) == ("ok", "reported", ("completed",))


async def test_an_async_connection(talk, async_client, charges):
    talk.events = [SESSION, begun("resp_1"), done("resp_1"), begun("resp_2"), done("resp_2", PLAIN)]
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        for _ in talk.events:
            await connection.recv()
    assert [charge.usage for charge in charges] == [UNITS, {"input": 11, "output": 7}]


async def test_a_connection_of_azure(talk, charges):
    talk.events = [SESSION, begun("resp_1"), done("resp_1")]
    settings = {"azure_endpoint": "http://mine.openai.azure.com", "api_version": "2025-04-01-preview"}
    async with (
        openai.AsyncAzureOpenAI(api_key="any", websocket_base_url=talk.url, **settings) as client,
        client.realtime.connect(model="mine") as connection,
    ):
        for _ in talk.events:
            await connection.recv()
    (charge,) = charges
    assert (charge.provider_name, charge.usage) == ("azure.ai.openai", UNITS)


def test_what_was_said_is_billed_at_the_price_of_the_model_that_transcribed_it(talk, client, charges):
    talk.events = [SESSION, HEARD]
    with client.realtime.connect(model="gpt-realtime") as connection:
        for _ in talk.events:
            connection.recv()
    (charge,) = charges
    assert charge.usage == {"input": 0, "input_audio": 14, "output": 3}
    assert (charge.operation, charge.request_model) == ("transcription", "gpt-4o-mini-transcribe")


def test_bytes_that_the_application_decodes_itself(talk, client, charges):
    talk.events = [SESSION, done("resp_1")]
    with client.realtime.connect(model="gpt-realtime") as connection:
        for _ in talk.events:
            raw = connection.recv_bytes()
            connection.parse_event(raw)
            connection.parse_event(raw)
    assert [charge.usage for charge in charges] == [UNITS]


@pytest.mark.parametrize("ending", ["close", "leave", "drop"])
def test_a_connection_that_ends_inside_a_response(talk, client, charges, ending):
    talk.events = [SESSION, begun("resp_1"), SOUND]
    manager = client.realtime.connect(model="gpt-realtime")
    connection = manager.enter()
    for _ in talk.events:
        connection.recv()
    assert charges == []
    if ending == "close":
        connection.close()
    elif ending == "leave":
        manager.__exit__(None, None, None)
    else:
        connection._connection.close()
        del connection, manager
        gc.collect()
    (charge,) = charges
    assert (charge.status, charge.usage, charge.cost_status) == ("aborted", None, "unknown")


async def test_a_connection_that_the_provider_cuts_inside_a_response(talk, async_client, charges):
    talk.events, talk.hangs_up = [SESSION, begun("resp_1"), done("resp_1"), begun("resp_2"), SOUND], True
    async with async_client.realtime.connect(model="gpt-realtime") as connection:
        for _ in talk.events:
            await connection.recv()
        with pytest.raises(Exception, match=r"(?i)close|sent 1000"):
            await connection.recv()
    assert [(charge.status, charge.usage, charge.cost_status == "unknown") for charge in charges] == [
        ("ok", UNITS, False),
        ("aborted", None, True),
    ]


async def hear(client, connected=None):
    async with client.realtime.connect(model="gpt-realtime") as connection:
        while True:
            event = await connection.recv()
            if connected and event.type == SOUND["type"]:
                connected.set()


async def test_a_task_that_is_cancelled_inside_a_response(talk, async_client, charges):
    talk.events = [SESSION, begun("resp_1"), SOUND]
    heard = asyncio.Event()
    task = asyncio.create_task(hear(async_client, heard))
    await heard.wait()
    assert charges == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(charge.status, charge.usage, charge.cost_status) for charge in charges] == [("aborted", None, "unknown")]


async def test_an_application_that_waits_no_longer_inside_a_response(talk, async_client, charges):
    talk.events = [SESSION, begun("resp_1"), done("resp_1"), begun("resp_2"), SOUND]
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(hear(async_client), 1)
    assert [(charge.status, charge.usage) for charge in charges] == [("ok", UNITS), ("aborted", None)]


def test_an_error_event_inside_a_response_that_then_fails(talk, client, charges):
    error = {"type": "error", "event_id": "e", "error": {"type": "server_error", "message": "sorry", "code": None}}
    failed = done("resp_1", PLAIN)
    details = {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}
    failed["response"] |= {"status": "failed", "status_details": details}
    talk.events = [SESSION, begun("resp_1"), SOUND, error, failed, begun("resp_2"), done("resp_2")]
    with client.realtime.connect(model="gpt-realtime") as connection:
        kinds = [connection.recv().type for _ in talk.events]
    assert kinds == [event["type"] for event in talk.events]
    assert [(charge.status, charge.error_type, charge.usage) for charge in charges] == [
        ("error", "overloaded", {"input": 11, "output": 7}),
        ("ok", None, UNITS),
    ]


@pytest.mark.parametrize("beta", [False, True])
def test_responses_over_a_websocket(talk, client, charges, beta):
    body = {"id": "resp_1", "object": "response", "model": "gpt-5-mini-2025-08-07", "output": []}
    talk.events = [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**body, "status": "in_progress", "usage": None},
        },
        {"type": "response.output_text.delta", "sequence_number": 1, "delta": "hi", "item_id": "i", "output_index": 0},
        {
            "type": "response.completed",
            "sequence_number": 2,
            "response": {**body, "status": "completed", "usage": PLAIN},
        },
    ]
    with (client.beta if beta else client).responses.connect() as connection:
        for _ in talk.events:
            connection.recv()
    (charge,) = charges
    assert (charge.usage, charge.response_model) == ({"input": 11, "output": 7}, "gpt-5-mini-2025-08-07")
    assert (charge.stream, charge.status, charge.operation) == (True, "ok", "chat")


def test_a_live_session_is_billed_by_the_second_and_what_it_delegates_by_tokens(talk, client, charges):
    described = {"id": "sess_1", "model": "gpt-live-1"}
    inner = {"id": "resp_9", "object": "response", "model": "gpt-6", "status": "completed", "usage": PLAIN}
    talk.events = [
        {"type": "session.started", "event_id": "1", "session": described},
        {"type": "session.usage.updated", "event_id": "2", "usage": {"seconds": 30}},
        {"type": "response.event", "event_id": "3", "event": {"type": "response.completed", "response": inner}},
        {
            "type": "session.closed",
            "event_id": "4",
            "reason": "expired",
            "session": described,
            "usage": {"seconds": 45},
        },
    ]
    with client.live.connect() as connection:
        for _ in talk.events:
            connection.recv()
    delegated, session = charges
    assert (delegated.usage, delegated.response_model) == ({"input": 11, "output": 7}, "gpt-6")
    assert (session.usage, session.response_model, session.status) == ({"audio_seconds": 45}, "gpt-live-1", "ok")


def test_a_live_session_that_is_cut_is_charged_as_far_as_it_said(talk, client, charges):
    talk.events = [
        {"type": "session.started", "event_id": "1", "session": {"id": "sess_1", "model": "gpt-live-1"}},
        {"type": "session.usage.updated", "event_id": "2", "usage": {"seconds": 30}},
    ]
    with client.live.connect() as connection:
        for _ in talk.events:
            connection.recv()
    assert [(charge.usage, charge.usage_source, charge.status) for charge in charges] == [
        ({"audio_seconds": 30}, "partial", "aborted")
    ]


def test_events_that_are_broken_are_the_applications_to_see_only(talk, client, charges):
    talk.events = [
        {"type": "response.done", "response": None},
        {"type": "response.done", "response": {"id": "resp_1", "usage": {"input_tokens": "many"}}},
        {"type": "session.created", "session": "none"},
        {"type": ["response.done"]},
        {"type": "response.event", "event": [1]},
        {"type": "session.closed", "usage": 3},
    ]
    with client.realtime.connect(model="gpt-realtime") as connection:
        for _ in talk.events:
            connection.recv()
    assert [(charge.operation, charge.cost_status, charge.usage) for charge in charges] == [
        ("chat", "unknown", None)
    ] * 3


TRANSLATING = [
    {
        "type": "session.created",
        "event_id": "1",
        "session": {"id": "sess_1", "type": "translation", "model": "gpt-realtime-translate", "audio": {}},
    },
    {"type": "session.output_transcript.delta", "event_id": "2", "delta": "hola", "elapsed_ms": 30000},
    {"type": "session.output_transcript.delta", "event_id": "3", "delta": "a", "elapsed_ms": 60000},
    {"type": "session.output_transcript.delta", "event_id": "4", "delta": "todos", "elapsed_ms": None},
]
CLOSED = {"type": "session.closed", "event_id": "5"}


@pytest.mark.parametrize(
    ("events", "status", "source", "cost_status"),
    [([*TRANSLATING, CLOSED], "ok", "estimated", "estimated"), (TRANSLATING, "aborted", "partial", "partial")],
)
def test_a_translation_is_billed_by_the_second(  # noqa: PLR0913, PLR0917
    talk, client, charges, events, status, source, cost_status
):
    talk.events = events
    with client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
        for _ in events:
            connection.recv()
    (charge,) = charges
    assert (charge.usage, charge.usage_source, charge.status) == ({"audio_seconds": 60}, source, status)
    assert (charge.cost_status, charge.list_cost) == (cost_status, Decimal("0.034"))
    assert (charge.operation, charge.response_id) == ("transcription", "sess_1")


def test_a_translation_that_said_nothing_is_of_unknown_cost(talk, client, charges):
    talk.events = TRANSLATING[:1]
    with client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
        connection.recv()
    assert [(charge.usage, charge.cost_status, charge.list_cost) for charge in charges] == [(None, "unknown", None)]


def connection_classes():
    """Every connection class of the SDK, sync and async, whose connection a test of its own need not open."""
    for name in _realtime.MODULES:
        try:
            module = importlib.import_module(f"{_realtime.RESOURCES}.{name}")
        except ModuleNotFoundError:
            continue
        for kind in vars(module).values():
            if isinstance(kind, type) and "parse_event" in vars(kind):
                yield pytest.param(kind, id=f"{name}.{kind.__name__}")


COMPLETED = {
    "type": "response.completed",
    "sequence_number": 2,
    "response": {"id": "resp_1", "object": "response", "status": "completed", "output": [], "usage": PLAIN},
}
ENDINGS = {
    "responses": (COMPLETED, {"input": 11, "output": 7}),
    "live": (
        {"type": "session.closed", "event_id": "4", "reason": "expired", "usage": {"seconds": 45}},
        {"audio_seconds": 45},
    ),
    "translations": ({"type": "session.closed", "event_id": "4"}, None),
    "realtime": (done("resp_1"), UNITS),
}


@pytest.mark.parametrize("kind", list(connection_classes()))
def test_the_events_that_each_connection_class_decodes_are_charged(kind, charges):
    event, units = next(ENDINGS[word] for word in ENDINGS if word in kind.__module__)
    connection = kind(types.SimpleNamespace(close=lambda: None))
    assert connection.parse_event(json.dumps(event)).type == event["type"]
    assert [charge.usage for charge in charges] == [units]


def test_a_wrapped_client_only(talk, tmp_path):
    spanledger.configure(ledger=tmp_path / "spend.ledger")
    events = [SESSION, done("resp_1")]
    from spanledger.testing._capture import Collector

    collector = Collector()
    spanledger._meter.add_sink(collector)
    try:
        for wrapped in (True, False):
            talk.events = events
            with openai.OpenAI(api_key="any", websocket_base_url=talk.url) as client:
                if wrapped:
                    spanledger.wrap(client, team="voice")
                with client.realtime.connect(model="gpt-realtime") as connection:
                    for _ in events:
                        connection.recv()
        assert [charge.team for charge in collector.charges] == ["voice"]
    finally:
        spanledger.uninstrument()


def test_uninstrument_puts_every_function_back():
    from openai.resources.realtime.realtime import RealtimeConnection, RealtimeConnectionManager

    from spanledger.testing import capture_charges

    before = (RealtimeConnection.parse_event, RealtimeConnection.close, RealtimeConnectionManager.enter)
    with capture_charges():
        during = (RealtimeConnection.parse_event, RealtimeConnection.close, RealtimeConnectionManager.enter)
    after = (RealtimeConnection.parse_event, RealtimeConnection.close, RealtimeConnectionManager.enter)
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert after == before


IMPORTED = "sorted(name for name in sys.modules if name.startswith('openai.resources'))"


@pytest.mark.parametrize("first", ["", "import spanledger.testing; spanledger.testing.capture_charges().__enter__();"])
def test_modules_are_hooked_only_when_the_application_imports_them(first):
    code = f"import sys; {first} import openai; print({IMPORTED})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "openai.resources.realtime.realtime" not in ran.stdout


def test_each_module_has_a_state_of_its_own_in_doctor():
    names = [hook.name for hook in _realtime.hooks()]
    assert len(set(names)) == len(_realtime.MODULES)
    assert {"openai.live.connect", "openai.live.forks.connect", "openai.realtime.translations.connect"} <= set(names)
