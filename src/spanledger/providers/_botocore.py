"""boto3's `bedrock-runtime`, through botocore's own events: no method is patched.

Handlers are added to `botocore.handlers.BUILTIN_HANDLERS`, so that every session made from now on has them; `register`
adds them to a client that was made before. Their span is never made current: botocore has no event for every exit.
"""

from __future__ import annotations

import functools
import json
import sys
from asyncio import CancelledError
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Final

import orjson

from spanledger import _call, _faults
from spanledger._call import Call, Tally
from spanledger._tags import restore
from spanledger.providers._address import address_of
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Request
from spanledger.providers._stainless import everything, only
from spanledger.providers.bedrock import APIS

SERVICE: Final = "bedrock-runtime"
PARAMS: Final = "spanledger.params"
CALL: Final = "spanledger.call"
STREAMED: Final = {"ConverseStream": "stream", "InvokeModelWithResponseStream": "body"}
HTTP_REDIRECTS: Final = 300
BODIES: Final = {"InvokeModel"}


def hooks() -> tuple[Hook, ...]:
    """The hook of boto3, for `instrument`."""
    return (Hook("botocore.handlers", _install, _remove),)


def _install(module: Any, _patch: Patch) -> None:
    for event, handler in HANDLERS:
        if (event, handler) not in module.BUILTIN_HANDLERS:
            module.BUILTIN_HANDLERS.append((event, handler))
    _modules.add(module)
    session = _default_session()
    if session is not None and not _has_handlers(session):
        for event, handler in HANDLERS:
            session.events.register(event, handler, unique_id=f"spanledger.{event}")


def _has_handlers(session: Any) -> bool:
    """Whether a session was made while the handlers were built in: twice on one session, they would act twice."""
    known = session.events._emitter._handlers.prefix_search(f"before-call.{SERVICE}.Converse")
    return _on_before in known


def _default_session() -> Any:
    """The session behind `boto3.client`, where there is one already: it took the built-in handlers when it was made."""
    return getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)


def _remove() -> None:
    session = _default_session()
    if session is not None:
        for event, handler in HANDLERS:
            session.events.unregister(event, handler, unique_id=f"spanledger.{event}")
    for module in _modules:
        module.BUILTIN_HANDLERS[:] = [spec for spec in module.BUILTIN_HANDLERS if tuple(spec[:2]) not in HANDLERS]


_modules: Final[set[Any]] = set()


def register(client: Any) -> None:
    """Meters a boto3 `bedrock-runtime` client that was made before `instrument`, or for `wrap`."""
    for event, handler in HANDLERS:
        client.meta.events.register(event, handler, unique_id=f"spanledger.{event}")


