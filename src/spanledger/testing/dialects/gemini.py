"""Google's generateContent, its stream and embeddings, on the Gemini API and on Vertex AI."""

from __future__ import annotations

import re
from typing import Final

from spanledger.testing._framing import crlf_sse
from spanledger.testing._reply import Ask, Dialect, Json, Request, Tokens
from spanledger.testing.dialects.openai_embeddings import vector

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
        return {"embedding": {"values": vector()}}
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
VERTEX_EMBED: Final = EMBED._replace(whole=_predictions)
