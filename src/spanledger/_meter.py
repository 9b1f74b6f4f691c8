"""Turns finished calls into charges: the one place that knows calls, prices and sinks together."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from spanledger import _call, _faults, _ids, _seen, _tags, prices
from spanledger._call import Call, Tally
from spanledger._types import OWNERS, Charge, Priced, Quantity, Row, Sink, Spans, Usage
from spanledger._units import money_text, quantity_json
from spanledger.providers import hooks
from spanledger.providers._reading import Origin

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
NOT_BILLED: Final = "0"
LONGEST: Final = 256
"""Names that a provider or an application chose are cut at this length."""


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
            call.span = self.spans.begin({**row, "_sdk": call.sdk, "_native_span": call.native_span})
        _locate(call, row)

    def settle(self, tally: Tally) -> None:
        """Books one response: mostly one charge, none for a lookup that finds nothing open, one a result of a batch."""
        _read_unread(tally)
        for reading in tally.call.api.readings(tally):
            self._settle(tally, reading)

    def _settle(self, tally: Tally, reading: Any) -> None:
        call, origin = tally.call, reading.origin
        row = _continued(origin) if origin else _answered(tally)
        _put(row, response_id=reading.response_id, response_model=reading.response_model)
        if reading.finish_reasons:
            row["finish_reasons"] = [reason[:LONGEST] for reason in reading.finish_reasons]
        _put(row, **_outcome(tally))
        priced = _price(tally, reading, row)
        _write_money(row, priced)
        _write_context(row, reading.context)
        _write_provider_cost(row, reading.provider_cost)
        self._book(call, Charge(row), priced, origin)
        if reading.awaits:
            begun = origin or Origin(
                {**call.row, "charge_id": row["charge_id"]}, call.scope, call.started_ns, corrects=True
            )
            _seen.unfinished.put(reading.awaits, begun._replace(counted=priced.list_cost))

    def fail(self, call: Call, error: BaseException) -> None:
        """Books a call that ended without a response: not billed where the provider refused it, else unknown."""
        if call.api.lookup:
            return
        row = dict(call.row)
        _relocate(call, row)
        row["duration_ms"] = round(call.elapsed_ms, 3)
        _put(row, **_failure(error))
        priced = _price_of_failure(error)
        _write_money(row, priced)
        self._book(call, Charge(row), priced)

    def finish(self, call: Call) -> None:
        """Ends the span of a call that is over."""
        if call.span is not None:
            call.span.end(call.charges, call.error or next((t.error for t in call.tallies if t.error), None))

    def book_row(self, row: Row, femtos: int | None = None) -> Charge:
        """Books a row that no SDK call made, such as a metered quantity, under the tags in force here."""
        here = _tags.scope()
        full = {"charge_id": _ids.uuid7(), "started_at": instant(), **self.identity}
        _write_tags(full, here.tags)
        _write_run(full, here.run)
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
        if run is not None and origin is not None and origin.corrects:
            run.amend(origin.counted, priced.list_cost)
        elif run is not None:
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


def instant(at_ns: int | None = None) -> str:
    """A time as it stands in a row: ISO 8601, UTC, microseconds. `at_ns` is nanoseconds since 1970, or now."""
    moment = datetime.now(timezone.utc) if at_ns is None else EPOCH + timedelta(microseconds=at_ns // 1000)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


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
    _put(row, request_model=call.request.model, server_address=call.server_address)
    _write_tags(row, call.scope.tags)
    _write_run(row, call.scope.run)
    return row


def _answered(tally: Tally) -> Row:
    """The row of a response to the call itself; a billed retry's has an id of its own."""
    call = tally.call
    row = dict(call.row)
    _relocate(call, row)
    if call.charges:
        row["charge_id"] = _ids.uuid7()
    row["duration_ms"] = round(call.elapsed_ms, 3)
    if call.stream and tally.first_ms is not None:
        row["time_to_first_chunk_ms"] = round(tally.first_ms, 3)
    return row


def _continued(origin: Origin) -> Row:
    """The row of a response that completes an earlier call, or that an earlier call ordered."""
    if not origin.corrects:
        return dict(origin.row)
    row = dict(origin.row)
    row["duration_ms"] = round((time.time_ns() - origin.started_ns) / 1e6, 3)
    row["corrects"], row["charge_id"] = row["charge_id"], _ids.uuid7()
    return row


def _price(tally: Tally, reading: Any, row: Row) -> Priced:
    usage, source = reading.usage, reading.usage_source or ("reported" if tally.complete else "partial")
    if not (tally.call.api.billed and reading.billed):
        return Priced("not_billed", 0, reason=reading.note)
    if usage is None:
        return Priced("unknown", reason=reading.note or "the response reported no usage")
    row["usage_source"] = source
    _write_usage(row, usage)
    if not usage.usable:
        return Priced("unknown", reason=f"usage: {usage.flaw}")
    priced = prices.rate(
        usage,
        provider_name=row["provider_name"],
        response_model=reading.response_model,
        request_model=row.get("request_model"),
        context=_price_context(row, reading.context),
        at_ns=(reading.origin or tally.call).started_ns,
    )
    return _qualify(priced, usage, source, reading.note)


