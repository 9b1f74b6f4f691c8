"""Turns finished calls into charges: the one place that knows calls, prices and sinks together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from spanledger import _call, _faults, _ids, _seen, _tags, prices
from spanledger._call import Call, Tally
from spanledger._endings import price_of_failure, without_usage, write_failure, write_outcome
from spanledger._rows import (
    LONGEST,
    instant,
    millis,
    write_context,
    write_money,
    write_provider_cost,
    write_run,
    write_span,
    write_tags,
    write_usage,
)
from spanledger._types import Charge, Priced, Row, Sink, Spans, Usage
from spanledger.providers import hooks
from spanledger.providers._reading import Origin, Reading

IDS: Final = frozenset({"_request_id"})
"""What is known of an answer besides its body."""


class Meter:
    """Books charges to sinks, under the tags and names of this process."""

    def __init__(self) -> None:
        self.sinks: tuple[Sink, ...] = ()
        self.spans: Spans | None = None
        self.identity: Row = {}
        self._changing = threading.Lock()

    def add_sink(self, sink: Sink) -> None:
        """Every charge from now on goes to this sink too."""
        with self._changing:
            self.sinks = (*self.sinks, sink)

    def remove_sink(self, sink: Sink) -> None:
        """The sink gets no more charges."""
        with self._changing:
            self.sinks = tuple(one for one in self.sinks if one is not sink)

    def begin(self, call: Call) -> None:
        """Fills in what is known at the start: who, what and where."""
        call.row = row = _opening(call, self.identity)
        if self.spans is not None and not call.api.lookup:
            call.span = self.spans.begin(row, native=call.native_span, port=call.server_port)
        if call.span is not None or call.scope.run is not None:
            _locate(call, row)

    def settle(self, tally: Tally) -> None:
        """Books one response: mostly one charge, none for a lookup that finds nothing open, one a result of a batch."""
        call, unread = tally.call, tally.unread
        if unread is not None:
            tally.unread = None
            if tally.sealed or not tally.state:
                _read_unread(tally, unread)
        for reading in call.api.readings(tally):
            if reading.usage is None and (tally.error is not None or "_error" in tally.state):
                reading = without_usage(tally, reading)  # noqa: PLW2901 -- what is settled is one reading
            self._settle(tally, _completed(tally, reading) if _misses(tally, reading) else reading)

    def _settle(self, tally: Tally, reading: Any) -> None:
        call, origin = tally.call, reading.origin
        row = _continued(origin) if origin else _answered(tally)
        if reading.response_id:
            row["response_id"] = reading.response_id[:LONGEST]
        if reading.response_model:
            row["response_model"] = reading.response_model[:LONGEST]
        if reading.finish_reasons:
            row["finish_reasons"] = [reason[:LONGEST] for reason in reading.finish_reasons]
        if "status" not in row:
            if tally.error is None and tally.complete and "_error" not in tally.state:
                row["status"] = "ok"
            else:
                write_outcome(row, tally)
        priced = _price(tally, reading, row)
        write_money(row, priced)
        if reading.context:
            write_context(row, reading.context)
        if reading.provider_cost is not None:
            write_provider_cost(row, reading.provider_cost)
        self._book(call, Charge(row, call.server_port), priced, origin)
        if reading.awaits:
            begun = origin or Origin(
                {**call.row, "charge_id": row["charge_id"]}, call.scope, call.started_ns, corrects=True
            )
            _seen.unfinished.put(reading.awaits, begun._replace(counted=priced.list_cost, reading=reading))

    def fail(self, call: Call, error: BaseException) -> None:
        """Books a call that ended without a response: not billed where the provider refused it, else unknown."""
        if call.api.lookup:
            return
        row = dict(call.row)
        _relocate(call, row)
        row["duration_ms"] = millis(call.elapsed_ns)
        write_failure(row, error)
        priced = price_of_failure(error)
        write_money(row, priced)
        self._book(call, Charge(row, call.server_port), priced)

    def finish(self, call: Call) -> None:
        """Ends the span of a call that is over."""
        if call.span is not None:
            call.span.end(call.charges, call.error or next((t.error for t in call.tallies if t.error), None))

    def book_row(self, row: Row, femtos: int | None = None) -> Charge:
        """Books a row that no SDK call made, such as a metered quantity, under the tags in force here."""
        here = _tags.scope()
        full = {"charge_id": _ids.uuid7(), "started_at": instant(), **self.identity}
        write_tags(full, _tags.base, here.tags)
        write_run(full, here.run)
        full.update(row)
        charge = Charge(full)
        self._deliver(charge)
        if here.run is not None:
            here.run.add(femtos)
        return charge

    def _book(self, call: Call, charge: Charge, priced: Priced, origin: Origin | None = None) -> None:
        _seen.note(charge.row.get("response_id"))
        call.charges.append(charge)
        self._deliver(charge)
        run = (origin or call).scope.run
        if run is None:
            return
        if origin is not None and origin.corrects:
            run.amend(origin.counted, priced.list_cost)
        else:
            run.add(priced.list_cost)

    def _deliver(self, charge: Charge) -> None:
        for sink in self.sinks:
            try:
                sink.book(charge)
            except Exception as error:  # noqa: BLE001, PERF203 -- one sink's fault is not another's
                _faults.record(f"book to {type(sink).__name__}", error)

    def flush(self) -> None:
        """Asks every sink to give away what it holds."""
        for sink in self.sinks:
            _faults.guarded(f"flush {type(sink).__name__}")(sink.flush)()


meter: Final = Meter()
add_sink = meter.add_sink
remove_sink = meter.remove_sink
book_row = meter.book_row


def start() -> None:
    """From now on calls are metered."""
    _call.meter = meter


def stop() -> None:
    """From now on no call is looked at; sinks are flushed and forgotten."""
    _call.meter = None
    meter.flush()
    meter.sinks = ()
    meter.spans = None


def describe() -> dict[str, Any]:
    """What the meter does at present, for `doctor`."""
    sinks = [{"sink": type(sink).__name__, "path": str(getattr(sink, "path", ""))} for sink in meter.sinks]
    return {
        "metering": _call.meter is meter,
        "sinks": sinks,
        "tags": dict(_tags.base),
        "identity": dict(meter.identity),
        "hooks": {hook.name: hook.state for hook in hooks()},
    }


def _opening(call: Call, identity: Row) -> Row:
    charge_id = _ids.uuid7(call.started_ns)
    row: Row = {
        "charge_id": charge_id,
        "call_id": charge_id,
        "started_at": instant(call.started_ns),
        "provider_name": call.provider_name,
        "operation": call.api.operation,
        "stream": call.stream,
        **identity,
    }
    if call.request.model:
        row["request_model"] = call.request.model[:LONGEST]
    if call.server_address:
        row["server_address"] = call.server_address[:LONGEST]
    tags, run = call.scope
    if tags or _tags.base:
        write_tags(row, _tags.base, tags)
    if run is not None:
        write_run(row, run)
    return row


def _answered(tally: Tally) -> Row:
    """The row of a response to the call itself; a billed retry's has an id of its own."""
    call = tally.call
    row = dict(call.row)
    if call.span is not None:
        _relocate(call, row)
    if call.charges:
        row["charge_id"] = _ids.uuid7()
    row["duration_ms"] = millis(call.elapsed_ns)
    if call.stream and tally.first_ns is not None:
        row["time_to_first_chunk_ms"] = millis(tally.first_ns)
    return row


