"""`opentelemetry-instrument python app.py`, and the SDK in one line: real processes, real receivers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests._otlp import Receiver

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
    with Receiver() as listening:
        yield listening


@pytest.mark.skipif(not AGENT.exists(), reason="opentelemetry-distro is not installed")
def test_the_agent_exports_as_its_own_variables_say_and_otlp_is_said_to_change_nothing(
    app, receiver, provider, tmp_path
):
    done = run(
        [str(AGENT), sys.executable, app, provider.base_url],
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai,anthropic",
        OTEL_SERVICE_NAME="shop",
        SPANLEDGER_OTLP="http://localhost:1",
    )
    (span,) = [
        one for one in receiver.spans("shop") if one.name.startswith("chat")
    ]  # one more is of HTTP, if installed
    (row,) = Ledger(tmp_path / "spend.ledger").charges().to_arrow().to_pylist()
    assert row["span_id"] == span.span_id.hex()
    assert "otlp=http://localhost:1 is not used for traces: OpenTelemetry is set up already" in done.stderr


AGAIN = "import sys, spanledger\nspanledger.instrument(otlp=sys.argv[2])\n" + ONE_LINE


def test_one_line_said_twice_starts_the_sdk_once_and_says_nothing_of_it(receiver, provider, tmp_path):
    file = tmp_path / "app.py"
    file.write_text(AGAIN)
    done = run([sys.executable, str(file), provider.base_url, receiver.url], tmp_path, OTEL_SERVICE_NAME="shop")
    assert len(receiver.spans("shop")) == 1
    assert "otlp=" not in done.stderr


def test_one_line_starts_the_sdk_and_exports(receiver, provider, tmp_path):
    file = tmp_path / "app.py"
    file.write_text(ONE_LINE)
    run([sys.executable, str(file), provider.base_url, receiver.url], tmp_path, OTEL_SERVICE_NAME="shop")
    (span,) = receiver.spans("shop")
    assert span.name == "chat gpt-4o"
    (row,) = Ledger(tmp_path / "spend.ledger").charges().to_arrow().to_pylist()
    assert (row["span_id"], row["service_name"]) == (span.span_id.hex(), "shop")
    assert {"spanledger.charges", "gen_ai.client.inference.duration"} <= receiver.metrics("shop").keys()