def _put(row: Row, **values: str | None) -> None:
    row.update({name: value[:LONGEST] for name, value in values.items() if value})


def _write_tags(row: Row, tags: Mapping[str, str]) -> None:
    merged = {**_tags.base, **tags}
    rest = {name: value for name, value in merged.items() if name not in OWNERS}
    row.update({name: merged[name] for name in OWNERS if name in merged})
    if rest:
        row["tags"] = rest


def _write_run(row: Row, run: Any) -> None:
    if run is not None:
        row.update(
            workflow=run.workflow, workflow_id=run.workflow_id, trace_id=run.trace_id, parent_span_id=run.span_id
        )


def _locate(call: Call, row: Row) -> None:
    """The span's ids where there is one; inside a workflow without OpenTelemetry, ids of our own."""
    span = call.span
    if span is not None and span.trace_id:
        _put(row, trace_id=span.trace_id, span_id=span.span_id, parent_span_id=span.parent_span_id)
    elif call.scope.run is not None:
        row["span_id"] = _ids.span_id()


def _relocate(call: Call, row: Row) -> None:
    """A span that the SDK or another library opened is known only once the call runs."""
    span = call.span
    if span is not None and span.span_id:
        row.update(trace_id=span.trace_id, span_id=span.span_id, parent_span_id=span.parent_span_id)


def _read_unread(tally: Tally) -> None:
    """Decodes a body that nobody has, such as that of a raw response which the application never parsed."""
    response, tally.unread = tally.unread, None
    if response is None or tally.state:
        return
    for body in response():
        tally.fold(tally.state, body)


def _outcome(tally: Tally) -> dict[str, str | None]:
    if tally.error is not None:
        return _failure(tally.error)
    if tally.complete:
        return {"status": "ok", "error_type": tally.state.get("_error")}
    return {"status": "aborted", "error_type": tally.state.get("_error")}


ABORTS: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit")


def _failure(error: BaseException) -> dict[str, str | None]:
    kind = type(error).__name__
    return {"status": "aborted" if kind in ABORTS else "error", "error_type": kind}


def _price_of_failure(error: BaseException) -> Priced:
    """A status of 4xx or 5xx is not billed, nor a call that never left; what timed out or was cut may be."""
    if isinstance(_status_of(error), int):
        return Priced("not_billed", 0)
    if _sent(error):
        return Priced("unknown", reason=f"{type(error).__name__}: the provider may have billed it")
    return Priced("not_billed", 0)


def _status_of(error: BaseException) -> Any:
    for name in ("status_code", "code"):  # the latter is google-genai's; elsewhere it is text
        status = getattr(error, name, None)
        if isinstance(status, int):
            return status
    response = getattr(error, "response", None)
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, Mapping) else None


UNSENT: Final = {"ConnectError", "ConnectTimeout", "EndpointConnectionError", "ConnectTimeoutError", "ProxyError"}
LOST_ON_THE_WAY: Final = ("Connection", "Timeout", "Protocol", "ReadError", "Cancelled", "KeyboardInterrupt")


def _sent(error: BaseException) -> bool:
    """Whether the request may have reached the provider before it failed."""
    names = {type(error).__name__, type(error.__cause__).__name__}
    return not names & UNSENT and any(part in name for name in names for part in LOST_ON_THE_WAY)


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
        return priced._replace(status="partial", reason="the stream was broken off: a lower bound")
    if usage.flaw:
        return priced._replace(status="estimated", reason=f"usage: {usage.flaw}")
    return priced


def _write_usage(row: Row, usage: Usage) -> None:
    if usage.units:
        row["usage"] = {unit: quantity_json(quantity) for unit, quantity in usage.units.items()}
    totals: dict[str, Quantity | None] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    row.update({name: total for name, total in totals.items() if total is not None})


def _write_money(row: Row, priced: Priced) -> None:
    row["cost_status"] = priced.status
    _put(row, cost_reason=priced.reason, price_ref=priced.price_ref, billed_model=priced.billed_model)
    if priced.list_cost is None:
        return
    row["currency"] = priced.currency
    row["list_cost"] = listed = money_text(priced.list_cost)
    contracted = priced.contracted_cost
    row["contracted_cost"] = listed if contracted is None else money_text(contracted)
    effective = priced.effective_cost
    row["effective_cost"] = row["contracted_cost"] if effective is None else money_text(effective)
    if priced.costs:
        row["costs"] = {unit: money_text(amount) for unit, amount in priced.costs.items()}


def _write_context(row: Row, context: Mapping[str, str]) -> None:
    if context:
        row["price_context"] = {name: value[:LONGEST] for name, value in context.items()}
        _put(row, service_tier=context.get("service_tier"), region=context.get("region"))


def _write_provider_cost(row: Row, stated: str | None) -> None:
    if stated is None:
        return
    try:
        amount = Decimal(stated)
    except InvalidOperation:
        return
    if amount.is_finite() and 0 <= amount < Decimal(10) ** 12:
        row["provider_cost"] = format(amount.quantize(Decimal("1e-15")).normalize(), "f")
        row["cost_source"] = "provider"
