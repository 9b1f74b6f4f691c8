"""Rows as the meter makes them, and providers of the real OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from spanledger._types import Charge, Row

OPENING: Row = {
    "operation": "chat",
    "provider_name": "openai",
    "request_model": "gpt-4o",
    "server_address": "api.openai.com",
    "stream": False,
    "team": "growth",
    "customer": "acme",
    "session_id": "s-1",
    "tags": {"cost_centre": "17"},
}
FINISHED: Row = {
    **OPENING,
    "charge_id": "0198",
    "response_id": "chatcmpl-1",
    "response_model": "gpt-4o-2024-08-06",
    "finish_reasons": ["stop"],
    "status": "ok",
    "input_tokens": 1000,
    "output_tokens": 500,
    "cache_read_tokens": 600,
    "usage": {"input": 400, "cache_read": 600, "output": 500},
    "usage_source": "reported",
    "duration_ms": 250.0,
    "currency": "USD",
    "list_cost": "0.00675",
    "contracted_cost": "0.00675",
    "effective_cost": "0.00675",
    "costs": {"input": "0.001", "cache_read": "0.00075", "output": "0.005"},
    "cost_status": "exact",
}


def charge(**changes: Any) -> Charge:
    """A finished chat call, with some columns changed; `None` leaves a column out."""
    return Charge({name: value for name, value in {**FINISHED, **changes}.items() if value is not None})


def opening(**changes: Any) -> Row:
    """The row of a call that starts, with some columns changed."""
    return {**OPENING, **changes}


@dataclass
class Telemetry:
    """An application's own providers."""

    sampler: Sampler = ALWAYS_ON
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracer_provider = TracerProvider(sampler=self.sampler)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader])
        self.tracer = self.tracer_provider.get_tracer("application")

    def spans(self) -> list[ReadableSpan]:
        """What was exported."""
        return list(self.exporter.get_finished_spans())

    def points(self, metric: str) -> list[Any]:
        """The data points of one metric."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return [p for scope in scopes for m in scope.metrics if m.name == metric for p in m.data.data_points]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def telemetry_with() -> type[Telemetry]:
    return Telemetry


@pytest.fixture(name="charge")
def charge_fixture() -> Callable[..., Charge]:
    return charge


@pytest.fixture(name="opening")
def opening_fixture() -> Callable[..., Row]:
    return opening
