"""Google's generateContent, embeddings, cached content and interactions, on the Gemini API and on Vertex AI."""

from __future__ import annotations

import re
from typing import Final

from spanledger.testing._framing import crlf_sse, sse
from spanledger.testing._reply import Ask, Dialect, Json, Request, Tokens, asks_for_stream, model_of_body
from spanledger.testing.dialects.openai_embeddings import vector

MOMENT: Final = "2026-01-01T00:00:00Z"
STATES: Final = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


def _usage(usage: Tokens | None) -> Json:
    """Thoughts stand beside the candidates, what the cache served stands inside the prompt."""
    if usage is None:
        return {}
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
    }
    return {"usageMetadata": {name: count for name, count in counts.items() if count}}


def _chunk(ask: Ask, text: str, reason: str | None) -> Json:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        **_usage(ask.usage),
        "modelVersion": ask.model,
        "responseId": ask.response_id,
    }


def _whole(ask: Ask) -> Json:
    return _chunk(ask, ask.reply.text, "STOP")


def _events(ask: Ask) -> list[Json]:
    return [*(_chunk(ask, word, None) for word in ask.reply.words), _chunk(ask, "", "STOP")]


def _refusal(status: int) -> Json:
    state = STATES.get(status, "UNKNOWN")
    return {"error": {"code": status, "message": f"refused with {status}", "status": state}}


def _model_of_path(request: Request) -> str:
    found = re.search(r"/models/([^/:]+)", request.path)
    return found[1] if found else "unknown"


def _embeddings(ask: Ask) -> Json:
    if ask.request.path.endswith(":embedContent"):
        return {"embedding": {"values": vector()}, **_usage(ask.usage)}
    return {"embeddings": [{"values": vector()} for _ in ask.body.get("requests", [])], **_usage(ask.usage)}


def _predictions(ask: Ask) -> Json:
    count = (ask.usage or Tokens()).input_tokens
    one = {"embeddings": {"values": vector(), "statistics": {"token_count": count, "truncated": False}}}
    return {"predictions": [one for _ in ask.body.get("instances", [])]}


GENERATE: Final = Dialect(
    prefix="gen-",
    whole=_whole,
    events=_events,
    refusal=_refusal,
    model=_model_of_path,
    frame=crlf_sse,
    error_event=lambda: crlf_sse(_refusal(500)),
    stream_if=lambda request: request.path.endswith(":streamGenerateContent"),
    stream_type="text/event-stream",
)

EMBED: Final = Dialect(prefix="emb-", whole=_embeddings, refusal=_refusal, model=_model_of_path)
PREDICT: Final = EMBED._replace(whole=_predictions)


def _cached_content(ask: Ask) -> Json:
    return {
        "name": f"cachedContents/{ask.response_id}",
        "model": ask.model,
        "createTime": MOMENT,
        "expireTime": MOMENT,
        "usageMetadata": {"totalTokenCount": (ask.usage or Tokens()).input_tokens},
    }


CACHED_CONTENT: Final = Dialect(prefix="cache-", whole=_cached_content, refusal=_refusal, model=model_of_body)


def _interaction(ask: Ask, status: str = "completed") -> Json:
    body = {"id": ask.response_id, "object": "interaction", "status": status, "model": ask.model}
    return {**body, "created": MOMENT, "updated": MOMENT, **(_totals(ask.usage) if status == "completed" else {})}


def _totals(usage: Tokens | None) -> Json:
    """Thoughts stand beside the output here too; the names are other ones."""
    if usage is None:
        return {}
    counts = {
        "total_tokens": usage.total,
        "total_input_tokens": usage.input_tokens,
        "total_cached_tokens": usage.cache_read_tokens,
        "total_output_tokens": usage.output_tokens - usage.reasoning_tokens,
        "total_thought_tokens": usage.reasoning_tokens,
        "total_tool_use_tokens": 0,
    }
    return {"usage": counts}


def _whole_interaction(ask: Ask) -> Json:
    step = {"type": "model_output", "content": [{"type": "text", "text": ask.reply.text}]}
    return {**_interaction(ask), "steps": [step]}


def _interaction_events(ask: Ask) -> list[Json]:
    deltas = [{"event_type": "step.delta", "index": 0, "delta": _text(word)} for word in ask.reply.words]
    return [
        {"event_type": "interaction.created", "interaction": _interaction(ask, "in_progress")},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *deltas,
        {"event_type": "step.stop", "index": 0},
        {"event_type": "interaction.completed", "interaction": _interaction(ask)},
    ]


def _text(word: str) -> Json:
    return {"type": "text", "text": word}


INTERACTION: Final = Dialect(
    prefix="v1_",
    whole=_whole_interaction,
    events=_interaction_events,
    refusal=_refusal,
    model=model_of_body,
    frame=sse,
    error_event=lambda: sse({"event_type": "error", "error": {"code": "500", "message": "failed"}}),
    stream_if=asks_for_stream,
    end=b"event: done\ndata: [DONE]\n\n",
)
