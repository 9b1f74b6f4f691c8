"""One call in flight: it begins, its responses are observed, it ends. Nothing here raises into the application.

A provider's hook makes a `Call`, enters it around the SDK's own work, and gives each HTTP response a `Tally`, which
gathers what the response says. The meter turns every tally into one charge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

from spanledger import _faults
from spanledger._tags import Scope, restore, scope
from spanledger._types import Charge, Row, SpanHandle


class Meter(Protocol):
    """Turns calls into charges; `spanledger._meter` is the one."""

    def begin(self, call: Call) -> None:
        """Fills in the row so far, and opens the span."""

    def settle(self, tally: Tally) -> None:
        """Books one response."""

    def fail(self, call: Call, error: BaseException) -> None:
        """Books a call that ended without any response."""

    def finish(self, call: Call) -> None:
        """Ends the span: no response of the call is open any more."""


class Metered(Protocol):
    """What a call needs of an endpoint; `providers._reading.Api` is it."""

    @property
    def name(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def fold(self) -> Any: ...
    @property
    def readings(self) -> Any: ...
    @property
    def lookup(self) -> bool: ...
    @property
    def billed(self) -> bool: ...
    @property
    def decode(self) -> Any: ...
    @property
    def lines(self) -> bool: ...


meter: Meter | None = None
"""Set by `spanledger.configure`; without one no call is looked at."""

shield: Callable[[bool], Any] | None = None
"""Keeps baggage from the provider; `spanledger._baggage` sets it."""

current: Final[ContextVar[Call | None]] = ContextVar("spanledger.call", default=None)

unsettled: Final[set[Tally]] = set()
"""The responses whose bodies have not ended."""


class Call:
    """One call of an SDK method, from its entry to the end of its last response body."""

    __slots__ = (
        "_entered",
        "_open",
        "_over",
        "_returned",
        "_shield",
        "_span_token",
        "api",
        "charges",
        "error",
        "hides_usage",
        "native_span",
        "provider_name",
        "refused",
        "request",
        "row",
        "scope",
        "sdk",
        "server_address",
        "server_port",
        "span",
        "started",
        "started_ns",
        "stream",
        "tallies",
    )

    def __init__(  # noqa: PLR0913 -- what is known of a call at its entry, each by name
        self,
        api: Metered,
        *,
        sdk: str,
        provider_name: str,
        request: Any,
        server_address: str | None,
        stream: bool,
        server_port: int | None = None,
        native_span: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.api = api
        self.sdk = sdk
        self.provider_name = provider_name
        self.request = request
        self.server_address = server_address
        self.server_port = server_port
        self.stream = stream
        self.hides_usage = False  # the stream was asked for usage that the application did not ask for
        self.native_span = native_span
        here = scope()
        self.scope = Scope({**tags, **here.tags}, here.run) if tags else here
        self.started_ns = time.time_ns()
        self.started = time.perf_counter_ns()
        self.row: Row = {}
        self.span: SpanHandle | None = None
        self.tallies: list[Tally] = []
        self.charges: list[Charge] = []
        self.error: BaseException | None = None
        self.refused: BaseException | None = None  # the response is an error that the SDK raises only later
        self._entered: Any = None
        self._shield: Any = None
        self._span_token: Any = None
        self._open = 0
        self._returned = False
        self._over = [True]

    def __enter__(self) -> Call:
        try:
            if meter is not None:
                meter.begin(self)
            if shield is not None:
                self._shield = shield(self.native_span)
            self._entered = current.set(self)
            if self.span is not None:
                self._span_token = self.span.enter()
        except Exception as fault:  # noqa: BLE001 -- the application's call is never the one to pay
            _faults.record("enter a call", fault)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            try:
                _leave(self)
            finally:
                _conclude(self, error)
        except Exception as fault:  # noqa: BLE001 -- as above
            _faults.record("leave a call", fault)

    def tally(self) -> Tally:
        """The record of one more HTTP response of this call."""
        tally = Tally(self)
        self.tallies.append(tally)
        unsettled.add(tally)
        self._open += 1
        return tally

    def forget(self, tally: Tally) -> None:
        """The response is no answer of the provider's: nothing is booked of it."""
        self.tallies.remove(tally)
        unsettled.discard(tally)
        self._open -= 1

    def closed(self) -> None:
        """One response less is open; after the last one the call is over."""
        self._open -= 1
        self.finish_if_over()

    def finish_if_over(self) -> None:
        """Ends the call once: when the SDK has returned and every body has ended."""
        if self._returned and self._open <= 0 and self._over and meter is not None and _take(self._over):
            meter.finish(self)
            self._let_go()

    def _let_go(self) -> None:
        """Breaks every cycle: what a cycle holds is cold when its memory is used again, and is held until then.

        A tally refers to the call, and so does an error, by the frames of its traceback, which hold all their locals.
        """
        for tally in self.tallies:
            tally.error = None
        self.tallies.clear()
        self.error = self.refused = None

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds since the call began."""
        return time.perf_counter_ns() - self.started


def _take(once: list[bool]) -> bool:
    """True for the first caller only, whichever thread it is in: `list.pop` is atomic."""
    try:
        return once.pop()
    except IndexError:
        return False


def _leave(call: Call) -> None:
    if call._entered is not None:
        restore(call._entered)
    if call._span_token is not None and call.span is not None:
        call.span.leave(call._span_token)
    if call._shield is not None:
        restore(call._shield)


def _conclude(call: Call, error: BaseException | None) -> None:
    call.error = error = error or call.refused
    call._returned = True
    tallies = tuple(call.tallies)
    for tally in tallies:
        if error is not None or not tally.pending:
            tally.end("failed" if error is not None else "read", error)
    if error is not None and not tallies and meter is not None:
        meter.fail(call, error)
    call.finish_if_over()


class Tally:
    """What one HTTP response says, gathered as it is read; it ends once, and then it is booked."""

    __slots__ = (
        "_over",
        "call",
        "ends_with_next",
        "error",
        "first_ns",
        "fold",
        "headers",
        "how",
        "pending",
        "sealed",
        "state",
        "unread",
    )

    def __init__(self, call: Call) -> None:
        self.call = call
        self.fold = call.api.fold
        self.state: dict[str, Any] = {}
        self.headers: Mapping[str, str] = {}
        self.first_ns: int | None = None
        self.how = "read"
        self.error: BaseException | None = None
        self.pending = False  # the application reads the body after the SDK has returned
        self.sealed = False  # bytes are read instead of what the SDK makes of them
        self.unread: Any = None  # the response, where nobody may have decoded its body
        self.ends_with_next = False  # the body is over, the SDK holds its last event
        self._over = [True]

    def observe(self, event: Any) -> None:
        """Takes one decoded body, or one event of a stream."""
        if not self._over:
            return
        if self.first_ns is None:
            self.first_ns = time.perf_counter_ns() - self.call.started
        if isinstance(event, dict):
            self.fold(self.state, event)
        if self.ends_with_next:
            self.end("read")

    @_faults.guarded("settle a response")
    def end(self, how: str, error: BaseException | None = None) -> None:
        """The body is over: `read` to its end, `closed` by the application, `dropped` unread, or `failed`.

        Only the first call counts; it books the charge.
        """
        try:
            self._over.pop()
        except IndexError:
            return
        self.how = how
        self.error = error
        try:
            if meter is not None:
                meter.settle(self)
        finally:
            unsettled.discard(self)
            self.call.closed()

    @property
    def complete(self) -> bool:
        """Whether the event has come after which nothing billable follows; a whole answer is one."""
        return bool(self.state.get("_done", not self.call.stream))