def _continued(origin: Origin) -> Row:
    """The row of a response that completes an earlier call, or that an earlier call ordered."""
    if not origin.corrects:
        return dict(origin.row)
    row = dict(origin.row)
    row["duration_ms"] = millis(time.time_ns() - origin.started_ns)
    row["corrects"], row["charge_id"] = row["charge_id"], _ids.uuid7()
    return row


def _misses(tally: Tally, reading: Reading) -> bool:
    """Whether a stream has not reported its usage, or nothing could be read of a whole answer."""
    if tally.call.stream:
        return reading.usage is None or not tally.complete
    return reading.usage is None and not tally.state.keys() - IDS


def _completed(tally: Tally, reading: Reading) -> Reading:
    """With an estimate of what was not reported; without one, should that fail."""
    return _faults.guarded("estimate what a stream did not report", reading)(_estimated)(tally, reading)


def _estimated(tally: Tally, reading: Reading) -> Reading:
    """The estimator loads on first need, which may be at the end of the process."""
    from spanledger._unreported import completed, unreadable

    return (completed if tally.call.stream else unreadable)(tally, reading)


def _price(tally: Tally, reading: Any, row: Row) -> Priced:
    usage, call = reading.usage, tally.call
    if not (call.api.billed and reading.billed):
        return Priced("not_billed", 0, reason=reading.note)
    if usage is None:
        return Priced("unknown", reason=reading.note or "the response reported no usage")
    row["usage_source"] = source = reading.usage_source or ("reported" if tally.complete else "partial")
    write_usage(row, usage)
    if not usage.usable:
        return Priced("unknown", reason=f"usage: {usage.flaw}")
    names = (row["provider_name"], reading.response_model, row.get("request_model"))
    context = _price_context(row, reading.context)
    priced = prices.ENGINE.rate(usage, names, context, (reading.origin or call).started_ns)
    if source == "reported" and not usage.flaw:
        return priced
    return _qualify(priced, usage, source, reading.note)


def _locate(call: Call, row: Row) -> None:
    """The span's ids where there is one; inside a workflow without OpenTelemetry, ids of our own."""
    span = call.span
    if span is not None and span.trace_id:
        write_span(row, span)
    elif call.scope.run is not None:
        row["span_id"] = _ids.span_id()


def _relocate(call: Call, row: Row) -> None:
    """A span that the SDK or another library opened is known only once the call runs."""
    span = call.span
    if span is not None and span.span_id:
        write_span(row, span)


def _read_unread(tally: Tally, unread: Callable[[], Iterable[Any]]) -> None:
    """Decodes a body that nobody has, such as that of a raw response which the application never parsed."""
    for body in unread():
        tally.fold(tally.state, body)
        if "_other" in tally.state:
            return


def _price_context(row: Row, context: Mapping[str, str]) -> Mapping[str, str]:
    host = row.get("server_address")
    return {**context, "server_address": host} if host else context


def _qualify(priced: Priced, usage: Usage, source: str, note: str | None) -> Priced:
    """A price is as sure as the usage that it stands on."""
    if priced.status != "exact":
        return priced
    if source == "estimated":
        return priced._replace(status="estimated", reason=note or "usage: estimated")
    if source == "partial":
        return priced._replace(status="partial", reason=note or "the stream was broken off: a lower bound")
    if usage.flaw:
        return priced._replace(status="estimated", reason=f"usage: {usage.flaw}")
    return priced
