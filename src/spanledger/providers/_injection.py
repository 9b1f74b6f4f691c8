"""Asking for the usage of a chat stream that would not report any, and hiding the answer from the application.

A chat stream tells its usage only if the request says `stream_options.include_usage`. Where the host is known to take
that, it is added to a copy of the request. What it adds to the response, a last event without choices and a null
`usage` in each other one, is taken out of the bytes before the SDK decodes them: whichever way the application reads
the stream, it gets what it would have got.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

import orjson

from spanledger import _faults
from spanledger._call import Call, Tally
from spanledger._seen import Recent

HOSTS: Final[Mapping[str, str]] = {
    "openai.com": "",
    "openai.azure.com": "2024-09-01",
    "cognitiveservices.azure.com": "2024-09-01",
}
"""Host suffixes that take `include_usage`, and the first API version that does. Groq, OpenRouter, Mistral and xAI
report usage unasked; other hosts are asked only if the setting `include_usage_hosts` names them."""

RAW: Final = "X-Stainless-Raw-Response"
"""The header by which `with_streaming_response` tells the SDK's own client to leave a body unread."""

APIS: Final = ("chat.completions", "completions")

REFUSING_FIELDS: Final = ("data_sources",)
"""Azure refuses `stream_options` in a request with one of these."""


class Asking:
    """Whether streams are asked for their usage, and which further hosts take it."""

    enabled = True
    hosts: tuple[str, ...] = ()


asking: Final = Asking()

refusers: Final[Recent[bool]] = Recent(512)
"""Host and model of requests that were refused for what was added to them: they are not asked again."""

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


