"""Watching the body of an httpx or httpx2 response while the application reads it, without importing either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import orjson

from spanledger import _faults
from spanledger._call import Tally

LARGEST_BODY: Final = 64 * 2**20
"""A JSON body that the application reads as bytes is gathered up to this size."""

ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
"""How the last event of a whole event stream ends."""


def watch(response: Any, tally: Tally, *, raw: bool) -> None:
    """Sees the end of a body; where the application may read the bytes itself, sees them too."""
    tally.pending = True
    response.stream = WatchedBody(response.stream, tally)
    if raw:
        _tee(response, tally)


def decoder_of(response: Any) -> Callable[[], Any]:
    """Decodes, on demand, a JSON body that is in memory already; anything else is an empty object."""

    def decode() -> Any:
        return _as_object(response.content) if "json" in response.headers.get("content-type", "json") else {}

    return decode


class WatchedBody:
    """Stands in for `response.stream` and reports to a tally how reading it ended; all else is the body's own."""

    def __init__(self, body: Any, tally: Tally) -> None:
        self._body = body
        self._tally = tally
        self._tail = b""
        self._exhausted = False

    @property  # type: ignore[misc]  # `object` lets it be written, nobody does
    def __class__(self) -> type:  # httpx asks for its own stream classes before it reads or closes
        kind: type = type(self._body)
        return kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._body:
                self._tail = chunk[-4:]
                yield chunk
        except Exception as error:
            self._tally.end("failed", error)
            raise
        self._read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._body.__aiter__()
        try:
            async for chunk in chunks:
                self._tail = chunk[-4:]
                yield chunk
        except Exception as error:
            self._tally.end("failed", error)
            raise
        finally:
            # Closes a body that was read in part in the task that read it, not later in one of the event loop's own.
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
        self._read()

    def close(self) -> None:
        self._closed()
        self._body.close()

    async def aclose(self) -> None:
        self._closed()
        await self._body.aclose()

    def __del__(self) -> None:
        self._tally.end("dropped")

    @_faults.guarded("end a body")
    def _read(self) -> None:
        self._exhausted = True
        if not self._awaits_last_event():
            self._tally.end("read")

    @_faults.guarded("close a body")
    def _closed(self) -> None:
        if not self._awaits_last_event():
            self._tally.end("closed")

    def _awaits_last_event(self) -> bool:
        """A stream that ended inside an event: the SDK hands that event out after the body's end, if at all."""
        tally = self._tally
        whole = self._tail.endswith(ENDS) or (tally.complete and "usage" in tally.state)
        if not self._exhausted or tally.sealed or not tally.call.stream or whole:
            return False
        tally.ends_with_next = True
        return True


def _tee(response: Any, tally: Tally) -> None:
    """Puts a tee behind the response's content decoder, so that every way of reading the body passes it."""
    reader = _reader_for(response.headers.get("content-type", ""), tally)
    if reader is None:
        return
    tally.sealed = True
    response._decoder = TeeDecoder(response._get_content_decoder(), reader)


def _reader_for(content_type: str, tally: Tally) -> Callable[[bytes], None] | None:
    if content_type.startswith("text/event-stream"):
        return EventReader(tally).feed
    if "json" not in content_type:
        return None
    reader = JsonReader()
    tally.unread = reader.decode
    return reader.feed


class TeeDecoder:
    """A content decoder that shows what it decodes. httpx decodes to bytes, httpx2 to an iterator of them."""

    def __init__(self, decoder: Any, reader: Callable[[bytes], None]) -> None:
        self._decoder = decoder
        self._read = _faults.guarded("read a raw body")(reader)

    def decode(self, data: bytes) -> Any:
        return self._show(self._decoder.decode(data))

    def flush(self) -> Any:
        return self._show(self._decoder.flush())

    def _show(self, decoded: Any) -> Any:
        if isinstance(decoded, bytes):
            self._read(decoded)
            return decoded
        return self._each(decoded)

    def _each(self, decoded: Any) -> Iterator[bytes]:
        for piece in decoded:
            self._read(piece)
            yield piece


class EventReader:
    """Finds the JSON events in the bytes of a server-sent event stream."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Takes more bytes, cut anywhere."""
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LARGEST_BODY:
            self._line = b""
        for line in lines:
            self._take(line.strip())

    def _take(self, line: bytes) -> None:
        if not line.startswith(b"data:") or not line.endswith(b"}"):
            return
        try:
            self._tally.observe(orjson.loads(line[5:]))
        except orjson.JSONDecodeError:
            return


class JsonReader:
    """Gathers a JSON body, to be decoded when it has ended; one over the limit is not."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        """Takes more bytes, cut anywhere."""
        self._over = self._over or len(self._body) + len(data) > LARGEST_BODY
        self._body = bytearray() if self._over else self._body + data

    def decode(self) -> Any:
        """The body as an object, an empty one where it is none."""
        return _as_object(bytes(self._body))


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
