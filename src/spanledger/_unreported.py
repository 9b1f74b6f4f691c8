"""The tokens of a stream that ended, or was broken off, before its usage came: estimated from the text of both sides.

So are those of a whole answer that came and could not be read.

Text is read where the application and the SDK hold it anyway, counted, and forgotten. Images, audio and files are never
estimated from their length: a request with some is a lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from spanledger._call import Tally
from spanledger._estimate import Estimate, estimate, family_of
from spanledger._types import Usage
from spanledger.providers._reading import Reading

APIS: Final = frozenset(
    {"chat.completions", "completions", "responses", "messages", "complete", "generateContent", "interactions"}
    | {"converse", "converse_stream", "invoke_model_with_response_stream"}
)
"""Endpoints whose request is the whole prompt and whose answer is text."""

PROMPT: Final = (
    *("messages", "prompt", "input", "inputText", "message", "chat_history", "contents"),
    *("system", "instructions", "systemInstruction", "system_instruction", "system_prompt"),
)
"""Fields of a request that the model reads as text."""

SCHEMAS: Final = ("tools", "functions", "toolConfig")
"""Fields of a request that the model reads as JSON, more or less."""

SILENT: Final = frozenset(
    {
        "role",
        "type",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "cache_control",
        "cachePoint",
        "status",
        "stop_reason",
    }
    | {"signature", "encrypted_content", "format", "detail", "mimeType", "mime_type", "media_type"}
)
"""Fields of a message whose value is no text to the model."""

OPAQUE: Final = frozenset(
    {"image_url", "image", "input_audio", "audio", "file", "file_data", "file_id", "file_url", "document", "video"}
    | {"inlineData", "inline_data", "fileData", "file_data", "source", "bytes"}
)
"""Fields of a message that hold something else than text."""

ELSEWHERE: Final = ("previous_response_id", "conversation", "cachedContent", "cached_content")
"""Fields that name text which the request does not hold."""

FRAMES: Final[Mapping[str, tuple[int, int]]] = {
    "o200k": (3, 4),
    "cl100k": (3, 4),
    "claude": (4, 3),
    "claude-4.7": (4, 3),
}
"""Tokens of a family around a request, and around each of its messages."""

HIDDEN: Final = re.compile(r"(?:^|[/.])(?:o[1-9]\b|gpt-[5-9])|gemini-(?:2\.5|[3-9])")
"""Models that bill reasoning which no stream shows."""


LOWER_BOUNDS: Final = {
    True: "the stream was broken off: a lower bound",
    False: "the answer could not be read: a lower bound",
}
"""Why an estimate is a lower bound, for a stream and for a whole answer."""


class Prompt(NamedTuple):
    """The text of a request, and what of it is no text."""

    text: str
    messages: int
    opaque: bool


def completed(tally: Tally, reading: Reading) -> Reading:
    """The reading with what its stream did not say: input where none was reported, output as far as it was seen."""
    call = tally.call
    if call.api.name not in APIS or reading.note or not reading.billed:
        return reading
    units = dict(reading.usage.units) if reading.usage else {}
    model = reading.response_model or call.request.model or ""
    output = estimate(said(tally), model)
    prompt = None if "input" in units else prompt_of(call.request.body)
    if prompt is not None:
        units["input"] = _input(prompt, model).tokens
    missing = output.tokens - (reading.usage.output_tokens or 0 if reading.usage else 0)
    units["output"] = units.get("output", 0) + max(missing, 0)
    units.update(tally.state.get("_fees", ()))
    without = _without(prompt, model)
    return reading._replace(
        usage=(reading.usage or Usage({}))._replace(units=units),
        usage_source="partial" if without or not tally.complete else "estimated",
        note=_note(tally, output, prompt, without),
    )


def said(tally: Tally) -> str:
    """The text that was seen of a response."""
    return "".join(_texts(tally.state.get("_text"), []))


def unreadable(tally: Tally, reading: Reading) -> Reading:
    """The reading of a whole answer of which nothing could be read: it has cost its prompt, at least."""
    if tally.call.api.name not in APIS or reading.note or not reading.billed:
        return reading
    tally.state["_done"] = False
    if tally.how == "read":
        tally.state["_error"] = "JSONDecodeError"
    return completed(tally, reading)


def _input(prompt: Prompt, model: str) -> Estimate:
    found = estimate(prompt.text, model)
    request, message = FRAMES[family_of(model)[0]]
    return found._replace(tokens=found.tokens + request + message * prompt.messages)


def _without(prompt: Prompt | None, model: str) -> list[str]:
    """What the estimate leaves out, and makes it a lower bound."""
    opaque = ["images, audio and files"] if prompt is not None and prompt.opaque else []
    return [*opaque, "hidden reasoning"] if HIDDEN.search(model.lower()) else opaque


def _note(tally: Tally, output: Estimate, prompt: Prompt | None, without: list[str]) -> str:
    """Why the numbers are no more than an estimate, and by what."""
    what = "tokens" if prompt is not None else "output tokens"
    how = "the stream ended before its usage" if tally.complete else LOWER_BOUNDS[tally.call.stream]
    left_out = f"; without {' and '.join(without)}" if without else ""
    return f"estimated {what} ({output.estimator}): {how}{left_out}"


def prompt_of(body: Mapping[str, Any]) -> Prompt:
    """What a request tells the model."""
    inner = body.get("body")
    if isinstance(inner, (str, bytes, bytearray)):  # boto3's InvokeModel
        body = _decoded(inner)
    opaque: list[str] = [name for name in ELSEWHERE if body.get(name) is not None]
    texts = [text for name in PROMPT for text in _texts(body.get(name), opaque)]
    texts += [orjson.dumps(body[name], default=str).decode() for name in SCHEMAS if body.get(name)]
    messages = body.get("messages") or body.get("contents") or body.get("input")
    return Prompt("\n".join(texts), len(messages) if isinstance(messages, list) else 1, bool(opaque))


def _decoded(body: str | bytes | bytearray) -> Mapping[str, Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


DEEPEST: Final = 20


def _texts(value: Any, opaque: list[str], depth: int = 0) -> Iterator[str]:
    """Every text in a message, however it is nested; what is no text is noted."""
    if isinstance(value, str):
        yield value
    elif depth > DEEPEST:
        opaque.append("depth")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name in OPAQUE and inner is not None:
                opaque.append(name)
            elif name not in SILENT:
                yield from _texts(inner, opaque, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner, opaque, depth + 1)
