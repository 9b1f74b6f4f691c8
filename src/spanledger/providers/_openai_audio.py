"""OpenAI's audio: speech by the characters that were sent, transcriptions by their length or by tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from spanledger._types import Usage
from spanledger.providers._folding import merge_usage, seconds, stated_cost
from spanledger.providers._reading import Api, Body, Reading, Request, State, UsageTable, keep, paths, text

SPEECH: Final = UsageTable(
    wholes={"input": paths("input_tokens"), "output_audio": paths("output_tokens")}, total=paths("total_tokens")
)

TRANSCRIPT: Final = UsageTable(
    wholes={
        "input": paths("input_tokens", "prompt_tokens"),
        "output": paths("output_tokens", "completion_tokens"),
    },
    parts={
        "input_audio": ("input", paths("input_token_details.audio_tokens", "prompt_tokens_details.audio_tokens")),
        "cache_read": ("input", paths("input_token_details.cached_tokens", "prompt_tokens_details.cached_tokens")),
    },
    total=paths("total_tokens"),
)

CUE_END: Final = re.compile(rb"--> *(?:(\d{1,4}):)?(\d\d):(\d\d)[.,](\d{3})")
"""When a caption of an SRT or WebVTT body ends."""


def fold_audio(state: State, event: Body) -> None:
    """A whole body, or an event: the last one of a stream has the usage."""
    keep(state, event, "model", "duration", "_captions")
    if isinstance(event.get("usage"), dict):
        merge_usage(state, event["usage"])
        state["_done"] = True


def read_speech(state: State, request: Request) -> Reading:
    """The reading of speech: as events it reports tokens, as sound nothing, and the characters sent are billed."""
    usage = SPEECH.read(state.get("usage"))
    if usage is not None:
        return Reading(usage, context=request.context, provider_cost=stated_cost(state.get("usage")))
    sent = request.body.get("input")
    counted = Usage({"characters": len(sent)}) if isinstance(sent, str) else None
    return Reading(counted, context=request.context, usage_source="request")


def read_transcript(state: State, request: Request) -> Reading:
    """The reading of a transcription or translation."""
    reported = state.get("usage")
    usage = TRANSCRIPT.read(reported) or _length(reported, "seconds") or _length(state, "duration")
    reading = Reading(
        usage,
        response_model=text(state.get("model")),
        context=request.context,
        provider_cost=stated_cost(reported),
        note="a response as text reports no usage: response_format='json' does",
    )
    captions = _length(state, "_captions")
    if usage is not None or captions is None:
        return reading
    return reading._replace(usage=captions, usage_source="estimated", note="the length is that of the captions")


def _length(holder: Any, name: str) -> Usage | None:
    length = seconds(holder.get(name)) if isinstance(holder, dict) else None
    return None if length is None else of_seconds(length)


def of_seconds(length: Decimal) -> Usage:
    """The usage of so many seconds of sound."""
    return Usage({"audio_seconds": length})


def captions(content: bytes, _content_type: str) -> Iterable[Body]:
    """How long the captions of an SRT or WebVTT body last: at least as long as they does the sound."""
    ends = CUE_END.findall(content)
    if not ends:
        return ()
    hours, minutes, whole, thousandths = (part.decode() for part in ends[-1])
    return ({"_captions": f"{(int(hours or 0) * 60 + int(minutes)) * 60 + int(whole)}.{thousandths}"},)


CREATE: Final = Api("audio.speech", "generate_content", fold_audio, read_speech)
TRANSCRIBE: Final = Api("audio.transcriptions", "transcription", fold_audio, read_transcript, decode=captions)
TRANSLATE: Final = Api("audio.translations", "transcription", fold_audio, read_transcript, decode=captions)

ROUTES: Final[Mapping[str, Api]] = {
    "/audio/speech": CREATE,
    "/audio/transcriptions": TRANSCRIBE,
    "/audio/translations": TRANSLATE,
}
