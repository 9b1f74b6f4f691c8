"""Anthropic's Messages, on its own API and on Vertex AI; on Bedrock, `bedrock_invoke` wraps it."""

from __future__ import annotations

import re
from typing import Final

from spanledger.testing._framing import named_sse
from spanledger.testing._reply import Ask, Dialect, Json, Request, Tokens, asks_for_stream, model_of_body

ERRORS: Final = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}


def usage_of(usage: Tokens | None, output_tokens: int | None = None) -> Json:
    """`input_tokens` leaves out what the cache served or stored."""
    if usage is None:
        return {}
    written = usage.cache_write_tokens
    return {
        "input_tokens": usage.uncached,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens if output_tokens is None else output_tokens,
        **({"output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}} if usage.reasoning_tokens else {}),
        "service_tier": "standard",
    }


def _message(ask: Ask, text: str, stop_reason: str | None, usage: Json) -> Json:
    return {
        "id": ask.response_id,
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        **({"usage": usage} if usage else {}),
    }


def whole(ask: Ask) -> Json:
    """A Message."""
    return _message(ask, ask.reply.text, "end_turn", usage_of(ask.usage))


def events(ask: Ask) -> list[Json]:
    """A Message in pieces: its input is known at the start, its output at the end."""
    started = usage_of(ask.usage, 1)
    started.pop("output_tokens_details", None)
    deltas = [{"type": "text_delta", "text": word} for word in ask.reply.words]
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    return [
        {"type": "message_start", "message": _message(ask, "", None, started)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {**end, "usage": _end_usage(ask.usage)},
        {"type": "message_stop"},
    ]


def _end_usage(usage: Tokens | None) -> Json:
    full = usage_of(usage)
    return {name: full[name] for name in ("output_tokens", "output_tokens_details") if name in full}


def refusal(status: int) -> Json:
    """An error body."""
    kind = ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"refused with {status}"}, "request_id": "req_1"}


def _error_event() -> bytes:
    return named_sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def _model_of_path(request: Request) -> str:
    found = re.search(r"/models/([^/:]+)", request.path)
    return found[1] if found else "unknown"


MESSAGES: Final = Dialect(
    prefix="msg_",
    whole=whole,
    events=events,
    refusal=refusal,
    model=model_of_body,
    frame=named_sse,
    error_event=_error_event,
    stream_if=asks_for_stream,
    headers=lambda ask: {"request-id": f"req_{ask.response_id}"},
)

VERTEX: Final = MESSAGES._replace(prefix="msg_vrtx_", model=_model_of_path)

COUNT_TOKENS: Final = Dialect(
    prefix="",
    whole=lambda ask: {"input_tokens": (ask.usage or Tokens()).input_tokens},
    refusal=refusal,
    model=model_of_body,
)
"""Counts, and bills nothing."""
