"""aiobotocore and aioboto3: botocore's events are theirs too; only the bodies are read by coroutines."""

from __future__ import annotations

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
    """Sees what the application reads of a body of aiohttp's; with httpx below, the headers have to do."""
    response = getattr(body, "_raw_stream", None) or body.__wrapped__  # up to 2.x the body is a proxy of the response
    if not hasattr(response, "aiter_raw"):
        tally.pending = True
        response.content = Content(response.content, tally)


class Content(WatchedBytes):
    """Stands for the stream reader of a response: what is read of it is gathered, and decoded at its end."""

    async def read(self, amount: int = -1) -> bytes:  # type: ignore[override]  # a coroutine, as the reader's is
        """Reads as the reader does."""
        try:
            piece: bytes = await self._raw.read(amount)
        except BaseException as error:
            self._tally.end("failed", error)
            raise
        self._pieces += piece
        if amount < 0 or (not piece and amount > 0):
            self._finish("read")
        return piece

    def set_exception(self, *error: Any) -> None:
        """The response is closed or released: nothing more will be read."""
        self._finish("closed")
        self._raw.set_exception(*error)
