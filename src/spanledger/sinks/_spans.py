"""The spans of calls in flight: our own, somebody else's that we annotate, and none at all but the ids.

However many libraries watch a call, one span carries its usage. Where another one has opened a span for the call, that
span gets our tags and cost, and no second one is opened.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from opentelemetry.context import Context, attach, create_key, get_current
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, StatusCode, get_current_span, set_span_in_context

from spanledger import _model_spans
from spanledger._model_spans import USAGE
from spanledger._tags import restore
from spanledger._types import Charge, Row
from spanledger.sinks._otel_values import Names, tags_of

CALL: Final = create_key("spanledger.span")
"""The context key under which a call waits for a span that the SDK itself is about to open."""

SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The context key of the current span, which the API names nowhere: read off a context that has nothing else."""

KEPT: Final = ("gen_ai.", "error.", "openai.", "llm.")
"""Names of the conventions: where another library has written one, its value stays."""

SUMMED: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
MONEY: Final = ("list_cost", "contracted_cost", "effective_cost")


def is_model_call(span: Any) -> bool:
    """Whether a span that is still recording stands for one call of a model."""
    return span.is_recording() and _model_spans.is_model_call(getattr(span, "attributes", None))


LATE: Final = ("openinference.", "opentelemetry.instrumentation.langchain")
"""Instrumentations whose spans say what they are only after they have started, LangChain's only as they end."""


def is_late(span: Any) -> bool:
    """Whether a span may say later that it stands for a model call."""
    name: str = span.instrumentation_scope.name
    return name.startswith(LATE)


def merged(charges: list[Charge]) -> Row:
    """One row for the span of a call: billed retries add up, all else is the last response's."""
    row = charges[-1].row
    if len(charges) == 1:
        return row
    rows = [charge.row for charge in charges]
    total = dict(row)
    total.update({name: sum(one.get(name) or 0 for one in rows) for name in SUMMED if any(name in one for one in rows)})
    total.update({name: _sum(rows, name) for name in MONEY if any(one.get(name) for one in rows)})
    for name in ("usage", "costs"):
        total[name] = _sum_maps([one.get(name) or {} for one in rows])
    return total


def _sum(rows: list[Row], name: str) -> str:
    return str(sum(Decimal(row[name]) for row in rows if row.get(name)))


def _sum_maps(maps: list[Mapping[str, Any]]) -> dict[str, str]:
    keys = dict.fromkeys(key for one in maps for key in one)
    return {key: str(sum(Decimal(one[key]) for one in maps if key in one)) for key in keys}


def ids(context: SpanContext) -> tuple[str, str]:
    """The ids of a trace and a span as a row has them."""
    return context.trace_id.to_bytes(16, "big").hex(), context.span_id.to_bytes(8, "big").hex()


class Untraced:
    """No span of this call, only where in a trace it was made."""

    __slots__ = ("parent_span_id", "span_id", "trace_id")

    def __init__(self, parent: SpanContext) -> None:
        self.trace_id: str | None = None
        self.span_id: str | None = None
        self.parent_span_id: str | None = None
        if parent.is_valid:
            self.trace_id, self.parent_span_id = ids(parent)

    def enter(self) -> Any:
        """Nothing to make current."""

    def leave(self, token: Any) -> None:
        """Nothing to restore."""

    def adopt_current(self) -> None:
        """Nothing to adopt for."""

    def end(self, charges: list[Charge], error: BaseException | None) -> None:
        """Nothing to end."""


class Traced(Untraced):
    """A call that some span shows: our own, or one that another library opens or has opened for it.

    At most one span carries the usage. It is the first of others' that is met; ours only where there is none, and a
    further one, such as the native span of an SDK below an instrumentation, gives its usage up when it ends.
    """

    __slots__ = ("_carrier", "_names", "_row", "_span")

    def __init__(self, parent: SpanContext, names: Names, row: Row, span: Span | None = None) -> None:
        """`row` is the call's, as it begins. `span` is our own, where one was opened; it has the tags already."""
        super().__init__(parent)
        self._names = names
        self._row = row
        self._span = span
        self._carrier: _Note | None = None
        if span is not None:
            self.trace_id, self.span_id = ids(span.get_span_context())

    def enter(self) -> Any:
        """Spans that start inside become children of ours, and find this call."""
        here = {**get_current(), CALL: self}
        if self._span is not None:
            here[SPAN] = self._span
        return attach(Context(here))

    def leave(self, token: Any) -> None:
        """The application's span is current again."""
        restore(token)

    def adopt_current(self) -> None:
        """Meets the current span, which the SDK or a library below it may have opened."""
        self.adopt(get_current_span())

    def adopt(self, span: Span) -> None:
        """Meets a span: the first of others' that stands for a model call carries tags, usage and cost of this one."""
        if span is self._span:
            return
        span = getattr(span, "__wrapped__", span)  # OpenInference hands out a proxy
        if not is_model_call(span):
            return
        if self._carrier is None:
            self._carry(span)
        elif not self._carrier.of(span):
            strip_at_end(span)

    def _carry(self, span: Any) -> None:
        self.trace_id, self.span_id = ids(span.get_span_context())
        self.parent_span_id = ids(span.parent)[1] if span.parent is not None else None
        span.set_attributes(self._names.tags(tags_of(self._row)))
        self._carrier = _Note.on(span)
        self._carrier.open()

    def end(self, charges: list[Charge], error: BaseException | None) -> None:
        """Writes usage, cost and outcome; never a message, which may quote a prompt."""
        span, self._span = self._span, None
        carrier, self._carrier = self._carrier, None
        row = merged(charges) if charges else {}
        if carrier is not None:
            carrier.close(charges, self._names)
        elif span is not None:
            shown.add(span, row)
        if span is not None:
            if span.is_recording():
                _conclude(span, self._names.end(row) if row and carrier is None else {}, error)
            span.end()


