"""The application of the backend tests: three SDKs, two teams, real exporters. Its settings are one JSON argument."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import boto3
import openai
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

import spanledger

ASKED = [{"role": "user", "content": "hello"}]


def main(settings: dict[str, Any]) -> None:
    """Runs the shop, and stays until it is told to go, so that it can be scraped."""
    resource = Resource.create({"service.name": "shop", "openinference.project.name": settings["project"]})
    tracers = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings["sampling"]))
    for exporter in settings["traces"]:
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**exporter)))
    trace.set_tracer_provider(tracers)
    if settings.get("prometheus"):
        _serve_metrics(settings["prometheus"], resource)
    spanledger.instrument(ledger=settings["ledger"], tags={"environment": "test"})
    for number in range(settings.get("visits", 4)):
        visit(number)
    tracers.force_flush()
    print("ready", flush=True)
    sys.stdin.readline()
    tracers.shutdown()


def _serve_metrics(port: int, resource: Resource) -> None:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import start_http_server

    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()], resource=resource))
    start_http_server(port, "127.0.0.1")


def visit(number: int) -> None:
    """One customer's visit: five calls in one trace."""
    team = ("growth", "search")[number % 2]
    tracer = trace.get_tracer("shop")
    with (
        spanledger.tag(team=team, customer=f"c{number}", user=f"u{number}", session=f"s{number}", plan="gold"),
        tracer.start_as_current_span("visit"),
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
        with spanledger.tag(feature="find"):
            chat.embeddings.create(model="text-embedding-3-small", input="hello")
            bedrock = boto3.client("bedrock-runtime", region_name="us-east-1")
            bedrock.converse(
                modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hello"}]}]
            )
            bedrock.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