@_faults.guarded("note the model of a call")
def _on_params(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    """The model is an argument here, and a part of the URL later; the arguments are those of the application."""
    context[PARAMS] = params


@_faults.guarded("open a call")
def _on_before(model: Any, context: dict[str, Any], **event: Any) -> None:
    """The arguments are valid and the request goes out next: at most one of the two events below follows."""
    api = APIS.get(model.name)
    if _call.meter is None or api is None or CALL in context:
        return
    tags = _tags_of(event.get("request_signer"))
    if tags is None:
        return
    region = context.get("client_region")
    params = context.pop(PARAMS, {})
    address = address_of(event.get("params", {}).get("url", ""))
    call = Call(
        api,
        sdk="boto3",
        provider_name="aws.bedrock",
        request=Request(params.get("modelId"), params, context=_region(region)),
        server_address=address.host,
        server_port=address.port,
        stream=model.name in STREAMED,
        tags=tags,
    )
    _call.meter.begin(call)
    context[CALL] = Begun(call)


class Begun:
    """A call that has begun. Cancelled or interrupted while it waits, no event tells: its context is just dropped."""

    call: Call | None = None

    def __init__(self, call: Call) -> None:
        self.call = call

    def __del__(self) -> None:
        if self.call is not None:
            self.call.__exit__(CancelledError, CancelledError(), None)


def _taken(context: dict[str, Any]) -> Call | None:
    begun: Begun | None = context.pop(CALL, None)
    if begun is None:
        return None
    call, begun.call = begun.call, None
    return call


def _tags_of(signer: Any) -> Mapping[str, str] | None:
    """A client is known to its handlers by its request signer; `wrap` marks that."""
    tags = only.get(signer) if signer is not None else None
    return {} if tags is None and everything.metered else tags


def _region(region: Any) -> Mapping[str, str]:
    return {"region": region} if isinstance(region, str) else {}


_shielded: Final[ContextVar[Any]] = ContextVar("spanledger.shielded", default=None)


@_faults.guarded("shield a request")
def _on_send(**_: Any) -> None:
    """Every request that is sent is followed by the event below, whether it is answered or fails."""
    if _call.meter is not None and _call.shield is not None:
        _shielded.set(_call.shield(False))


@_faults.guarded("take a shield down")
def _on_received(**_: Any) -> None:
    token = _shielded.get()
    if token is not None:
        _shielded.set(None)
        restore(token)


@_faults.guarded("take a response")
def _on_after(http_response: Any, parsed: Any, model: Any, context: dict[str, Any], **_: Any) -> None:
    call = _taken(context)
    if call is None:
        return
    tally = call.tally()
    tally.headers = http_response.headers
    tally.state["_request_id"] = parsed.get("ResponseMetadata", {}).get("RequestId")
    call.request = call.request._replace(headers={k.lower(): v for k, v in http_response.headers.items()})
    if http_response.status_code >= HTTP_REDIRECTS:
        _refuse(call, tally, http_response.status_code, parsed)
    elif model.name in STREAMED:
        _watcher(parsed[STREAMED[model.name]], "watch_events")(tally)
    elif model.name in BODIES:
        _watcher(parsed["body"], "watch_body")(tally)
    else:
        tally.observe(parsed)
    _conclude(call)


def _conclude(call: Call) -> None:
    call.__exit__(None, None, None)


class BedrockError(Exception):
    """Stands for the error that botocore is about to raise; it is never raised itself."""

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


def _refuse(call: Call, tally: Tally, status: int, parsed: Mapping[str, Any]) -> None:
    """A response that is an error is no billed response: the call is booked as failed, under the error's own name."""
    call.forget(tally)
    name = parsed.get("Error", {}).get("Code")
    kind = _error_named(str(name)) if name else BedrockError
    call.__exit__(kind, kind(status), None)


@functools.lru_cache(maxsize=64)
def _error_named(name: str) -> type[BedrockError]:
    """The class for an error of this name: a class is a cycle of references, and too much to make for every refusal."""
    return type(name.replace("\0", "") or "BedrockError", (BedrockError,), {})


@_faults.guarded("take a failure")
def _on_error(exception: BaseException, context: dict[str, Any], **_: Any) -> None:
    call = _taken(context)
    if call is not None:
        call.__exit__(type(exception), exception, None)


HANDLERS: Final[tuple[tuple[str, Callable[..., None]], ...]] = (
    (f"provide-client-params.{SERVICE}", _on_params),
    (f"before-call.{SERVICE}", _on_before),
    (f"before-send.{SERVICE}", _on_send),
    (f"response-received.{SERVICE}", _on_received),
    (f"after-call.{SERVICE}", _on_after),
    (f"after-call-error.{SERVICE}", _on_error),
)


def _watcher(body: Any, name: str) -> Callable[[Tally], None]:
    """What watches a body: one that coroutines read is aiobotocore's."""
    kind = "_aiobotocore" if hasattr(type(body), "__anext__") else "_botocore"
    return functools.partial(getattr(import_module(f"spanledger.providers.{kind}"), name), body)


def watch_events(stream: Any, tally: Tally) -> None:
    """Sees the raw events of an event stream, and its close, without standing between it and the application."""
    tally.pending = True
    stream._event_generator = WatchedEvents(stream._event_generator, tally)
    stream._raw_stream = WatchedRaw(stream._raw_stream, tally)


class WatchedEvents:
    """Iterates the raw events of a stream and shows each to a tally."""

    def __init__(self, events: Iterator[Any], tally: Tally) -> None:
        self._events = events
        self._tally = tally

    def __iter__(self) -> WatchedEvents:
        return self

    def __next__(self) -> Any:
        try:
            event = next(self._events)
        except StopIteration:
            self._tally.end("read")
            raise
        except Exception as error:
            self._tally.end("failed", error)
            raise
        _show(event, self._tally)
        return event

    def __del__(self) -> None:
        tally = vars(self).get("_tally")  # absent where `__init__` has failed
        if tally is not None:
            tally.end("dropped")


@_faults.guarded("observe an event")
def _show(event: Any, tally: Tally) -> None:
    if event.headers.get(":message-type") in ("exception", "error"):
        name = str(event.headers.get(":exception-type") or event.headers.get(":error-code"))
        tally.end("failed", _error_named(name)(200))  # the last event: botocore raises what it says
        return
    payload = orjson.loads(event.payload)
    encoded = payload.get("bytes") if isinstance(payload, dict) else None
    tally.observe(payload if encoded is None else json.loads(b64decode(encoded)))


class WatchedRaw:
    """The raw body beneath an event stream: its close is the application's."""

    def __init__(self, raw: Any, tally: Tally) -> None:
        self._raw = raw
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_raw"), name)

    def close(self) -> None:
        """Closes the body, and ends the tally."""
        self._tally.end("closed")
        self._raw.close()


def watch_body(body: Any, tally: Tally) -> None:
    """Sees what the application reads of a body."""
    tally.pending = True
    body._raw_stream = WatchedBytes(body._raw_stream, tally)


class WatchedBytes(WatchedRaw):
    """The raw body of InvokeModel: what the application reads of it is gathered, and decoded at its end."""

    def __init__(self, raw: Any, tally: Tally) -> None:
        super().__init__(raw, tally)
        self._pieces = bytearray()

    def read(self, amount: int | None = None, *args: Any, **kwargs: Any) -> bytes:
        """Reads as the body does."""
        try:
            piece: bytes = self._raw.read(amount, *args, **kwargs)
        except Exception as error:
            self._tally.end("failed", error)
            raise
        self._pieces += piece
        if amount is None or amount < 0 or (not piece and amount):
            self._finish("read")
        return piece

    def readinto(self, buffer: Any) -> int:
        """Reads as the body does."""
        count: int = self._raw.readinto(buffer)
        self._pieces += bytes(buffer[:count])
        if not count:
            self._finish("read")
        return count

    def close(self) -> None:
        """Closes the body, and ends the tally."""
        self._finish("closed")
        self._raw.close()

    @_faults.guarded("end a body")
    def _finish(self, how: str) -> None:
        _decode(self._pieces, self._tally)
        self._tally.end(how)

    def __del__(self) -> None:
        self._finish("dropped")


@_faults.guarded("decode a body")
def _decode(pieces: bytearray, tally: Tally) -> None:
    if pieces:
        tally.observe(orjson.loads(bytes(pieces)))
        pieces.clear()
