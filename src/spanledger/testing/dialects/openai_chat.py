"""OpenAI's Chat Completions and Completions. A stream tells its usage only where `include_usage` asks for it."""

from __future__ import annotations

from typing import Any, Final

from spanledger.testing._framing import sse
from spanledger.testing._reply import Ask, Dialect, Json, Tokens, asks_for_stream, model_of_body

CREATED: Final = 1_700_000_000


def usage_of(usage: Tokens | None) -> Json | None:
    """Prompt and completion tokens are inclusive; their details stand beside."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "audio_tokens": 0,
            **({"cache_write_tokens": usage.cache_write_tokens} if usage.cache_write_tokens else {}),
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0},
    }


def refusal(status: int) -> Json:
    """An error body."""
    return {"error": {"message": f"refused with {status}", "type": _kind(status), "param": None, "code": None}}


def _kind(status: int) -> str:
    return "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004


def error_event() -> bytes:
    """An error inside a stream."""
    return sse({"error": {"message": "the model failed", "type": "server_error", "param": None, "code": None}})


def _head(ask: Ask, kind: str) -> Json:
    return {"id": ask.response_id, "object": kind, "created": CREATED, "model": ask.model, "service_tier": "default"}


def _with_usage(body: Json, ask: Ask) -> Json:
    usage = usage_of(ask.usage)
    return {**body, "usage": usage} if usage is not None else body


def _whole(ask: Ask) -> Json:
    message = {"role": "assistant", "content": ask.reply.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _with_usage({**_head(ask, "chat.completion"), "choices": [choice]}, ask)


def _events(ask: Ask) -> list[Json]:
    deltas: list[tuple[Any, str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": word}, None) for word in ask.reply.words),
        ({}, "stop"),
    ]
    choices = [[{"index": 0, "delta": delta, "finish_reason": reason}] for delta, reason in deltas]
    return _chunks(ask, "chat.completion.chunk", choices)


def _chunks(ask: Ask, kind: str, choices: list[list[Json]]) -> list[Json]:
    head = _head(ask, kind)
    if (ask.body.get("stream_options") or {}).get("include_usage") is not True:
        return [{**head, "choices": choice} for choice in choices]
    chunks = [{**head, "choices": choice, "usage": None} for choice in choices]
    usage = usage_of(ask.usage)
    return [*chunks, {**head, "choices": [], "usage": usage}] if usage is not None else chunks


def _text_whole(ask: Ask) -> Json:
    choice = {"index": 0, "text": ask.reply.text, "logprobs": None, "finish_reason": "stop"}
    return _with_usage({**_head(ask, "text_completion"), "choices": [choice]}, ask)


def _text_events(ask: Ask) -> list[Json]:
    texts = [(word, None) for word in ask.reply.words] + [("", "stop")]
    choices = [[{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}] for text, reason in texts]
    return _chunks(ask, "text_completion", choices)


CHAT: Final = Dialect(
    prefix="chatcmpl-",
    whole=_whole,
    events=_events,
    refusal=refusal,
    model=model_of_body,
    frame=sse,
    error_event=error_event,
    stream_if=asks_for_stream,
    end=b"data: [DONE]\n\n",
)

COMPLETIONS: Final = CHAT._replace(prefix="cmpl-", whole=_text_whole, events=_text_events)
