"""The OpenTelemetry SDK with an OTLP exporter, for applications that have none: `instrument(otlp="http://...:4318")`."""

from __future__ import annotations

import os
from typing import Any, Final, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as metrics_api

from spanledger import _faults
from spanledger.errors import MissingExtraError

T = TypeVar("T")


def start(endpoint: str, service_name: str | None = None, release: str | None = None) -> None:
    """Sets global providers that export to `endpoint`, a base address such as `http://localhost:4318`.

    A provider that the application has set already is left alone, which is warned of. Headers, batching, sampling and
    resource attributes are those of OpenTelemetry's own environment variables; `OTEL_METRICS_EXPORTER=none` leaves
    metrics out. Raises `MissingExtraError` where the SDK is not installed.
    """
    try:
        from opentelemetry.sdk.resources import Resource
    except ImportError:
        library = "opentelemetry-sdk"
        raise MissingExtraError(library, "otel") from None

    known = {"service.name": service_name, "service.version": release}
    resource = Resource.create({name: value for name, value in known.items() if value})
    base = endpoint.rstrip("/")
    if _wanted("traces", getattr(trace, "_TRACER_PROVIDER", None), base):
        trace.set_tracer_provider(_kept(_tracer_provider(f"{base}/v1/traces", resource)))
    if _wanted("metrics", getattr(metrics_api, "_METER_PROVIDER", None), base):
        metrics.set_meter_provider(_kept(_meter_provider(f"{base}/v1/metrics", resource)))


_ours: Final[list[Any]] = []
"""The providers that were set here."""


def _kept(provider: T) -> T:
    _ours.append(provider)
    return provider


def _wanted(signal: str, provider: Any, base: str) -> bool:
    """Whether a provider is to be set; one that is there already exports to where the application has said."""
    if os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp") == "none":
        return False
    if provider is not None and not any(provider is one for one in _ours):
        _faults.log.warning("otlp=%s is not used for %s: OpenTelemetry is set up already", base, signal)
    return provider is None


def _tracer_provider(url: str, resource: Any) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    return provider


def _meter_provider(url: str, resource: Any) -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(url))], resource=resource)
