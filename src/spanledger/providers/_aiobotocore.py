"""aiobotocore and aioboto3: botocore's events are theirs too; only the bodies are read by coroutines.

A body is aiohttp's response (httpx's in newer versions, if so configured), held by what the application gets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from spanledger._call import Tally
from spanledger.providers._botocore import WatchedBytes, WatchedRaw, _show


def watch_events(stream: Any, tally: Tally) -> None:
    """Sees the raw events of an event stream, and its close."""
    tally.pending = True
    stream._event_generator = AsyncEvents(stream._event_generator, tally)
    stream._raw_stream = WatchedRaw(stream._raw_stream, tally)


class AsyncEvents:
    """Iterates the raw events of a stream and shows each to a tally."""

    def __init__(self, events: Any, tally: Tally) -> None:
        self._events = events
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_events"), name)

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Any:
        try:
            event = await self._events.__anext__()
        except StopAsyncIteration:
            self._tally.end("read")
            raise
        except BaseException as error:
            self._tally.end("failed", error)
            raise
        _show(event, self._tally)
        return event

    def __del__(self) -> None:
        self._tally.end("dropped")


def watch_body(body: Any, tally: Tally) -> None:
    """Sees what the application reads of a body. Up to 2.x that was a proxy of the response, later it holds one."""
    tally.pending = True
    held = "_raw_stream" if "_raw_stream" in vars(body) else "__wrapped__"
    setattr(body, held, WatchedResponse(getattr(body, held), tally))


class WatchedResponse(WatchedBytes):
    """A response whose bytes are gathered as the application reads them, and decoded at its end."""

    @property  # type: ignore[misc]  # `object` lets it be written, nobody does
    def __class__(self) -> type:
        kind: type = type(self._raw)
        return kind

    @property
    def content(self) -> Content:
        """The bytes of aiohttp's response."""
        return Content(self._raw.content, self)

    async def aread(self) -> bytes:
        """Reads all of httpx's response."""
        return self.took(await self.seen(self._raw.aread()), whole=True)

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """Reads httpx's response in pieces."""
        pieces = self._raw.aiter_raw().__aiter__()
        while True:
            try:
                piece = await self.seen(pieces.__anext__())
            except StopAsyncIteration:
                break
            yield self.took(piece)
        self._finish("read")

    async def aclose(self) -> None:
        """Closes httpx's response, and ends the tally."""
        self._finish("closed")
        await self._raw.aclose()

    async def seen(self, reading: Any) -> Any:
        """What reading gives; where it fails, so does the response."""
        try:
            return await reading
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self._tally.end("failed", error)
            raise

    def took(self, piece: bytes, *, whole: bool = False) -> bytes:
        """Gathers a piece; `whole` says that it is the last."""
        self._pieces += piece
        if whole:
            self._finish("read")
        return piece


class Content:
    """Stands for the stream reader of aiohttp's response; all but reading is its own."""

    def __init__(self, reader: Any, response: WatchedResponse) -> None:
        self._reader = reader
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_reader"), name)

    async def read(self, amount: int = -1) -> bytes:
        """Reads as the reader does."""
        piece: bytes = await self._response.seen(self._reader.read(amount))
        return self._response.took(piece, whole=amount < 0 or (not piece and amount > 0))
