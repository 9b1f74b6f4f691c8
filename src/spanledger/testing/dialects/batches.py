"""Batches of OpenAI and Anthropic: every one is over as soon as it is asked about, and has two results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from spanledger.testing._reply import Ask, Dialect, Json, Request
from spanledger.testing.dialects import anthropic_messages, openai_chat

CREATED: Final = openai_chat.CREATED
CUSTOM_IDS: Final = ("first", "second")


def _line(result: Json) -> bytes:
    return orjson.dumps(result) + b"\n"


def _constant(model: str) -> Callable[[Request], str]:
    return lambda _: model


def _file(ask: Ask) -> Json:
    form = {"object": "file", "bytes": len(ask.request.body), "created_at": CREATED, "filename": "batch.jsonl"}
    return {"id": ask.response_id, **form, "purpose": "batch", "status": "processed"}


def _batch(ask: Ask) -> Json:
    begun = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "file-in", **ask.body}
    return {"id": ask.response_id, "object": "batch", "created_at": CREATED, "status": "validating", **begun}


def _batch_over(ask: Ask) -> Json:
    number = ask.request.path.rpartition("/")[2]
    over = {"status": "completed", "output_file_id": f"file-of-{number}", "completed_at": CREATED + 60}
    return {**_batch(ask), "id": number, **over}


def _results(ask: Ask) -> list[Json]:
    return [
        {
            "id": f"{ask.response_id}_{custom_id}",
            "custom_id": custom_id,
            "response": {"status_code": 200, "request_id": "req_1", "body": openai_chat.CHAT.whole(ask)},
            "error": None,
        }
        for custom_id in CUSTOM_IDS
    ]


FILE: Final = Dialect("file-", _file, openai_chat.refusal, _constant(""))
BATCH: Final = Dialect("batch_", _batch, openai_chat.refusal, _constant(""))
BATCH_OVER: Final = BATCH._replace(whole=_batch_over)
RESULTS: Final = Dialect(
    prefix="batch_req_",
    whole=_batch,
    refusal=openai_chat.refusal,
    model=_constant("gpt-5-mini"),
    events=_results,
    frame=_line,
    stream_if=lambda _: True,
    stream_type="application/octet-stream",
)


def _message_batch(ask: Ask) -> Json:
    counts = {"processing": len(CUSTOM_IDS), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    begun = {"created_at": "2023-11-14T22:13:20Z", "expires_at": "2023-11-15T22:13:20Z", "request_counts": counts}
    over = {"ended_at": None, "archived_at": None, "cancel_initiated_at": None, "results_url": None}
    return {"id": ask.response_id, "type": "message_batch", "processing_status": "in_progress", **begun, **over}


def _message_batch_over(ask: Ask) -> Json:
    number = ask.request.path.rpartition("/")[2]
    url = f"http://{ask.request.headers['host']}/v1/messages/batches/{number}/results"
    return {**_message_batch(ask), "id": number, "processing_status": "ended", "results_url": url}


def _message_results(ask: Ask) -> list[Json]:
    message = anthropic_messages.whole(ask)
    return [{"custom_id": custom_id, "result": {"type": "succeeded", "message": message}} for custom_id in CUSTOM_IDS]


MESSAGE_BATCH: Final = anthropic_messages.MESSAGES._replace(
    prefix="msgbatch_", whole=_message_batch, model=_constant("claude-haiku-4-5"), stream_if=lambda _: False
)
MESSAGE_BATCH_OVER: Final = MESSAGE_BATCH._replace(whole=_message_batch_over)
MESSAGE_RESULTS: Final = MESSAGE_BATCH._replace(
    prefix="msg_", events=_message_results, frame=_line, stream_if=lambda _: True, stream_type="application/x-jsonl"
)
