"""Whatever a provider sends, no fold and no reading raises, and no usable usage has a negative part."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger._call import Call
from spanledger.providers import _realtime, anthropic, openai
from spanledger.providers._reading import Request

NAMES = (
    *("id", "type", "object", "model", "status", "usage", "data", "response", "message", "delta", "error", "body"),
    *("custom_id", "result", "output_file_id", "created", "created_at", "status_code", "session", "event", "seconds"),
    *("duration", "size", "quality", "svg_usage", "background", "choices", "finish_reason", "completion", "tool_usage"),
    *("input_tokens", "output_tokens", "total_tokens", "prompt_tokens", "completion_tokens", "cached_tokens", "cost"),
    *("input_tokens_details", "output_tokens_details", "input_token_details", "output_token_details", "audio_tokens"),
    *("image_tokens", "cached_tokens_details", "reasoning_tokens", "cost_in_usd_ticks", "cache_creation", "iterations"),
    *("cache_creation_input_tokens", "cache_read_input_tokens", "stop_reason", "item_id", "audio", "transcription"),
)
WORDS = (
    *("response.done", "response.completed", "message_start", "message_delta", "message", "transcript.text.done"),
    *("image_generation.completed", "completed", "failed", "in_progress", "queued", "response", "list", "tokens"),
    *("chat.completion", "realtime.response", "text_completion", "batch", "dall-e-3", "2026-01-01T00:00:00Z", "8", ""),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.integers(0, 500),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=5),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
EVENTS = st.lists(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=8), max_size=4)
APIS = {
    api.name: api
    for provider in (openai.provider, anthropic.provider)
    for table in (provider.routes, provider.lookups)
    for api in table.values()
} | {api.name: api for api in (_realtime.REALTIME, _realtime.LIVE, _realtime.TRANSCRIPTION)}


def read(api, events, request):
    call = Call(api, sdk="x", provider_name="x", request=Request("m", request), server_address=None, stream=False)
    tally = call.tally()
    for event in events:
        tally.observe(event)
    return list(api.readings(tally))


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(APIS)),
    events=EVENTS,
    request=st.dictionaries(st.sampled_from((*NAMES, "input")), LEAVES, max_size=4),
)
def test_no_body_breaks_a_reader(name, events, request):
    for reading in read(APIS[name], events, request):
        if reading.usage is not None and reading.usage.usable:
            assert all(quantity >= 0 for quantity in reading.usage.units.values())


@settings(max_examples=200)
@given(
    content=st.binary(max_size=80)
    | st.sampled_from([b"--> 99:99:99,999", b"\n--> :00:00.000", b"--> %b:00:00.000" % (b"9" * 5000)]),
    kind=st.text(max_size=9),
)
def test_no_text_breaks_the_reader_of_captions(content, kind):
    for body in openai.ROUTES["/audio/transcriptions"].decode(content, kind):
        assert body["_captions"]


@settings(max_examples=80)
@given(kind=st.sampled_from(tuple(_realtime.HANDLERS)), event=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=8))
def test_no_event_breaks_a_websocket(kind, event):
    session = _realtime.Session()
    _realtime.HANDLERS[kind](
        session, orjson.loads(orjson.dumps({**event, "type": kind}, option=orjson.OPT_NON_STR_KEYS))
    )
    session.drop()
