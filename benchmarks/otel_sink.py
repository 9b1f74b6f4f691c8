"""What the OpenTelemetry sink adds to a call, in CPU microseconds: no provider, sampled out, tracer, tracer and meter.

    python benchmarks/otel_sink.py [--rounds 9]

The call itself is left out: a charge is made once, and its span and metrics are written again and again. Beside it, in
the same rounds: the floor of the SDK (a span with as many attributes, three histogram records) and, where
`opentelemetry-util-genai` is installed, what the official instrumentations do for a call of that content. The best of
the rounds counts. For comparison within one run only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from spanledger._types import Charge
from spanledger.sinks.otel import OTel

OPENING = {
    "operation": "chat",
    "provider_name": "openai",
    "request_model": "gpt-4o",
    "server_address": "api.openai.com",
    "stream": False,
    "team": "growth",
    "environment": "prod",
}
FINISHED = {
    **OPENING,
    "charge_id": "01a2108f-5eb3-7dc1-9da5-019b93a91387",
    "response_id": "chatcmpl-1",
    "response_model": "gpt-4o-2024-08-06",
    "finish_reasons": ["stop"],
    "input_tokens": 1000,
    "output_tokens": 500,
    "cache_read_tokens": 600,
    "reasoning_tokens": 100,
    "usage": {"input": 400, "cache_read": 600, "output": 400, "reasoning": 100},
    "usage_source": "reported",
    "duration_ms": 250.0,
    "currency": "USD",
    "list_cost": "0.00675",
    "effective_cost": "0.00675",
    "costs": {"input": "0.001", "cache_read": "0.00075", "output": "0.004", "reasoning": "0.001"},
    "cost_status": "exact",
    "status": "ok",
}
CHARGE = Charge(FINISHED)
CALLS = 2000
Run = Callable[[], Any]


def sink(**providers: Any) -> Run:
    """A whole call of the sink."""
    otel = OTel(**providers)

    def run() -> None:
        handle = otel.begin(OPENING)
        if handle is not None:
            handle.leave(handle.enter())
        otel.book(CHARGE)
        if handle is not None:
            handle.end([CHARGE], None)

    return run


def floor(tracers: TracerProvider, meters: MeterProvider) -> Run:
    """The SDK alone, with the sink's own attributes ready made."""
    names = OTel()._names
    (name, start), end = names.start(OPENING), names.end(FINISHED)
    tracer = tracers.get_tracer("floor")
    histogram = meters.get_meter("floor").create_histogram("h")
    about = dict(list(start.items())[:5])

    def run() -> None:
        span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=start)
        span.set_attributes(end)
        span.end()
        for value in (0.25, 1000, 500):
            histogram.record(value, about)

    return run


def official(tracers: TracerProvider, meters: MeterProvider) -> Run:
    """The official instrumentations' part that does the same: no cost, no tags, no ledger."""
    from opentelemetry.util.genai.handler import TelemetryHandler

    handler = TelemetryHandler(tracer_provider=tracers, meter_provider=meters)

    def run() -> None:
        invocation = handler.inference("openai", request_model="gpt-4o", server_address="api.openai.com")
        invocation.response_id, invocation.response_model_name = "chatcmpl-1", "gpt-4o-2024-08-06"
        invocation.finish_reasons = ["stop"]
        invocation.input_tokens, invocation.output_tokens = 1000, 500
        invocation.stop()

    return run


def meters() -> MeterProvider:
    """A meter provider that keeps its metrics in memory."""
    return MeterProvider([InMemoryMetricReader()])


def cases() -> dict[str, Run]:
    """Every case by name, in the order of the table."""
    found = {
        "no provider": sink(),
        "sampled out": sink(tracer_provider=TracerProvider(sampler=ALWAYS_OFF)),
        "tracer": sink(tracer_provider=TracerProvider()),
        "tracer and meter": sink(tracer_provider=TracerProvider(), meter_provider=meters()),
        "the SDK's floor of that": floor(TracerProvider(), meters()),
    }
    if find_spec("opentelemetry.util.genai"):
        found["official util-genai, tracer and meter"] = official(TracerProvider(), meters())
    return found


def main() -> None:
    """Measures in interleaved rounds and prints the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    measured = cases()
    best = dict.fromkeys(measured, float("inf"))
    for _ in range(rounds):
        for name, run in measured.items():
            best[name] = min(best[name], _microseconds(run))
    for name, value in best.items():
        print(f"{name:42}{value:8.1f} us")


def _microseconds(run: Run) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        run()
    return (time.process_time() - began) / CALLS * 1e6


if __name__ == "__main__":
    main()
