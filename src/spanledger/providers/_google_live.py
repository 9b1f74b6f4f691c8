"""Live sessions of google-genai: each turn of the model is a response of its own, with the usage of that turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from spanledger import _call, _faults
from spanledger._call import Tally
from spanledger.providers._google import open_call
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Request
from spanledger.providers._stainless import _verify
from spanledger.providers.google_genai import LIVE


def hooks() -> tuple[Hook, ...]:
    """The hook of Live sessions, for `instrument`."""
    return (Hook("google.genai.live", _install, name="google.genai.live"),)


def _install(module: Any, patch: Patch) -> None:
    _verify(module.AsyncLive.connect, "model")
    patch.replace(module.AsyncLive, "connect", _connect)
    patch.replace(module.AsyncSession, "_receive", _receive)


class Turns:
    """The turns of one session: a call begins with a turn's first message, and ends with its usage.

    A turn is over when it is complete or waits for a tool; its usage may come with that message or after it.
    """

    def __init__(self, client: Any, model: Any) -> None:
        self._client = client
        self._model = model.removeprefix("models/") if isinstance(model, str) else None
        self._tally: Tally | None = None

    def saw(self, message: Any) -> None:
        """Takes one server message."""
        event = _event_of(message)
        if not event:
            return
        only_usage = set(event) == {"usageMetadata"}
        if self._is_over() and not only_usage:
            self.end("read")
        late = self._tally is None and only_usage
        self._tally = self._tally or self._begin()
        if self._tally is not None:
            self._tally.observe(event)
        if "usageMetadata" in event and (late or self._is_over()):
            self.end("read")

    def _is_over(self) -> bool:
        return self._tally is not None and bool(self._tally.state.get("_done"))

    def _begin(self) -> Tally | None:
        metered = _call.meter is not None
        call = open_call(self._client, LIVE, Request(self._model), stream=True) if metered else None
        if call is None:
            return None
        with call:
            tally = call.tally()
            tally.pending = True
        return tally

    def end(self, how: str, error: BaseException | None = None) -> None:
        """Ends the turn that is open, if one is."""
        tally, self._tally = self._tally, None
        if tally is not None:
            tally.end(how, error)


sessions: Final[WeakKeyDictionary[Any, Turns]] = WeakKeyDictionary()


def _event_of(message: Any) -> dict[str, Any]:
    """What the bill needs of a message, in the form of the wire: the message itself may hold much audio."""
    event: dict[str, Any] = {}
    usage, content = message.usage_metadata, message.server_content
    if usage is not None:
        event["usageMetadata"] = usage.model_dump(mode="json", by_alias=True, exclude_none=True)
    if content is not None:
        event["serverContent"] = {
            "turnComplete": content.turn_complete,
            "interrupted": getattr(content, "interrupted", None),
        }
    if message.tool_call is not None:
        event["toolCall"] = {}
    return event


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    @asynccontextmanager
    async def connect(live: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with original(live, *args, **kwargs) as session:
            _open(session, live, kwargs.get("model"))
            try:
                yield session
            finally:
                _close(session)

    return connect


def _receive(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def receive(session: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            message = await original(session, *args, **kwargs)
        except Exception as error:
            _close(session, "failed", error)
            raise
        _saw(session, message)
        return message

    return receive


@_faults.guarded("open a session")
def _open(session: Any, live: Any, model: Any) -> None:
    sessions[session] = Turns(live._api_client, model)


@_faults.guarded("observe a message")
def _saw(session: Any, message: Any) -> None:
    if (turns := sessions.get(session)) is not None:
        turns.saw(message)


@_faults.guarded("end a turn")
def _close(session: Any, how: str = "closed", error: BaseException | None = None) -> None:
    if (turns := sessions.get(session)) is not None:
        turns.end(how, error)
