"""OpenAI's Responses: a stream's last event holds the whole response again, with its usage."""

from __future__ import annotations

from typing import Any, Final

from spanledger.testing._framing import named_sse
from spanledger.testing._reply import Ask, Dialect, Json, Request, Tokens, asks_for_stream, model_of_body
from spanledger.testing.dialects.openai_chat import CREATED, refusal

MESSAGE_ID: Final = "msg_1"
PLACE: Final = {"item_id": MESSAGE_ID, "output_index": 0}


def _usage(usage: Tokens | None) -> Json | None:
    if usage is None:
        return None
    details = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": details,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total,
    }


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _item(text: str, status: str) -> Json:
    content = [_part(text)] if text else []
    return {"type": "message", "id": MESSAGE_ID, "role": "assistant", "status": status, "content": content}


def _response(ask: Ask, status: str, **more: Any) -> Json:
    return {
        "id": ask.response_id,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        **more,
    }


def _whole(ask: Ask) -> Json:
    return _response(ask, "completed", output=[_item(ask.reply.text, "completed")], usage=_usage(ask.usage))


def _events(ask: Ask) -> list[Json]:
    started, text = _response(ask, "in_progress"), ask.reply.text
    events: list[tuple[str, Json]] = [
        ("created", {"response": started}),
        ("in_progress", {"response": started}),
        ("output_item.added", {"output_index": 0, "item": _item("", "in_progress")}),
        ("content_part.added", {**PLACE, "content_index": 0, "part": _part("")}),
        *(("output_text.delta", {**PLACE, "content_index": 0, "delta": word}) for word in ask.reply.words),
        ("output_text.done", {**PLACE, "content_index": 0, "text": text}),
        ("content_part.done", {**PLACE, "content_index": 0, "part": _part(text)}),
        ("output_item.done", {"output_index": 0, "item": _item(text, "completed")}),
        ("completed", {"response": _whole(ask)}),
    ]
    numbered = enumerate(events)
    return [{"type": f"response.{kind}", "sequence_number": number, **event} for number, (kind, event) in numbered]


def _error_event() -> bytes:
    body = {"code": "server_error", "message": "the model failed", "param": None}
    return named_sse({"type": "error", "sequence_number": 99, **body})


def _stored(ask: Ask) -> Json:
    return {**_whole(ask), "id": ask.request.path.rpartition("/")[2]}


def _model_of_stored(_: Request) -> str:
    return "gpt-5-mini"


RESPONSES: Final = Dialect(
    prefix="resp_",
    whole=_whole,
    events=_events,
    refusal=refusal,
    model=model_of_body,
    frame=named_sse,
    error_event=_error_event,
    stream_if=asks_for_stream,
)

RETRIEVE: Final = Dialect(prefix="resp_", whole=_stored, refusal=refusal, model=_model_of_stored)
"""A response that was made before: it shows its usage again and bills nothing."""
