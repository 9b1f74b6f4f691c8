"""A stream that was read to its end and never told its usage is estimated from all that it said, however it is read."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from spanledger._estimate import estimate
from spanledger.providers import _injection

TEXT = "one two three four five six"
MODEL = "gpt-4o-mini"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
TELL: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": ASK["messages"]}


def chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def framed(events: list[Any], end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + end for event in events) + b"data: [DONE]" + end


def said(delta: Any) -> bytes:
    return framed([chunk({"role": "assistant", "content": ""}), chunk(delta), chunk({}, "stop")])


WHOLE = {
    "id": "c-1",
    "object": "chat.completion",
    "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
}
CALL = {"name": "look", "arguments": TEXT}
BODIES: dict[str, tuple[bytes, str, str]] = {
    "text": (said({"content": TEXT}), "text/event-stream", TEXT),
    "a word that rounds to no token": (said({"content": "six"}), "text/event-stream", "six"),
    "a refusal": (said({"refusal": TEXT}), "text/event-stream", TEXT),
    "thoughts": (said({"reasoning_content": TEXT}), "text/event-stream", TEXT),
    "thoughts of a gateway": (said({"reasoning": TEXT}), "text/event-stream", TEXT),
    "thoughts under both names": (said({"reasoning": TEXT, "reasoning_content": TEXT}), "text/event-stream", TEXT),
    "thoughts and text": (said({"content": TEXT, "reasoning": TEXT}), "text/event-stream", TEXT + TEXT),
    "a tool call": (said({"tool_calls": [{"index": 0, "function": CALL}]}), "text/event-stream", "look" + TEXT),
    "a function call": (said({"function_call": CALL}), "text/event-stream", "look" + TEXT),
    "text in parts": (said({"content": [{"type": "text", "text": TEXT}]}), "text/event-stream", TEXT),
    "carriage returns": (framed([chunk({"content": TEXT}, "stop")], b"\r\r"), "text/event-stream", TEXT),
    "both line ends": (framed([chunk({"content": TEXT}, "stop")], b"\r\n\r\n"), "text/event-stream", TEXT),
    "called plain text": (said({"content": TEXT}), "text/plain", TEXT),
    "called JSON": (said({"content": TEXT}), "application/json", TEXT),
    "a whole answer": (json.dumps(WHOLE).encode(), "application/json", TEXT),
}

READS = {
    "lines": lambda response: list(response.iter_lines()),
    "bytes": lambda response: b"".join(response.iter_bytes(5)),
    "parsed": lambda response: list(response.parse()),
    "undecoded": lambda response: b"".join(response.http_response.iter_raw()),
}


def check(charge: Any, text: str) -> None:
    assert (charge.status, charge.usage_source) == ("ok", "estimated")
    assert charge.output_tokens == estimate(text, charge.response_model).tokens > 0


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("body", BODIES)
def test_all_that_was_said_is_estimated(canned, client, charges, body, read):
    content, kind, text = BODIES[body]
    canned.answer(content, kind)
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
        READS[read](response)
    check(*charges, text)


@pytest.mark.parametrize("body", [name for name in BODIES if name not in ("a whole answer", "called JSON")])
def test_so_it_is_where_the_sdk_reads(canned, client, charges, body):
    content, kind, text = BODIES[body]
    canned.answer(content, kind)
    assert list(client.chat.completions.create(**ASK, stream=True))
    check(*charges, text)


def test_a_compressed_stream_that_is_read_as_lines(canned, client, charges):
    canned.answer(gzip.compress(BODIES["text"][0]), "text/event-stream", encoding="gzip")
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
        assert any(TEXT in line for line in response.iter_lines())
    check(*charges, TEXT)


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": TELL["model"], "stop_reason": "end_turn"}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": MODEL, "usage": None}
ITEM = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}
CLAUDE_DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}
STREAMS = {
    "a whole message": ("claude", {**MESSAGE, "content": [{"type": "text", "text": TEXT}]}),
    "a whole response": ("client", {**RESPONSE, "output": [ITEM]}),
    "a message": ("claude", [{"type": "message_start", "message": MESSAGE}, CLAUDE_DELTA, {"type": "message_stop"}]),
    "a response without deltas": (
        "client",
        [{"type": "response.completed", "response": {**RESPONSE, "output": [ITEM]}}],
    ),
    "a response with deltas": (
        "client",
        [
            {"type": "response.output_text.delta", "delta": TEXT},
            {"type": "response.completed", "response": {**RESPONSE, "output": [ITEM]}},
        ],
    ),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_other_endpoints(canned, client, claude, charges, stream):
    whose, body = STREAMS[stream]
    canned.answer(body)
    ask, arguments = (
        (claude.messages, TELL) if whose == "claude" else (client.responses, {"model": MODEL, "input": "hello"})
    )
    with ask.with_streaming_response.create(**arguments, stream=True) as response:
        assert response.read()
    check(*charges, TEXT)


def test_a_stream_that_only_the_extra_body_asks_for(canned, client, charges):
    canned.answer(BODIES["text"][0], "text/event-stream")
    with client.chat.completions.with_streaming_response.create(**ASK, extra_body={"stream": True}) as response:
        assert TEXT.encode() in response.read()
    assert charges[0].stream
    check(*charges, TEXT)


def test_what_the_sdk_reads_whole_is_not_asked_for_usage(canned, client, charges, monkeypatch):
    monkeypatch.setattr(_injection.asking, "hosts", ("127.0.0.1",))
    canned.answer(BODIES["text"][0], "text/event-stream")
    raw = client.chat.completions.with_raw_response.create(**ASK, extra_body={"stream": True})
    assert raw.content == BODIES["text"][0]
    assert "stream_options" not in json.loads(canned.asked[0][2])
    check(*charges, TEXT)