@_faults.guarded("ask a stream for its usage")
def ask(client: Any, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments | None:
    """The arguments of `request` with options that ask for usage; `None` where that is not wanted or not possible."""
    options = kwargs["options"] if "options" in kwargs else args[1]
    asked = _asking(client, call, options) if _is_left_open(options, kwargs) else None
    if asked is None:
        return None
    call.hides_usage = True
    return (args, {**kwargs, "options": asked}) if "options" in kwargs else ((args[0], asked, *args[2:]), kwargs)


def _is_left_open(options: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether the SDK leaves the body to be read: one that it reads itself, as of a plain post, is read unhidden."""
    return bool(kwargs.get("stream")) or (options.headers or {}).get(RAW) == "stream"


def _asking(client: Any, call: Call, options: Any) -> Any:
    """A copy of the options that asks for usage; the application's own dict is left alone. `None` to ask nothing."""
    body = options.json_data
    if not isinstance(body, dict) or not _wanted(call) or not _takes(client, call) or not _readable(client):
        return None
    if "stream_options" in (getattr(options, "extra_json", None) or {}):
        return None
    asked = options.model_copy() if hasattr(options, "model_copy") else options.copy()
    asked.json_data = {**body, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}
    return asked


def _wanted(call: Call) -> bool:
    """Whether the application has not decided itself, and the request is one that has usage to hide."""
    body = call.request.body
    if not asking.enabled or call.api.name not in APIS or _asked_of(call) in refusers:
        return False
    stated = body.get("stream_options")
    if stated is not None and (not isinstance(stated, dict) or "include_usage" in stated):
        return False
    return not any(field in body for field in REFUSING_FIELDS)


def _takes(client: Any, call: Call) -> bool:
    since = _since(call.server_address or "", asking.hosts)
    if since is None:
        return False
    version = (getattr(client, "_custom_query", None) or {}).get("api-version") if since else None
    return version is None or str(version) >= since


@lru_cache(maxsize=256)
def _since(host: str, more: tuple[str, ...]) -> str | None:
    """The first API version with which a host takes it, empty for any, `None` for a host that is not known to."""
    for suffix, since in {**dict.fromkeys(more, ""), **HOSTS}.items():
        if host == suffix or host.endswith("." + suffix):
            return since
    return None


def _readable(client: Any) -> bool:
    return _has_decoder(cast("Hashable", type(client._client)))


@lru_cache(maxsize=32)
def _has_decoder(kind: Any) -> bool:
    """Whether responses of an HTTP client decode their body where the answer can be hidden."""
    roots = (base.__module__.partition(".")[0] for base in kind.__mro__)
    library = next((sys.modules[root] for root in roots if root.startswith("httpx")), None)
    return hasattr(getattr(library, "Response", None), "_get_content_decoder")


@_faults.guarded("look at a refusal", default=False)
def refused(call: Call, error: BaseException) -> bool:
    """Whether a request failed for what was added to it: then it goes out once more as the application made it."""
    if not call.hides_usage or getattr(error, "status_code", None) not in (400, 422):
        return False
    if "stream_options" not in str(error) and "include_usage" not in str(error):
        return False
    refusers.put(_asked_of(call), True)
    return True


def _asked_of(call: Call) -> str:
    return f"{call.server_address}/{call.request.model}"


def hide(response: Any, tally: Tally) -> None:
    """Puts a filter behind the response's content decoder; what it takes out, the tally gets."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        response._decoder = HidingDecoder(response._get_content_decoder(), UsageHider(tally))


class HidingDecoder:
    """A content decoder that leaves usage out. httpx decodes to bytes, httpx2 to an iterator of them."""

    def __init__(self, decoder: Any, hider: UsageHider) -> None:
        self._decoder = decoder
        self._hider = hider

    def decode(self, data: bytes) -> Any:
        """The decoded events that the application would have got."""
        decoded = self._decoder.decode(data)
        return self._shown(decoded) if isinstance(decoded, bytes) else self._each(decoded)

    def flush(self) -> Any:
        """What was held back of an event that never ended."""
        decoded = self._decoder.flush()
        if isinstance(decoded, bytes):
            return self._shown(decoded, last=True)
        return self._each(itertools.chain(decoded, [b""]), last=True)

    def _each(self, decoded: Iterator[bytes], *, last: bool = False) -> Iterator[bytes]:
        for piece in decoded:
            yield self._shown(piece, last=last)

    def _shown(self, data: bytes, *, last: bool = False) -> bytes:
        """What to show of more bytes; on a fault all that is there, unchanged."""
        try:
            return self._hider.feed(data) + (self._hider.rest() if last else b"")
        except Exception as error:  # noqa: BLE001 -- the application's stream is never the one to pay
            _faults.record("hide the usage of a stream", error)
            return self._hider.give_up(data)


END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
DATA: Final = re.compile(rb"^data:(.*)$", re.MULTILINE)
NULLS: Final = (b',"usage":null', b', "usage": null')
LAST: Final = re.compile(rb'(?:, ?"\w+": ?(?:"[^"\\]*"|null|true|false|[0-9.]+))*}\s*')
"""What may follow one to the end of an event, so that it stands in the outermost object."""
SPACED_NULL: Final = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|(?<={)\s*"usage"\s*:\s*null\s*,\s*')


class UsageHider:
    """Takes out of an event stream what `include_usage` has added to it.

    The end of an event that has not come yet is held back until it has.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The bytes to show of `data` and what was held before."""
        if not self._held and data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return self._shown(data)
        seam = len(self._held)
        self._held += data
        if END.search(self._held, max(seam - 3, 0)) is None:
            return b""
        return self._show(keep_open=True)

    def give_up(self, data: bytes) -> bytes:
        """All that is held, `data` among it or not yet, as it came."""
        held, self._held = bytes(self._held), bytearray()
        return held if held.endswith(data) else held + data

    def rest(self) -> bytes:
        """The bytes to show of what is held, once nothing follows."""
        return self._show(keep_open=False)

    def _show(self, *, keep_open: bool) -> bytes:
        held = bytes(self._held)
        events = _split(held)
        rest = events.pop() if keep_open else b""
        shown = b"".join(map(self._shown, events))
        self._held = bytearray(rest)
        return shown

    def _shown(self, event: bytes) -> bytes:
        """The event as it would have been; in the two usual forms, without a look at its JSON."""
        for null in NULLS:
            at = event.rfind(null)
            if at >= 0 and LAST.fullmatch(event, at + len(null)):
                return event[:at] + event[at + len(null) :]
        return self._examined(event) if b'"usage"' in event else event

    def _examined(self, event: bytes) -> bytes:
        body = _body_of(event)
        usage = body.get("usage")
        if isinstance(usage, dict) and body.get("choices") == []:
            if not self._tally.sealed:
                self._tally.observe(body)
            return b""
        if usage is None and "usage" in body:
            shown, times = SPACED_NULL.subn(b"", event)
            return shown if times == 1 else event
        return event


def _split(data: bytes) -> list[bytes]:
    """Whole events, and last what follows them: nothing, or an event that has not ended."""
    pieces, start = [], 0
    for end in END.finditer(data):
        pieces.append(data[start : end.end()])
        start = end.end()
    return [*pieces, data[start:]]


def _body_of(event: bytes) -> Mapping[str, Any]:
    """The object in the only `data` line of an event, an empty one where there is none."""
    lines = DATA.findall(event)
    try:
        body = orjson.loads(lines[0]) if len(lines) == 1 else None
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
