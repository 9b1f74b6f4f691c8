"""What spanledger adds to a tracer provider: tags on every span of a tagged request, and a watch for others' spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry.context import Context, get_value
from opentelemetry.trace import SpanKind

from spanledger import _faults
from spanledger.sinks._spans import CALL, Traced, is_late, is_model_call, reports, shown, strip_at_end

Tags = Callable[["Context | None"], Mapping[str, str]]

Finished = Callable[[Any], None]
Attributes = Callable[[Mapping[str, str]], Mapping[str, Any]]

latest: Final[ContextVar[Callable[[], Any] | None]] = ContextVar("spanledger.latest_model_span", default=None)
"""The model-call span that was last opened in this context, current or not, until a call of ours has claimed it."""

OURS: Final = "spanledger"
"""Our own spans of calls have all their tags already."""

MODELS: Final = ("gen_ai.request.model", "llm.model_name", "llm.request.model")


class TagProcessor:
    """A span processor that serves one sink at a time. It has the methods that the SDK calls, without importing it."""

    def __init__(self) -> None:
        self._served: tuple[Any, Tags, Attributes] | None = None
        self._finished: Finished | None = None

    def serve(self, sink: Any, tags: Tags, attributes: Attributes, finished: Finished | None = None) -> None:
        """`tags` gives the tags that are allowed in a context, `attributes` turns them into those of a span.

        `finished` takes every span that has ended.
        """
        self._served = (sink, tags, attributes)
        self._finished = finished

    def leave(self, sink: Any) -> None:
        """Adds nothing any more, if it is this sink that is served."""
        if self._served is not None and self._served[0] is sink:
            self._served = self._finished = None

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Tags every span but our own of calls, and looks at those of others."""
        if self._served is None:
            return
        try:
            ours = span.instrumentation_scope.name == OURS
            if ours and span.kind is SpanKind.CLIENT:
                return
            _, tags_in, attributes = self._served
            tags = tags_in(parent_context)
            if tags:
                span.set_attributes(attributes(tags))
            if not ours:
                _meet(span, parent_context)
        except Exception as error:  # noqa: BLE001 -- the application's span is never the one to pay
            _faults.record("look at a span that starts", error)

    def _on_ending(self, span: Any) -> None:
        """Nothing can be added any more."""

    def on_end(self, span: Any) -> None:
        """Hands a finished span on to the bridge, where there is one."""
        if self._finished is not None:
            self._finished(span)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 -- the signature of a span processor
        """Nothing is held."""
        return True


def _meet(span: Any, context: Context | None) -> None:
    """A call in flight meets a span of somebody else that starts; a call that begins later may claim it."""
    late = is_late(span)
    if not (late or is_model_call(span)):
        return
    if reports(span):
        strip_at_end(span, shown.take_before)
        return
    if late:
        strip_at_end(span, shown.take_within)
    call = get_value(CALL, context)
    if isinstance(call, Traced):
        call.adopt(span)
    else:
        latest.set(weakref.ref(span))


def claim(model: str | None) -> Any:
    """The model-call span that another library has opened here for a call of this model, once; else `None`."""
    reference = latest.get()
    if reference is None:
        return None
    latest.set(None)
    span = reference()
    if span is None:
        return None
    return span if is_model_call(span) and _fits(span, model) else None


def _fits(span: Any, model: str | None) -> bool:
    named = next((span.attributes[name] for name in MODELS if name in span.attributes), None)
    return named is None or model is None or named == model
