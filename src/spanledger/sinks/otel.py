"""OpenTelemetry as a view of charges: spans and metrics through the application's own providers.

Nothing is emitted where the application has set no provider; then a call costs one look at a global.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    Span,
    SpanKind,
    Tracer,
    TracerProvider,
    get_current_span,
)

from spanledger._types import Charge, Row, SpanHandle
from spanledger.errors import ConfigurationError
from spanledger.sinks._metric_names import DEFAULT_METRICS
from spanledger.sinks._metrics import DEFAULT_METRIC_TAGS, Health, Metrics, Source, no_health
from spanledger.sinks._otel_names import DEFAULT_PROFILES, SCHEMA_URL
from spanledger.sinks._otel_values import Names
from spanledger.sinks._processor import Finished, TagProcessor, Tags, claim
from spanledger.sinks._spans import Traced, Untraced, is_model_call

POLICIES: Final = ("emit", "annotate", "off")

SILENCES: Final = ("suppress_instrumentation", "suppress_language_model_instrumentation")
"""The context keys by which OpenTelemetry, Logfire and OpenLLMetry silence what is below them: then we open
no span, and annotate theirs."""

DEFAULT_SPAN_TAGS: Final = ("team", "feature", "customer", "environment")

MARK: Final = "_spanledger_processor"
"""Where a provider keeps our span processor: it cannot be rid of one, so that it is used again."""

_processors: Final[weakref.WeakSet[TagProcessor]] = weakref.WeakSet()


def no_tags(context: Context | None) -> Mapping[str, str]:  # noqa: ARG001 -- for a sink that stands alone
    """No tags."""
    return {}


def package_version() -> str:
    """The version of spanledger, as the instrumentation scope shows it."""
    try:
        return version("spanledger")
    except PackageNotFoundError:
        return "0"


class OTel:
    """The OpenTelemetry sink: a span for each call, and metrics of each charge.

    `span_policy` is `emit` (a span for each call, unless another library has one), `annotate` (never a span of ours) or
    `off`, or a mapping from provider name to one of them, with `*` for the rest. `profiles` are names of
    `_otel_names.PROFILES`, `metrics` of `_metric_names.PROFILES`. `metric_tags` are the tags that become attributes of
    metrics, the most important first; `metric_top={"customer": 20}` adds one of which only the largest 20 values are
    told apart, the rest is `other`. `span_tags` are those that every span of a tagged request gets, read by `tags_in`
    from a context; `finished` takes every span that has ended. Providers are OpenTelemetry's global ones unless
    given. `health` gives the counts of `faults` and `lost`.
    """

    def __init__(  # noqa: PLR0913 -- settings, each by name
        self,
        *,
        span_policy: str | Mapping[str, str] = "emit",
        profiles: Iterable[str] = DEFAULT_PROFILES,
        span_tags: Iterable[str] = DEFAULT_SPAN_TAGS,
        tags_in: Tags = no_tags,
        finished: Finished | None = None,
        metric_tags: Iterable[str] = DEFAULT_METRIC_TAGS,
        metric_top: Mapping[str, int] | None = None,
        metrics: Iterable[str] = DEFAULT_METRICS,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        health: Health = no_health,
    ) -> None:
        self._policy = _policies(span_policy)
        self._names = Names(profiles)
        self._metrics = Metrics(
            tuple(metric_tags), metric_top or {}, metrics, Source(meter_provider, health, package_version())
        )
        self._allowed = frozenset(span_tags)
        self._tags_in = tags_in
        self._finished = finished
        self._given = tracer_provider
        self._known: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._tracer_now()

    def begin(self, row: Row, *, native: bool = False, port: int | None = None) -> SpanHandle | None:
        """The span of a call that starts here, `None` where there is no trace at all."""
        tracer = self._tracer_now()
        here = get_current()
        if tracer is None and not here:
            return None
        current = get_current_span(here)
        parent = current.get_span_context()
        if tracer is None:
            return Untraced(parent) if parent.is_valid else None
        policy = self._policy.get(row["provider_name"]) or self._policy["*"]
        if policy == "off":
            return Untraced(parent)
        outer = current if is_model_call(current) else claim(row.get("request_model"))
        if outer is not None or policy == "annotate" or native or _silenced(here):
            call = Traced(parent, self._names, row)
            if outer is not None:
                call.adopt(outer)
            return call
        name, attributes = self._names.start(row, port)
        span = tracer.start_span(name, here, SpanKind.CLIENT, attributes)
        return Traced(parent, self._names, row, span)

    def around(self, row: Row, context: Context | None) -> Span | None:
        """The span of a workflow or a tool that starts in a context, `None` where the policy of `*` is `off`."""
        tracer = self._tracer_now()
        if tracer is None or self._policy["*"] == "off" or _silenced(get_current() if context is None else context):
            return None
        name = f"{row['operation']} {row['name']}"
        return tracer.start_span(name, context, attributes=self._names.around(row))

    def over(self, row: Row, seconds: float, error_type: str | None) -> None:
        """A workflow or a tool is over: how long it took is a metric."""
        self._metrics.over({**row, "error_type": error_type}, seconds)

    def _tracer_now(self) -> Tracer | None:
        """The tracer of the provider in force; asked anew only when the provider changes."""
        provider = self._given or _global_provider()
        if provider is not self._known:
            self._tracer = _tracer(provider)
            if self._tracer is not None:
                self._watch(provider)
            self._known = provider
        return self._tracer

    def _watch(self, provider: Any) -> None:
        """Adds our span processor to a provider of the SDK, once."""
        processor = getattr(provider, MARK, None)
        if processor is None:
            add = getattr(provider, "add_span_processor", None)
            if add is None:
                return
            processor = TagProcessor()
            setattr(provider, MARK, processor)
            _processors.add(processor)
            add(processor)
        processor.serve(self, self._allowed_tags, self._names.tags, self._finished)

    def _allowed_tags(self, context: Context | None) -> Mapping[str, str]:
        tags = self._tags_in(context)
        return {name: tags[name] for name in tags if name in self._allowed} if tags else tags

    def book(self, charge: Charge) -> None:
        """Counts one charge in the metrics."""
        self._metrics.count(charge)

    def flush(self) -> None:
        """Gives the meter provider what waits for its next collection; providers flush themselves."""
        self._metrics.flush()

    def close(self) -> None:
        """Tags no span any more, and holds nothing back."""
        self.flush()
        for processor in list(_processors):
            processor.leave(self)


def _silenced(context: Context) -> bool:
    return bool(context.get(SILENCES[0]) or context.get(SILENCES[1]))


def _global_provider() -> TracerProvider | None:
    """The provider that somebody set, without the look at the environment that `get_tracer_provider` takes."""
    provider: TracerProvider | None = getattr(trace, "_TRACER_PROVIDER", None)
    return provider


def _tracer(provider: TracerProvider | None) -> Tracer | None:
    if provider is None or isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
        return None
    return provider.get_tracer("spanledger", package_version(), SCHEMA_URL)


def _policies(given: str | Mapping[str, str]) -> dict[str, str]:
    policies = {"*": "emit", **({"*": given} if isinstance(given, str) else given)}
    for provider, policy in policies.items():
        if policy not in POLICIES:
            msg = f"span_policy[{provider!r}]: {policy!r} is none of {', '.join(POLICIES)}"
            raise ConfigurationError(msg)
    return policies


__all__: list[str] = ["POLICIES", "OTel"]
