"""Watching the body of an httpx or httpx2 response while the application reads it, without importing either."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from io import BytesIO
from typing import Any, Final

import orjson

from spanledger import _faults
from spanledger._call import Metered, Tally
from spanledger.providers import _aws_events

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


def decoder_of(response: Any, tally: Tally) -> Callable[[], Iterable[Any]]:
    """Decodes, on demand, a body that is in memory already."""
    return lambda: bodies_of(response.content, response.headers.get("content-type", "json"), tally.call.api)


def bodies_of(content: bytes, content_type: str, api: Metered) -> Iterable[Any]:
    """The objects that a body holds: one of JSON, one an event or a line, or what the endpoint makes of other bytes.

    Some gateways call an event stream JSON, or the other way round.
    """
    if "json" in content_type and not api.lines and (whole := _as_object(content)):
        return (whole,)
    if content_type.startswith("text/event-stream") or ("json" in content_type and not api.lines):
        return objects(content.splitlines(), b"data:")
    if api.lines:
        return objects(BytesIO(content), b"") if content[:64].lstrip()[:1] == b"{" else ()
    return api.decode(content, content_type) if api.decode is not None else ()


def objects(lines: Iterable[bytes], prefix: bytes) -> Iterator[Any]:
    """The JSON objects in lines that hold at most one each, behind a prefix; other lines are passed over."""
    return (found for line in lines if (found := _object_of(line.strip(), prefix)) is not None)


def _object_of(line: bytes, prefix: bytes) -> Any:
    if not line.endswith(b"}") or not line.startswith((prefix, b"{")):
        return None
    try:
        return orjson.loads(line.removeprefix(prefix))
    except orjson.JSONDecodeError:
        return None


class WatchedBody:
    """Stands in for `response.stream` and reports to a tally how reading it ended; all else is the body's own."""

    def __init__(self, body: Any, tally: Tally) -> None:
        self._body = body
        self._tally = tally
        self._last = b""
        self._exhausted = False
        self.show: Callable[[bytes], None] | None = None

    @property  # type: ignore[misc]  # `object` lets it be written, nobody does
    def __class__(self) -> type:  # httpx asks for its own stream classes before it reads or closes
        return type(vars(self).get("_body"))

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_body"), name)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._body:
                self._last = chunk
                if self.show is not None:
                    self.show(chunk)
                yield chunk
        except Exception as error:
            self._tally.end("failed", error)
            raise
        self._read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._body.__aiter__()
        try:
            async for chunk in chunks:
                self._last = chunk
                if self.show is not None:
                    self.show(chunk)
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
        tally = vars(self).get("_tally")  # absent where `__init__` has failed
        if tally is not None:
            _fold_error(tally, vars(self).get("_last", b""))
            tally.end("dropped")

    @_faults.guarded("end a body")
    def _read(self) -> None:
        self._exhausted = True
        if not self._awaits_last_event():
            self._tally.end("read")

    @_faults.guarded("close a body")
    def _closed(self) -> None:
        error = _raising(self._tally.call.sdk)
        if error is not None:
            self._tally.end("failed", error)
        elif not self._awaits_last_event():
            _fold_error(self._tally, self._last)
            self._tally.end("closed")

    def _awaits_last_event(self) -> bool:
        """A stream that ended inside an event: the SDK hands that event out after the body's end, if at all."""
        tally = self._tally
        whole = self._last.endswith(ENDS) or (tally.complete and "usage" in tally.state)
        if not self._exhausted or tally.sealed or not tally.call.stream or whole:
            return False
        tally.ends_with_next = True
        return True


@_faults.guarded("look for an error event")
def _fold_error(tally: Tally, last: bytes) -> None:
    """Older SDKs raise an error event before anyone is told of it, and leave the body open."""
    if tally.complete or tally.sealed or b"error" not in last:
        return
    for event in objects(last.splitlines(), b"data:"):
        if event.get("type") == "error" or event.get("error"):
            tally.fold(tally.state, event)


def _raising(sdk: str) -> BaseException | None:
    """The error that the SDK is just raising: an error event inside a stream ends it like this.

    One that has left the SDK already is the application's business, which may close another stream as it handles it.
    """
    error = sys.exc_info()[1]
    if error is None or error.__traceback__ is None:
        return None
    reached = error.__traceback__.tb_frame.f_globals.get("__name__", "")
    return error if isinstance(error, Exception) and reached.partition(".")[0] == sdk else None


def _tee(response: Any, tally: Tally) -> None:
    """Puts a tee where every way of reading the body passes it; behind the content decoder, where there is one."""
    reader = _reader_for(response.headers.get("content-type", ""), tally)
    if reader is None:
        return
    tally.sealed = True
    if response.headers.get("content-encoding", "identity") == "identity":
        response.stream.show = _faults.guarded("read a raw body")(reader)
    else:
        response._decoder = TeeDecoder(response._get_content_decoder(), reader)


def _reader_for(content_type: str, tally: Tally) -> Callable[[bytes], None] | None:
    api = tally.call.api
    if content_type.startswith(_aws_events.CONTENT_TYPE):
        return _aws_events.FrameReader(tally).feed
    text = tally.call.stream and "json" not in content_type and api.decode is None
    if content_type.startswith("text/event-stream") or api.lines or text:
        reader = LineReader(tally, b"" if api.lines else b"data:")
        tally.unread = reader.rest
        return reader.feed
    if "json" not in content_type and api.decode is None:
        return None
    whole = Gatherer()
    tally.unread = lambda: bodies_of(bytes(whole.body), content_type, api)
    return whole.feed


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


class LineReader:
    """Finds the JSON objects in bytes that hold at most one a line, behind a prefix such as `data:`."""

    def __init__(self, tally: Tally, prefix: bytes) -> None:
        self._tally = tally
        self._prefix = prefix
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Takes more bytes, cut anywhere."""
        if "_other" in self._tally.state:
            return
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return
        lines = b"".join((*self._parts, data)).splitlines()
        self._parts, self._size = [], 0
        if not data.endswith((b"\n", b"\r")):
            self._hold(lines.pop())
        for found in objects(lines, self._prefix):
            self._tally.observe(found)
            if "_other" in self._tally.state:
                return

    def rest(self) -> Iterable[Any]:
        """What an end without a newline has left."""
        return objects((b"".join(self._parts),), self._prefix)

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > LARGEST_BODY:
            self._parts = []
        elif data:
            self._parts.append(data)


class Gatherer:
    """Gathers a body, to be decoded when it has ended; one over the limit is not kept."""

    def __init__(self) -> None:
        self.body = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        """Takes more bytes, cut anywhere."""
        self._over = self._over or len(self.body) + len(data) > LARGEST_BODY
        if self._over:
            self.body.clear()
        else:
            self.body += data


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
