"""AWS event streams that pass as bytes: those of Bedrock, where the anthropic SDK's raw forms leave them undecoded.

A frame is its length and that of its headers, four bytes each, a checksum, headers, a payload and a checksum.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

import orjson

from spanledger._call import Tally

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
PRELUDE: Final = 12
CHECKSUM: Final = 4
LARGEST: Final = 24 * 2**20
"""AWS sends no larger frame; one that claims to be is none."""

TEXT: Final = b"\x07"
"""The type of a header whose value is text. Bedrock sends no other."""


class FrameReader:
    """Shows a tally the events in bytes that are cut anywhere."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._held = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Takes more bytes. What is no frame ends the reading: where the next one begins is not known."""
        if self._lost:
            return
        self._held += data
        while len(self._held) >= PRELUDE:
            size, headers = int.from_bytes(self._held[:4], "big"), int.from_bytes(self._held[4:8], "big")
            if not headers + PRELUDE + CHECKSUM <= size <= LARGEST:
                self._lost = True
                self._held.clear()
                return
            if len(self._held) < size:
                return
            frame = bytes(self._held[:size])
            del self._held[:size]
            self._tally.observe(event_of(frame[PRELUDE : PRELUDE + headers], frame[PRELUDE + headers : -CHECKSUM]))


def event_of(headers: bytes, payload: bytes) -> Any:
    """The event in a frame, that of an exception as the API's own error event; `None` where it is no JSON."""
    failure = dict(_texts(headers)).get(b":exception-type")
    if failure is not None:
        return {"type": "error", "error": {"type": failure.decode("utf-8", "replace")}}
    try:
        body = orjson.loads(payload)
        encoded = body.get("bytes") if isinstance(body, dict) else None
        return orjson.loads(b64decode(encoded)) if isinstance(encoded, str) else body
    except ValueError:
        return None


def _texts(headers: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The headers up to the first whose value is no text."""
    at = 0
    while at < len(headers):
        value = at + 1 + headers[at] + 3
        if headers[value - 3 : value - 2] != TEXT:
            return
        end = value + int.from_bytes(headers[value - 2 : value], "big")
        yield headers[at + 1 : value - 3], headers[value:end]
        at = end
