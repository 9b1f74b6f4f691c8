"""Spans around calls: a workflow, a tool. They carry tags and an outcome, never usage or cost: their calls do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from opentelemetry.context import Context, attach
from opentelemetry.trace import NonRecordingSpan, Span, StatusCode, get_current_span, set_span_in_context

from spanledger import _faults
from spanledger._tags import Entered, clean, entering, evaluator, restore, short
from spanledger._types import Row

F = TypeVar("F", bound=Callable[..., Any])
Given = TypeVar("Given")


class Opener:
    """Who opens spans around calls, and is told how long they took: the OpenTelemetry sink in force, if any."""

    open: Callable[[Row, Context | None], Span | None] | None = None
    over: Callable[[Row, float, str | None], None] | None = None


opener: Final = Opener()


def opened(row: Row, context: Context | None = None) -> Span:
    """The span of what starts in a context; one that records nothing where none is wanted.

    `row` has its `operation`, its `name`, and what else there is to say of it.
    """
    found = _asked(row, context)
    return NonRecordingSpan(get_current_span(context).get_span_context()) if found is None else found


@_faults.guarded("open a span around calls")
def _asked(row: Row, context: Context | None) -> Span | None:
    return None if opener.open is None else opener.open(row, context)


def current(span: Span, context: Context) -> Context:
    """The context with the span in it, if it is one of its own: one that is sampled out is a parent too."""
    own, here = span.get_span_context(), get_current_span(context).get_span_context()
    return context if own.span_id == here.span_id else set_span_in_context(span, context)


class Begun(NamedTuple):
    """What has begun: what it is, its span, and when, by the clock that only measures."""

    row: Row
    span: Span
    started: int


def conclude(begun: Begun, error: BaseException | None) -> None:
    """Ends the span, and tells how long it took. A generator that is closed has no error."""
    failed = None if error is None or isinstance(error, GeneratorExit) else type(error).__qualname__
    _end(begun.span, failed)
    _tell(begun, failed)


@_faults.guarded("end a span around calls")
def _end(span: Span, failed: str | None) -> None:
    """An error gives its type, never its message."""
    if failed is not None:
        span.set_attribute("error.type", failed)
        span.set_status(StatusCode.ERROR)
    span.end()


@_faults.guarded("tell how long it took")
def _tell(begun: Begun, failed: str | None) -> None:
    if opener.over is not None:
        opener.over(begun.row, (time.perf_counter_ns() - begun.started) / 1e9, failed)


class Around(Generic[Given]):
    """A context manager and a decorator of any kind of function; a subclass says what it enters."""

    def __init__(self, row: Row, tags: Mapping[str, Any]) -> None:
        """`row` says what it is, as `opened` takes it. Raises `TypeError` where a decorator got no name."""
        if callable(row["name"]):
            kind = type(self).__name__
            msg = f"{kind} takes a name: @{kind}({getattr(row['name'], '__name__', 'name')!r})"
            raise TypeError(msg)
        self._row = {**row, "name": short(str(row["name"]))}
        self._tags = tags
        self._entered: Entered[tuple[Any, Context, Begun]] = Entered()

    def _enter(self, tags: Mapping[str, str]) -> tuple[Context, Span, Given]:
        """The context that is in force inside, its span, and what `with ... as` gives."""
        raise NotImplementedError

    def __enter__(self) -> Given:
        started = time.perf_counter_ns()
        context, span, given = self._enter(clean(self._tags))
        self._entered.put(context, (attach(context), context, Begun(self._row, span, started)))
        return given

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        token, context, begun = self._entered.take()
        restore(token, context)
        conclude(begun, error)

    async def __aenter__(self) -> Given:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        evaluate = evaluator(self._tags, function)

        def enter(args: Any, kwargs: Any) -> tuple[Context, Callable[[BaseException | None], None]]:
            started = time.perf_counter_ns()
            context, span, _ = self._enter(evaluate(args, kwargs))
            return context, partial(conclude, Begun(self._row, span, started))

        return entering(enter, function)
