"""Bedrock's InvokeModel and its stream: a body in the words of each family of models, counts in the headers too."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from spanledger.testing._framing import aws_event
from spanledger.testing._reply import Ask, Json, Tokens
from spanledger.testing.dialects import anthropic_messages, openai_chat
from spanledger.testing.dialects.bedrock_converse import CONVERSE, headers, usage_of
from spanledger.testing.dialects.openai_embeddings import vector

Family = tuple[Callable[[Ask], Json], Callable[[Ask], list[Json]]]
"""How a family of models says a whole body, and the events of a stream."""


def _nova(ask: Ask) -> Json:
    message = {"role": "assistant", "content": [{"text": ask.reply.text}]}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage_of(ask.usage)}


def _nova_events(ask: Ask) -> list[Json]:
    return [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": word}}} for word in ask.reply.words),
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": usage_of(ask.usage)}},
    ]


def _llama(ask: Ask) -> Json:
    usage = ask.usage or Tokens(0, 0)
    counts = {"prompt_token_count": usage.input_tokens, "generation_token_count": usage.output_tokens}
    return {"generation": ask.reply.text, **counts, "stop_reason": "stop"}


def _llama_events(ask: Ask) -> list[Json]:
    last = {**_llama(ask), "generation": ""}
    return [*({"generation": word, "stop_reason": None} for word in ask.reply.words), last]


def _titan(ask: Ask) -> Json:
    usage = ask.usage or Tokens(0, 0)
    if "embed" in ask.model:
        return {"embedding": vector(), "inputTextTokenCount": usage.input_tokens}
    result = {"tokenCount": usage.output_tokens, "outputText": ask.reply.text, "completionReason": "FINISH"}
    return {"inputTextTokenCount": usage.input_tokens, "results": [result]}


def _titan_events(ask: Ask) -> list[Json]:
    usage = ask.usage or Tokens(0, 0)
    counts = {"inputTextTokenCount": usage.input_tokens, "totalOutputTextTokenCount": usage.output_tokens}
    return [*({"outputText": word, "index": 0} for word in ask.reply.words), {"outputText": "", **counts}]


def _cohere(ask: Ask) -> Json:
    """Its bodies say nothing of usage either."""
    if "embed" in ask.model:
        return {"embeddings": [vector()], "id": ask.response_id, "response_type": "embeddings_floats"}
    return {"generations": [{"text": ask.reply.text, "finish_reason": "COMPLETE"}], "id": ask.response_id}


def _cohere_events(ask: Ask) -> list[Json]:
    return [*({"text": word, "is_finished": False} for word in ask.reply.words), {"text": "", "is_finished": True}]


def _ai21(ask: Ask) -> Json:
    """Its bodies are those of Chat Completions."""
    return {**openai_chat.CHAT.whole(ask), "meta": {"requestDurationMillis": 42}}


def _bare(ask: Ask) -> Json:
    """Families whose bodies say nothing of usage: only the headers do."""
    return {"outputs": [{"text": ask.reply.text, "stop_reason": "stop"}]}


FAMILIES: Final[Mapping[str, Family]] = {
    "anthropic.": (anthropic_messages.whole, anthropic_messages.events),
    "amazon.nova": (_nova, _nova_events),
    "amazon.titan": (_titan, _titan_events),
    "meta.": (_llama, _llama_events),
    "cohere.": (_cohere, _cohere_events),
    "ai21.": (_ai21, openai_chat.CHAT.events),
    "": (_bare, lambda ask: [{"outputs": [{"text": word}]} for word in ask.reply.words]),
}
"""By a part of the model's id; the first that fits counts."""


def _family(ask: Ask) -> Family:
    return next(family for part, family in FAMILIES.items() if part in ask.model)


def _whole(ask: Ask) -> Json:
    return _family(ask)[0](ask)


def _events(ask: Ask) -> list[Json]:
    *events, last = _family(ask)[1](ask)
    return [_chunk(event) for event in (*events, {**last, **_invocation_metrics(ask.usage)})]


def _chunk(event: Json) -> Json:
    return {"chunk": {"bytes": b64encode(orjson.dumps(event)).decode()}}


def _invocation_metrics(usage: Tokens | None) -> Json:
    if usage is None:
        return {}
    counts = {"inputTokenCount": usage.uncached, "outputTokenCount": usage.output_tokens}
    cached = {
        "cacheReadInputTokenCount": usage.cache_read_tokens,
        "cacheWriteInputTokenCount": usage.cache_write_tokens,
    }
    return {"amazon-bedrock-invocationMetrics": {**counts, **cached, "invocationLatency": 42, "firstByteLatency": 7}}


def _headers(ask: Ask) -> Mapping[str, str]:
    base = headers(ask)
    if ask.usage is None or CONVERSE.stream_if(ask.request):
        return base
    counts = {"input": ask.usage.uncached, "output": ask.usage.output_tokens}
    return {**base, **{f"x-amzn-bedrock-{side}-token-count": str(count) for side, count in counts.items()}}


INVOKE: Final = CONVERSE._replace(whole=_whole, events=_events, frame=aws_event, headers=_headers)
