"""Books charges from spans that other libraries emit, each call once: in this process, and from archives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanledger import _faults, _meter, _seen, prices
from spanledger._model_spans import is_model_call
from spanledger._rows import LONGEST, put, write_context, write_money, write_usage
from spanledger._types import Charge, Priced, Row
from spanledger.providers.spans import SpanFacts, reading_of, row_of

CHARGE: Final = "spanledger.charge_id"
"""The attribute of a span whose call is booked already."""


def priced_row(span: SpanFacts) -> tuple[Row, int | None] | None:
    """The row of a span that stands for a model call with usage, and its amount; `None` for any other span."""
    if not is_model_call(span.attributes):
        return None
    reading = reading_of(span)
    if reading.usage is None:
        return None
    row = row_of(span)
    put(row, "response_id", reading.response_id)
    put(row, "response_model", reading.response_model)
    if reading.finish_reasons:
        row["finish_reasons"] = [reason[:LONGEST] for reason in reading.finish_reasons]
    row["usage_source"] = "reported"
    write_usage(row, reading.usage)
    priced = _price(span, row, reading)
    write_money(row, priced)
    write_context(row, reading.context)
    return row, priced.list_cost


def _price(span: SpanFacts, row: Row, reading: Any) -> Priced:
    if not reading.usage.usable:
        return Priced("unknown", reason=f"usage: {reading.usage.flaw}")
    return prices.rate(
        reading.usage,
        provider_name=row["provider_name"],
        response_model=reading.response_model,
        request_model=row.get("request_model"),
        context=reading.context,
        at_ns=span.start_ns,
    )


class Bridge:
    """Books the model-call spans of other libraries as they end. It is also a sink, to know what hooks have booked.

    A call is booked once: by response id; not where a span below it was booked; and not where a hook booked a call of
    the same size, in the same trace, within its time.
    """

    def __init__(self, scopes: Iterable[str] = ("*",)) -> None:
        """`scopes` are beginnings of instrumentation scope names; `*` is any."""
        self._scopes = tuple("" if scope == "*" else scope for scope in scopes)
        self._covered: _seen.Recent[bool] = _seen.Recent(10_000)
        self._sizes: _seen.Recent[str] = _seen.Recent(10_000)

    def book(self, charge: Charge) -> None:
        """Remembers what is booked, to know it again in a span."""
        row = charge.row
        for place in (row.get("span_id"), row.get("parent_span_id")):
            if place:
                self._covered.put(place, True)
        self._sizes.put(_size(row), row["started_at"])

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    @_faults.guarded("book a span")
    def on_span(self, span: Any) -> None:
        """Takes one finished span of the OpenTelemetry SDK."""
        attributes = span.attributes or {}
        if span.instrumentation_scope.name.startswith(self._scopes) and is_model_call(attributes):
            self._take(facts_of(span, attributes))

    def _take(self, span: SpanFacts) -> None:
        found = priced_row(span)
        if found is None:
            return
        row, femtos = found
        known = CHARGE in span.attributes or self._known(row, span)
        if known:
            self._cover(row)
            return
        _seen.note(row.get("response_id"))
        _meter.book_row(row, femtos)

    def _known(self, row: Row, span: SpanFacts) -> bool:
        response_id = row.get("response_id")
        if span.span_id in self._covered or (response_id and _seen.seen(response_id)):
            return True
        began = self._sizes.get(_size(row))
        return began is not None and began >= row["started_at"]

    def _cover(self, row: Row) -> None:
        parent = row.get("parent_span_id")
        if parent:
            self._covered.put(parent, True)


def _size(row: Row) -> str:
    return f"{row.get('trace_id')}/{row.get('input_tokens')}/{row.get('output_tokens')}"


def facts_of(span: Any, attributes: Mapping[str, Any]) -> SpanFacts:
    """A finished span of the SDK, as plain facts."""
    return SpanFacts(
        attributes=attributes,
        resource=span.resource.attributes,
        scope=span.instrumentation_scope.name,
        trace_id=f"{span.context.trace_id:032x}",
        span_id=f"{span.context.span_id:016x}",
        parent_span_id=f"{span.parent.span_id:016x}" if span.parent else None,
        start_ns=span.start_time,
        end_ns=span.end_time,
        failed=not span.status.is_ok,
    )
