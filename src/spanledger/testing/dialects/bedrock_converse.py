"""Bedrock's Converse and ConverseStream: no response names its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spanledger.testing._framing import aws_event, aws_exception, aws_message
from spanledger.testing._reply import Ask, Dialect, Json, Request, Tokens

AWS_STREAM: Final = "application/vnd.amazon.eventstream"
BROKEN: Final = aws_message({":event-type": "metadata", ":message-type": "event"}, b'{"broken": ')
METRICS: Final = {"latencyMs": 42}
EXCEPTIONS: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


def model_of_path(request: Request) -> str:
    """The model id, which may hold colons and slashes."""
    found = re.search(r"/model/(.+)/[a-z-]+$", request.path)
    return found[1] if found else "unknown"


def headers(ask: Ask) -> Mapping[str, str]:
    """The request id, and what tells boto3 which exception an error is."""
    kind = EXCEPTIONS.get(ask.reply.status)
    return {"x-amzn-requestid": ask.response_id, **({"x-amzn-errortype": kind} if kind else {})}


def refusal(status: int) -> Json:
    """An error body."""
    return {"message": f"refused with {status}"}


def error_event() -> bytes:
    """An error inside a stream."""
    return aws_exception("modelStreamErrorException", "the model failed")


def streams(request: Request) -> bool:
    """Whether the path asks for a stream."""
    return request.path.endswith("-stream")


def usage_of(usage: Tokens | None) -> Json:
    """`inputTokens` leaves out what the cache did, the total has it."""
    if usage is None:
        return {}
    return {
        "inputTokens": usage.uncached,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
    }


def _with_usage(ask: Ask) -> Json:
    usage = usage_of(ask.usage)
    return {**({"usage": usage} if usage else {}), "metrics": METRICS}


def _whole(ask: Ask) -> Json:
    message = {"role": "assistant", "content": [{"text": ask.reply.text}]}
    return {"output": {"message": message}, "stopReason": "end_turn", **_with_usage(ask)}


def _events(ask: Ask) -> list[Json]:
    return [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": word}}} for word in ask.reply.words),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": _with_usage(ask)},
    ]


CONVERSE: Final = Dialect(
    prefix="aws-",
    whole=_whole,
    events=_events,
    refusal=refusal,
    model=model_of_path,
    frame=aws_event,
    error_event=error_event,
    broken=BROKEN,
    stream_if=streams,
    stream_type=AWS_STREAM,
    headers=headers,
)
