"""However the application reads an answer, and whatever it thinks of it, one HTTP response is one charge."""

import json

import anthropic
import openai
import pytest

from spanledger._estimate import estimate

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
UNITS = {"input": 11, "output": 7}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "{}"}}],
    "usage": USAGE,
}
CHUNKS = [
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}],
    },
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [],
        "usage": USAGE,
    },
]
ASK = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
TELL = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}

READ_WHOLE = {
    "json": lambda response: response.json(),
    "bytes": lambda response: b"".join(response.iter_bytes()),
    "text": lambda response: response.text(),
    "lines": lambda response: list(response.iter_lines()),
    "parsed": lambda response: response.parse(),
    "read": lambda response: response.read(),
}


@pytest.mark.parametrize("way", READ_WHOLE)
def test_a_streaming_response_read_any_way(canned, client, charges, way):
    canned.answer(CHAT)
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert READ_WHOLE[way](response)
    assert [(charge.usage, charge.status) for charge in charges] == [(UNITS, "ok")]


@pytest.mark.parametrize("way", ["bytes", "text", "lines", "parsed"])
def test_a_streaming_response_that_is_a_stream_read_any_way(canned, client, charges, way):
    canned.answer(CHUNKS)
    with client.chat.completions.with_streaming_response.create(
        **ASK, stream=True, stream_options={"include_usage": True}
    ) as response:
        read = READ_WHOLE[way](response)
        assert len(list(read)) > 0
    assert [(charge.usage, charge.status) for charge in charges] == [(UNITS, "ok")]


@pytest.mark.parametrize("way", ["json", "text", "read", "parse"])
async def test_an_async_streaming_response_read_any_way(canned, async_client, charges, way):
    canned.answer(CHAT)
    async with async_client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert await getattr(response, way)()
    assert [charge.usage for charge in charges] == [UNITS]


def test_a_streaming_response_that_is_not_read_is_still_a_charge(canned, client, charges):
    canned.answer(CHAT)
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert response.status_code == 200
    (charge,) = charges
    assert (charge.status, charge.usage_source, charge.response_id) == ("aborted", "partial", None)
    assert (charge.input_tokens, charge.output_tokens) == (estimate("hi", "gpt-5-mini").tokens + 7, 0)


@pytest.mark.parametrize("parse", [True, False])
def test_a_raw_response(canned, client, charges, parse):
    canned.answer(CHAT)
    raw = client.chat.completions.with_raw_response.create(**ASK)
    if parse:
        assert raw.parse().usage.prompt_tokens == 11
        assert raw.parse().usage.prompt_tokens == 11
    assert [charge.usage for charge in charges] == [UNITS]


def test_a_raw_stream(canned, client, charges):
    canned.answer(CHUNKS)
    raw = client.chat.completions.with_raw_response.create(**ASK, stream=True, stream_options={"include_usage": True})
    assert len(list(raw.parse())) == 2
    assert [charge.usage for charge in charges] == [UNITS]


@pytest.mark.parametrize("url", ["/chat/completions", "http://base/v1/chat/completions?x=1"])
@pytest.mark.parametrize("kind", ["response", "object", "model"])
def test_a_post_of_ones_own(canned, client, charges, url, kind):
    from openai.types.chat import ChatCompletion

    kinds = {"response": openai._base_client.httpx2.Response, "object": object, "model": ChatCompletion}
    canned.answer(CHAT)
    assert client.post(url.replace("http://base", canned.url), cast_to=kinds[kind], body=ASK) is not None
    assert [(charge.usage, charge.request_model) for charge in charges] == [(UNITS, "gpt-5-mini")]


@pytest.mark.parametrize("prefix", ["", "/openai/deployments/mine"])
def test_parse_and_options_and_deployments(canned, charges, prefix):
    with openai.OpenAI(base_url=canned.url + prefix, api_key="any", max_retries=0) as client:
        canned.answer(CHAT)
        canned.answer(CHAT)
        client.chat.completions.parse(**ASK)
        client.with_options(timeout=5).chat.completions.create(**ASK)
    assert [charge.usage for charge in charges] == [UNITS, UNITS]


def test_what_is_free_is_a_charge_of_zero(canned, client, claude, charges):
    canned.answer({"id": "modr-1", "model": "omni-moderation-latest", "results": []})
    canned.answer({"object": "response.input_tokens", "input_tokens": 11})
    canned.answer({"input_tokens": 11})
    client.moderations.create(model="omni-moderation-latest", input="hi")
    client.responses.input_tokens.count(model="gpt-5-mini", input="hi")
    claude.messages.count_tokens(model="claude-haiku-4-5", messages=TELL["messages"])
    assert [(charge.operation, charge.cost_status, charge.list_cost) for charge in charges] == [
        ("moderation", "not_billed", 0),
        ("count_tokens", "not_billed", 0),
        ("count_tokens", "not_billed", 0),
    ]


def test_a_decision_is_billed_as_a_response_is(canned, client, charges):
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    canned.answer({"model": "gpt-6", "answers": [{"type": "predicate", "probability": 0.5}], "usage": usage})
    client.post("/decisions", cast_to=object, body={"model": "gpt-6"})
    assert [charge.input_tokens for charge in charges] == [11]
    assert charges[0].usage == {"input": 7, "cache_read": 4, "output": 7}


def test_what_is_not_billed_is_not_looked_at(canned, client, charges):
    canned.answer({"object": "list", "data": []})
    canned.answer({"id": "file-1", "object": "file"})
    client.models.list()
    client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert charges == []


@pytest.mark.parametrize("beta", [False, True])
def test_messages_and_beta_messages(canned, claude, charges, beta):
    canned.answer(MESSAGE)
    (claude.beta if beta else claude).messages.create(**TELL)
    assert [charge.usage for charge in charges] == [UNITS]


def test_a_middleware_that_answers_from_a_cache_is_no_charge_and_one_that_sends_twice_is_two(canned, charges):
    kept = []

    def once(request, call_next):
        if kept:
            return kept[0]
        kept.append(call_next(request))
        return kept[0]

    def twice(request, call_next):
        call_next(request)
        return call_next(request)

    for _ in range(3):
        canned.answer(MESSAGE)
    with anthropic.Anthropic(base_url=canned.url, api_key="any", max_retries=0, middleware=[once]) as client:
        client.messages.create(**TELL)
        client.messages.create(**TELL)
        assert len(charges) == 1
    with anthropic.Anthropic(base_url=canned.url, api_key="any", max_retries=0, middleware=[twice]) as client:
        client.messages.create(**TELL)
    assert [charge.usage for charge in charges] == [UNITS] * 3
    assert charges[1].call_id == charges[2].call_id


EVENTS = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in CHUNKS) + b"data: [DONE]\n\n"
STREAMED = {**ASK, "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("body", "kind"),
    [(EVENTS, "application/json"), (EVENTS, "text/event-stream"), (json.dumps(CHAT).encode(), "text/event-stream")],
)
def test_a_gateway_that_misnames_what_it_sends(canned, client, charges, body, kind):
    canned.answer(body, kind)
    with client.chat.completions.with_streaming_response.create(**STREAMED) as response:
        assert b"".join(response.iter_bytes()) == body
    assert [charge.usage for charge in charges] == [UNITS]
