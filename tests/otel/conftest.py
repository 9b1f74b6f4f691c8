"""An application with providers of its own, a loopback provider, and spanledger metering."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spanledger
from spanledger import _meter
from spanledger._types import Charge
from spanledger.testing import ProviderServer, Reply, Tokens


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: Reply(usage=Tokens(1000, 500))) as server:
        yield server


@dataclass
class Telemetry:
    """The global providers of an application."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader])

    def spans(self) -> list[ReadableSpan]:
        """What was exported."""
        return list(self.exporter.get_finished_spans())

    def carrying(self, attribute: str) -> list[ReadableSpan]:
        """The exported spans that have an attribute."""
        return [span for span in self.spans() if attribute in (span.attributes or {})]


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    """Sets the global providers, and takes them away again."""
    made = Telemetry()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made.tracer_provider)
    monkeypatch.setattr(metrics_api, "_METER_PROVIDER", made.meter_provider)
    assert metrics.get_meter_provider() is made.meter_provider
    return made


class Booked(list[Charge]):
    """A sink that keeps charges."""

    def book(self, charge: Charge) -> None:
        self.append(charge)

    def flush(self) -> None:
        pass


@pytest.fixture
def metered(tmp_path: Any) -> Iterator[Booked]:
    """spanledger metering everything, and what it booked."""
    booked = Booked()
    spanledger.instrument(ledger=tmp_path / "spend.ledger")
    _meter.add_sink(booked)
    yield booked
    spanledger.uninstrument()


@contextmanager
def at_work(module: str, name: str, tracer_provider: TracerProvider) -> Iterator[None]:
    """Another instrumentation at work in a block; skips the test where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's imports
        instrumentor = getattr(pytest.importorskip(module, reason=f"{module} is not installed"), name)()
        instrumentor.instrument(tracer_provider=tracer_provider)
    yield
    instrumentor.uninstrument()
