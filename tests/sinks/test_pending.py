"""Rows wait for a collection, and each is counted once: whoever collects, however many do, across threads and forks."""

from __future__ import annotations

import json
import os
import threading

import pytest
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import DropAggregation, View
from prometheus_client import REGISTRY, generate_latest

from spanledger import _faults
from spanledger.sinks._pending import MOST, NOWHERE, Pending
from spanledger.sinks.otel import OTel

DURATION = "gen_ai.client.inference.duration"
CHARGES = "spanledger.charges"
DELTA = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)


def points_of(data, name):
    """The data points of one metric in what a reader or an exporter has got."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return [
        point
        for scope in scopes
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def counted(reader):
    """Durations recorded, charges counted, as a reader gets them now."""
    data = reader.get_metrics_data()
    return sum(p.count for p in points_of(data, DURATION)), sum(p.value for p in points_of(data, CHARGES))


class Kept(MetricExporter):
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[object] = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):  # noqa: ARG002 -- the signature of an exporter
        self.got.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):  # noqa: ARG002 -- as above
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        """Nothing is held."""


@pytest.mark.parametrize("calls", [1, MOST - 1, MOST, MOST + 1, 3 * MOST + 7])
def test_a_collection_has_every_row_that_was_booked_before_it(telemetry, charge, calls):
    sink = OTel(meter_provider=telemetry.meter_provider)
    for _ in range(calls):
        sink.book(charge())
    assert counted(telemetry.reader) == (calls, calls)
    sink.book(charge())
    assert counted(telemetry.reader) == (calls + 1, calls + 1)


def test_several_readers_delta_and_cumulative_get_each_row_once(charge):
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)
    sink = OTel(meter_provider=MeterProvider([cumulative, delta]))
    sums = [0, 0]
    for calls in (5, MOST + 3, 2):
        for _ in range(calls):
            sink.book(charge())
        sums = [a + b for a, b in zip(sums, counted(delta), strict=True)]
    assert sums == [MOST + 10, MOST + 10]
    assert counted(cumulative) == (MOST + 10, MOST + 10)


def test_a_periodic_reader_has_the_last_rows_at_its_shutdown(charge):
    exporter = Kept()
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
    sink = OTel(meter_provider=provider)
    for _ in range(3):
        sink.book(charge())
    provider.force_flush()
    assert [point.count for point in points_of(exporter.got[-1], DURATION)] == [3]
    sink.book(charge())
    provider.shutdown()
    assert [point.count for point in points_of(exporter.got[-1], DURATION)] == [4]


def test_a_scrape_by_prometheus_has_every_row(charge):
    provider = MeterProvider([PrometheusMetricReader()])
    try:
        sink = OTel(meter_provider=provider)
        for _ in range(3):
            sink.book(charge())
        scraped = generate_latest(REGISTRY).decode()
    finally:
        provider.shutdown()
    count = next(
        line for line in scraped.splitlines() if line.startswith("gen_ai_client_inference_duration_seconds_count")
    )
    assert count.endswith(" 3.0")


def test_a_view_that_drops_all_counters_holds_no_histogram_back(charge):
    reader = InMemoryMetricReader()
    views = [View(instrument_type=ObservableCounter, aggregation=DropAggregation())]
    sink = OTel(meter_provider=MeterProvider([reader], views=views))
    sink.book(charge())
    assert counted(reader) == (1, 0)


def test_without_counters_nothing_waits(telemetry, charge):
    OTel(meter_provider=telemetry.meter_provider, metrics=["v1.41-durations"]).book(charge())
    assert [point.count for point in telemetry.points("gen_ai.client.operation.duration")] == [1]


@pytest.mark.parametrize("give_up", ["flush", "close"])
def test_nothing_waits_after_a_flush_or_the_end_of_the_sink(telemetry, charge, give_up):
    sink = OTel(meter_provider=telemetry.meter_provider)
    sink.book(charge())
    assert len(sink._metrics._instruments.pending._rows) == 1
    getattr(sink, give_up)()
    assert len(sink._metrics._instruments.pending._rows) == 0
    assert counted(telemetry.reader) == (1, 1)


def test_what_waits_for_a_provider_is_its_own_when_another_takes_over(charge, monkeypatch):
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    sink = OTel()
    for reader in readers:
        monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([reader]))
        sink.book(charge())
    assert [counted(reader) for reader in readers] == [(1, 1), (1, 1)]


def test_threads_that_book_and_one_that_collects_lose_and_double_nothing(charge):
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    sink = OTel(meter_provider=MeterProvider([reader]))
    threads = [threading.Thread(target=lambda: [sink.book(charge()) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    sums = [0, 0]
    while any(thread.is_alive() for thread in threads):
        sums = [a + b for a, b in zip(sums, counted(reader), strict=True)]
    sums = [a + b for a, b in zip(sums, counted(reader), strict=True)]
    assert sums == [2000, 2000]


def test_an_exemplar_is_of_the_span_that_the_call_was_made_in(telemetry, charge):
    sink = OTel(meter_provider=telemetry.meter_provider)
    with telemetry.tracer.start_as_current_span("made in") as made_in:
        sink.book(charge())
    with telemetry.tracer.start_as_current_span("collected in"):
        (point,) = telemetry.points(DURATION)
    assert [exemplar.span_id for exemplar in point.exemplars] == [made_in.get_span_context().span_id]


def test_a_call_outside_of_any_trace_has_no_exemplar_of_the_one_that_collects(telemetry, charge):
    OTel(meter_provider=telemetry.meter_provider).book(charge())
    with telemetry.tracer.start_as_current_span("collected in"):
        (point,) = telemetry.points(DURATION)
    assert list(point.exemplars) == []
    assert not trace.get_current_span(NOWHERE).get_span_context().is_valid


def test_a_row_that_cannot_be_counted_costs_no_other_and_is_a_fault(telemetry, charge):
    _faults.reset()
    sink = OTel(meter_provider=telemetry.meter_provider)
    for costs in ({}, {"effective_cost": "no number"}, {}):
        sink.book(charge(**costs))
    assert counted(telemetry.reader) == (2, 2)
    assert _faults.totals()["faults"] == 1
    _faults.reset()


def test_a_forked_child_leaves_what_waits_to_its_parent(charge):
    taken: list[str] = []
    pending = Pending(lambda row, _: taken.append(row["charge_id"]))
    pending.put(charge(charge_id="parent").row)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        pending.put(charge(charge_id="child").row)
        pending.drain()
        os.write(write, json.dumps(taken).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pending.drain()
    assert json.loads(os.read(read, 1000)) == ["child"]
    assert taken == ["parent"]
    os.close(read)
    os.close(write)


def test_a_row_put_down_in_the_middle_of_a_batch_waits_for_the_next(charge):
    taken: list[str] = []

    def take(row, context):  # noqa: ARG001 -- what `Pending` calls
        taken.append(row["charge_id"])
        if row["charge_id"] == "first":
            for _ in range(MOST):
                pending.put(charge(charge_id="inner").row)

    pending = Pending(take)
    pending.put(charge(charge_id="first").row)
    pending.drain()
    assert taken == ["first"]
    pending.drain()
    assert taken == ["first", *["inner"] * MOST]


def test_a_collection_in_the_middle_of_a_batch_does_not_wait_for_ever(charge):
    taken: list[float] = []
    pending = Pending(lambda row, context: taken.append(row["duration_ms"]) or pending.drain(0.01))  # noqa: ARG005
    pending.put(charge().row)
    pending.drain()
    assert taken == [250.0]
