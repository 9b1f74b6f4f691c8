"""`opentelemetry-instrument python app.py`, and the SDK in one line: real processes, real receivers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanledger import Ledger

APP = """
import sys, openai
client = openai.OpenAI(api_key="k", base_url=sys.argv[1] + "/v1")
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
"""
ONE_LINE = "import sys, spanledger\nspanledger.instrument(otlp=sys.argv[2])\n" + APP
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
AGENT = Path(sys.executable).with_name("opentelemetry-instrument")


def run(command, tmp_path, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SPANLEDGER_"))}
    return subprocess.run(
        command, env={**kept, **environment}, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )


@pytest.fixture
def app(tmp_path):
    file = tmp_path / "app.py"
    file.write_text(APP)
    return str(file)


@pytest.mark.skipif(not AGENT.exists(), reason="opentelemetry-distro is not installed")
def test_the_agent_meters_an_application_that_knows_nothing_of_it(app, provider, tmp_path):
    done = run(
        [str(AGENT), sys.executable, app, provider.base_url],
        tmp_path,
        **{**QUIET, "OTEL_TRACES_EXPORTER": "console"},
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai,anthropic",
        SPANLEDGER_LEDGER="zero.ledger",
        SPANLEDGER_TAGS="team=growth",
    )
    (row,) = Ledger(tmp_path / "zero.ledger").charges().to_arrow().to_pylist()
    assert (row["team"], row["input_tokens"]) == ("growth", 1000)
    assert row["span_id"] in done.stdout
    assert '"spanledger.team": "growth"' in done.stdout


@pytest.mark.skipif(not AGENT.exists(), reason="opentelemetry-distro is not installed")
def test_a_wrong_variable_is_named_and_the_application_runs(app, provider, tmp_path):
    done = run(
        [str(AGENT), sys.executable, app, provider.base_url],
        tmp_path,
        **QUIET,
        SPANLEDGER_SPAN_POLICY="sometimes",
    )
    assert "spanledger is not active: span_policy" in done.stderr
    assert len(provider.requests) == 1
    assert not (tmp_path / "spend.ledger").exists()


@pytest.fixture
def receiver():
    """An OTLP receiver: what each path was sent."""
    received = {"/v1/traces": [], "/v1/metrics": []}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received[self.path].append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_one_line_starts_the_sdk_and_exports(receiver, provider, tmp_path):
    url, received = receiver
    file = tmp_path / "app.py"
    file.write_text(ONE_LINE)
    run([sys.executable, str(file), provider.base_url, url], tmp_path, OTEL_SERVICE_NAME="shop")
    spans = [
        span
        for body in received["/v1/traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["chat gpt-4o"]
    (row,) = Ledger(tmp_path / "spend.ledger").charges().to_arrow().to_pylist()
    assert (row["span_id"], row["service_name"]) == (spans[0].span_id.hex(), "shop")
    names = {
        metric.name
        for body in received["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"spanledger.charges", "gen_ai.client.inference.duration"} <= names
