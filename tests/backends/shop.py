"""The application of the backend tests: three SDKs, two teams, real exporters. Its settings are one JSON argument."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import anthropic
import boto3
import openai
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

import spanledger

ASKED = [{"role": "user", "content": "hello"}]


class SameIds(IdGenerator):
    """The same ids in each run, so that a sampler by ratio keeps the same traces."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- ids, no secrets

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)


def main(settings: dict[str, Any]) -> None:
    """Runs the shop, and stays until it is told to go, so that it can be scraped."""
    project = settings["project"]
    resource = Resource.create({"service.name": project, "openinference.project.name": project})
    tracers = TracerProvider(
        resource=resource, sampler=ParentBasedTraceIdRatio(settings["sampling"]), id_generator=SameIds(project)
    )
    for exporter in settings["traces"]:
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**exporter)))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider(list(readers(settings)), resource=resource)
    metrics.set_meter_provider(meters)
    spanledger.instrument(ledger=settings["ledger"], tags={"environment": "test"})
    for number in range(settings["visits"]):
        visit(number)
    tracers.force_flush()
    meters.force_flush()
    print("ready", flush=True)
    sys.stdin.readline()
    tracers.shutdown()


def readers(settings: dict[str, Any]) -> Any:
    """What reads the metrics: a page for Prometheus, an exporter, as the settings say."""
    if settings.get("metrics"):
        yield PeriodicExportingMetricReader(OTLPMetricExporter(settings["metrics"]), export_interval_millis=3_600_000)
    if settings.get("scraped"):
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import start_http_server

        yield PrometheusMetricReader()
        start_http_server(settings["scraped"], "127.0.0.1")


def visit(number: int) -> None:
    """One customer's visit: five calls in one trace."""
    team = ("growth", "search")[number % 2]
    with (
        spanledger.workflow(
            "visit", team=team, customer=f"c{number}", user=f"u{number}", session=f"s{number}", plan="gold"
        ),
        openai.OpenAI() as chat,
        anthropic.Anthropic() as claude,
    ):
        with spanledger.tag(feature="answer"):
            chat.chat.completions.create(model="gpt-4o", messages=ASKED)
            for _ in chat.chat.completions.create(
                model="gpt-4o-mini", messages=ASKED, stream=True, stream_options={"include_usage": True}
            ):
                pass
            claude.messages.create(model="claude-opus-5", max_tokens=100, messages=ASKED)
        with spanledger.tool("search", feature="find"):
            chat.embeddings.create(model="text-embedding-3-small", input="hello")
            bedrock = boto3.client("bedrock-runtime", region_name="us-east-1")
            bedrock.converse(
                modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hello"}]}]
            )
            bedrock.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