def _conclude(span: Span, found: dict[str, Any], error: BaseException | None) -> None:
    if error is not None:
        found["error.type"] = type(error).__qualname__
    if "error.type" in found:
        span.set_status(StatusCode.ERROR)
    span.set_attributes(found)


CHARGE: Final = "spanledger.charge_id"
"""The attribute by which the carrier of a call is known."""

SIZES: Final = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("llm.token_count.prompt", "llm.token_count.completion"),
)


Size = tuple[Any, Any]


def same(one: Size, other: Size) -> bool:
    """Whether two reports have the same tokens."""
    return one == other


def without_input(shown_: Size, told: Size) -> bool:
    """Whether a report tells the same tokens of output, and none of input."""
    return not told[0] and bool(told[1]) and shown_[1] == told[1]


class Shown:
    """The calls whose usage some span has shown lately, to know a second report of one by its size."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, int, Any, Any]] = deque(maxlen=512)

    def add(self, span: Any, row: Row) -> None:
        """A span shows the usage of a call."""
        began, trace_id = getattr(span, "start_time", None) or 0, span.get_span_context().trace_id
        self._calls.append((trace_id, began, row.get("input_tokens"), row.get("output_tokens")))

    def take_within(self, span: Any) -> bool:
        """Whether a span that ends tells again of a call that began within it. Each is taken once.

        LangChain says of a stream of Anthropic's that its input was none: then the output is enough.
        """
        return any(self._take(span, lambda _, began: began >= span.start_time, like) for like in (same, without_input))

    def take_before(self, span: Any) -> bool:
        """Whether a span that knew the usage when it started, as Logfire's of a stream, tells of one in its trace.

        Logfire's has a trace of its own where the stream was read outside of any.
        """
        own = span.get_span_context().trace_id
        alone = span.parent is None and span.instrumentation_scope.name.startswith("logfire")
        return self._take(span, lambda trace_id, _: alone or trace_id == own)

    def _take(self, span: Any, fits: Callable[[int, int], bool], like: Callable[[Size, Size], bool] = same) -> bool:
        attributes = span.attributes or {}
        if CHARGE in attributes:
            return False
        size = next(((attributes[a], attributes.get(b)) for a, b in SIZES if a in attributes), None)
        if size is None:
            return False
        twin = next((call for call in list(self._calls) if like(call[2:], size) and fits(*call[:2])), None)
        if twin is not None:
            with contextlib.suppress(ValueError):  # another thread may have taken it
                self._calls.remove(twin)
        return twin is not None


shown: Final = Shown()


def reports(span: Any) -> bool:
    """Whether a span that starts has usage already: it tells of a call that is over."""
    return any(name.startswith(USAGE) for name in span.attributes or ())


def always(span: Any) -> bool:  # noqa: ARG001 -- a condition that always holds
    """Holds for every span."""
    return True


def strip_at_end(span: Any, when: Callable[[Any], bool] = always) -> None:
    """Takes the usage off a span when its owner ends it: a backend would count it twice."""
    end = span.end
    if getattr(end, "__name__", "") == strip_at_end.__name__:
        return

    @functools.wraps(strip_at_end)
    def ending(end_time: int | None = None) -> None:
        span.__dict__.pop("end", None)
        if when(span):
            attributes = span._attributes  # the SDK offers no way to take an attribute back
            for name in [name for name in attributes if name.startswith(USAGE)]:
                del attributes[name]
        end(end_time)

    span.end = ending


class _Note:
    """What is held for one span of somebody else: its postponed end, and the charges of the calls it stands for."""

    __slots__ = ("_charges", "_end", "_ended_at", "_open", "_ours", "_span")

    def __init__(self, span: Any) -> None:
        self._span = span
        self._end = span.end
        self._open = 0
        self._ended_at: int | None = None
        self._charges: list[Charge] = []
        self._ours: set[str] = set()

    @classmethod
    def on(cls, span: Any) -> _Note:
        """The note of a span, made for the first call that needs it."""
        note = getattr(span.end, "__self__", None)
        if isinstance(note, cls):
            return note
        made = cls(span)
        span.end = made.ask
        return made

    def of(self, span: Any) -> bool:
        """Whether this is the note of a span."""
        return self._span is span

    def open(self) -> None:
        """One more call is to be waited for."""
        self._open += 1

    def close(self, charges: list[Charge], names: Names) -> None:
        """One call is over."""
        self._open -= 1
        self._charges += charges
        if self._charges:
            row = merged(self._charges)
            if not is_late(self._span):
                shown.add(self._span, row)
            self._write(names.end(row))
        if self._open <= 0 and self._ended_at is not None:
            self._finish(self._ended_at)

    def ask(self, end_time: int | None = None) -> None:
        """The owner ends its span."""
        if self._open <= 0:
            self._finish(end_time)
        elif self._ended_at is None:
            self._ended_at = end_time or time.time_ns()

    def _finish(self, end_time: int | None) -> None:
        self._span.__dict__.pop("end", None)
        self._end(end_time)

    def _write(self, found: Mapping[str, Any]) -> None:
        """What the owner of the span has written itself stays as it is."""
        theirs = set(self._span.attributes or ()) - self._ours
        ours = {name: value for name, value in found.items() if not (name in theirs and name.startswith(KEPT))}
        self._ours |= ours.keys()
        self._span.set_attributes(ours)
