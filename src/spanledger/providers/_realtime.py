"""Websockets of the openai SDK: every connection class decodes its events in `parse_event`, which is hooked here.

A response is one charge, whichever protocol carries it: Realtime, Responses over a websocket, or what a Live session
delegates. Transcribing what was said is billed beside it, at another model's price, and a Live session by the second.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from spanledger import _call, _faults
from spanledger._call import Call, Tally
from spanledger._seen import Recent
from spanledger._units import EXACT
from spanledger.providers import _openai_audio
from spanledger.providers._address import Address, address_of
from spanledger.providers._folding import merge_usage, seconds
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._openai_realtime import REALTIME
from spanledger.providers._reading import (
    Api,
    Body,
    Reading,
    Request,
    State,
    as_count,
    dig,
    keep,
    text,
)
from spanledger.providers._stainless import _verify, everything, only
from spanledger.providers.openai import RESPONSES, provider

RESOURCES: Final = "openai.resources"
MODULES: Final = (
    "beta.realtime.realtime",
    "beta.responses.responses",
    "live.forks",
    "live.live",
    "live.sideband",
    "realtime.realtime",
    "realtime.translations.translations",
    "responses.responses",
)
"""Where connection classes are, over all versions. Each is hooked when the application comes to import it."""


def fold_live(state: State, event: Body) -> None:
    """An event of a Live session: its usage is cumulative, that of `session.closed` is final."""
    if isinstance(event.get("session"), dict):
        keep(state, event["session"], "id", "model")
    merge_usage(state, event.get("usage"))
    if event.get("type") == "session.closed":
        state["_done"] = True


def read_live(state: State, request: Request) -> Reading:
    """The reading of a Live session."""
    length = seconds(dig(state, ("usage", "seconds")))
    usage = None if length is None else _openai_audio.of_seconds(length)
    model = text(state.get("model")) or request.model
    return Reading(usage, response_model=model, response_id=text(state.get("id")), context=request.context)


UNTOLD: Final = "a translation reports no usage: its length is that of its transcript"


def fold_translation(state: State, event: Body) -> None:
    """An event of a translation session: how far its transcript has come is the only measure in any of them."""
    if isinstance(event.get("session"), dict):
        keep(state, event["session"], "id", "model")
    elapsed = as_count(event.get("elapsed_ms"))
    if elapsed is not None:
        state["elapsed_ms"] = max(elapsed, state.get("elapsed_ms", 0))
    if event.get("type") == "session.closed":
        state["_done"] = True


def read_translation(state: State, request: Request) -> Reading:
    """The reading of a translation session, which is billed by the second of sound."""
    elapsed = state.get("elapsed_ms")
    return Reading(
        None if elapsed is None else _openai_audio.of_seconds(EXACT.divide(elapsed, 1000)),
        response_model=text(state.get("model")) or request.model,
        response_id=text(state.get("id")),
        context=request.context,
        usage_source="estimated" if state.get("_done") else "partial",
        note=UNTOLD,
    )


LIVE: Final = Api("live", "chat", fold_live, read_live)
TRANSLATION: Final = Api("realtime.translation", "transcription", fold_translation, read_translation)
TRANSCRIPTION: Final = Api(
    "realtime.transcription", "transcription", _openai_audio.fold_audio, _openai_audio.read_transcript
)


class Session:
    """One connection: whose it is, which models it uses, and which responses are under way."""

    def __init__(self, client: Any = None) -> None:
        self.tags = only.get(client) if client is not None else None
        self.address = Address()
        self.provider_name = provider.name
        if client is not None:
            self.address, self.provider_name = provider._identify(client)
        self.model: str | None = None
        self.transcriber: str | None = None
        self.open: dict[str, Tally] = {}
        self.over: Recent[bool] = Recent(64)

    @property
    def metered(self) -> bool:
        """Whether its events are to be looked at."""
        return _call.meter is not None and (everything.metered or self.tags is not None)

    def begin(self, key: str, api: Api, model: str | None) -> Tally:
        """The response that begins, or goes on."""
        tally = self.open.get(key)
        if tally is None:
            call = Call(
                api,
                sdk=provider.package,
                provider_name=self.provider_name,
                request=Request(model),
                server_address=self.address.host,
                server_port=self.address.port,
                stream=True,
                tags=self.tags,
            )
            with call:
                tally = self.open[key] = call.tally()
                tally.pending = True
        return tally

    def end(self, key: str) -> None:
        """The response is over, however often its last event is shown."""
        tally = self.open.pop(key, None)
        self.over.put(key, True)
        if tally is not None:
            tally.end("read")

    def drop(self) -> None:
        """The connection is closed or gone: what is under way is charged as far as it is known."""
        for key in list(self.open):
            tally = self.open.pop(key, None)
            if tally is not None:
                tally.end("closed")


sessions: Final[weakref.WeakKeyDictionary[Any, Session]] = weakref.WeakKeyDictionary()


def session_of(connection: Any, client: Any = None) -> Session:
    """The session of a connection, a new one where it is not known yet."""
    found = sessions.get(connection)
    if found is None:
        found = sessions[connection] = Session(client)
        weakref.finalize(connection, found.drop)
    return found


def _learn(session: Session, event: Body) -> None:
    described = event.get("session")
    session.model = text(dig(described, ("model",))) or session.model
    for path in (("audio", "input", "transcription", "model"), ("input_audio_transcription", "model")):
        session.transcriber = text(dig(described, path)) or session.transcriber
    if dig(described, ("type",)) == "translation" and TRANSLATION.name not in session.over:
        tally = session.begin(TRANSLATION.name, TRANSLATION, session.model)
        tally.fold(tally.state, event)


def _respond(session: Session, event: Body) -> None:
    """A response that begins, or has ended."""
    key = text(dig(event, ("response", "id"))) or "response"
    if key in session.over:
        return
    realtime = event.get("type") == "response.done" or dig(event, ("response", "object")) == "realtime.response"
    tally = session.begin(key, *((REALTIME, session.model) if realtime else (RESPONSES, None)))
    tally.fold(tally.state, event)
    if tally.complete:
        session.end(key)


def _transcribe(session: Session, event: Body) -> None:
    key = f"{event.get('item_id')}/{event.get('content_index')}"
    if key not in session.over:
        tally = session.begin(key, TRANSCRIPTION, session.transcriber)
        tally.fold(tally.state, event)
        session.end(key)


def _live(session: Session, event: Body) -> None:
    _learn(session, event)
    api = TRANSLATION if TRANSLATION.name in session.open else LIVE
    if api.name not in session.over:
        tally = session.begin(api.name, api, session.model)
        tally.fold(tally.state, event)
        if tally.complete:
            session.end(api.name)


def _translate(session: Session, event: Body) -> None:
    tally = session.open.get(TRANSLATION.name)
    if tally is not None:  # the transcript of a Live session has events of the same name
        tally.fold(tally.state, event)


def _delegated(session: Session, event: Body) -> None:
    inner = event.get("event")
    handle = HANDLERS.get(str(inner.get("type"))) if isinstance(inner, dict) else None
    if handle is _respond:
        _respond(session, event["event"])


HANDLERS: Final[Mapping[str, Callable[[Session, Body], None]]] = {
    "session.created": _learn,
    "session.updated": _learn,
    "transcription_session.created": _learn,
    "transcription_session.updated": _learn,
    "response.created": _respond,
    "response.done": _respond,
    "response.completed": _respond,
    "response.incomplete": _respond,
    "response.failed": _respond,
    "response.cancelled": _respond,
    "conversation.item.input_audio_transcription.completed": _transcribe,
    "session.started": _live,
    "session.usage.updated": _live,
    "session.closed": _live,
    "session.input_transcript.delta": _translate,
    "session.output_transcript.delta": _translate,
    "response.event": _delegated,
}
"""The events that matter, of every protocol; all others, such as those that carry sound, are not decoded again."""


def hooks() -> tuple[Hook, ...]:
    """The hooks of the modules with connection classes."""
    return tuple(Hook(f"{RESOURCES}.{module}", _install, name=f"openai.{_where(module)}.connect") for module in MODULES)


def _where(module: str) -> str:
    """Where a client has what a module holds: `live.live` is `client.live`, `live.forks` is `client.live.forks`."""
    resource, _, name = module.rpartition(".")
    return resource if resource.rpartition(".")[2] == name else module


def _install(module: Any, patch: Patch) -> None:
    for kind in _classes(module):
        if "parse_event" in kind.__dict__:
            _verify(kind.__dict__["parse_event"], "data")
            patch.replace(kind, "parse_event", _observing)
            patch.replace(next(base for base in kind.__mro__ if "close" in base.__dict__), "close", _closing)
        for name in ("__enter__", "__aenter__", "enter"):
            if kind.__name__.endswith("ConnectionManager") and name in kind.__dict__:
                patch.replace(kind, name, _entering)


def _classes(module: Any) -> Iterator[type]:
    """The classes that a module defines. Proxies of what is not installed are not touched: they raise."""
    for value in list(vars(module).values()):
        if issubclass(type(value), type) and value.__module__ == module.__name__:
            yield value


def _observing(original: Callable[..., Any]) -> Callable[..., Any]:
    def parse_event(connection: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        event = original(connection, data, *args, **kwargs)
        _observe(connection, data, getattr(event, "type", None))
        return event

    return parse_event


@_faults.guarded("observe a websocket")
def _observe(connection: Any, data: Any, kind: Any) -> None:
    handle = HANDLERS.get(kind) if isinstance(kind, str) else None
    if handle is None:
        return
    session = session_of(connection)
    if session.metered:
        handle(session, orjson.loads(data))


def _closing(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(connection: Any, *args: Any, **kwargs: Any) -> Any:
        _drop(connection)
        return original(connection, *args, **kwargs)

    return close


@_faults.guarded("close a websocket")
def _drop(connection: Any) -> None:
    session = sessions.get(connection)
    if session is not None:
        session.drop()


def _entering(original: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):

        async def aenter(manager: Any, *args: Any, **kwargs: Any) -> Any:
            connection = await original(manager, *args, **kwargs)
            _meet(manager, connection)
            return connection

        return aenter

    def enter(manager: Any, *args: Any, **kwargs: Any) -> Any:
        connection = original(manager, *args, **kwargs)
        _meet(manager, connection)
        return connection

    return enter


@_faults.guarded("meet a websocket")
def _meet(manager: Any, connection: Any) -> None:
    """Only the manager knows the client of a connection, in a private attribute."""
    client = getattr(manager, f"_{type(manager).__name__}__client", None)
    session = session_of(connection, client)
    session.model = text(getattr(manager, f"_{type(manager).__name__}__model", None))
    own = getattr(client, "websocket_base_url", None)
    if own is not None:
        session.address = address_of(str(own))
