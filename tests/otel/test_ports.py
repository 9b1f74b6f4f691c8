"""Host and port of what was called are on the span and on the duration of every SDK's call; the port is no column."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests._apps import APPS, bedrock_client

import spanledger
from spanledger._types import COLUMNS
from spanledger.providers._address import Address, address_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api.openai.com/v1", Address("api.openai.com", 443)),
        ("http://localhost/v1", Address("localhost", 80)),
        (
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3Ab/converse",
            ("bedrock-runtime.us-east-1.amazonaws.com", 443),
        ),
        ("wss://api.openai.com/v1/realtime", Address("api.openai.com", 443)),
        ("http://[::1]:8080/", Address("::1", 8080)),
        ("http://host:no-port/", Address()),
        ("http://host:99999/", Address()),
        ("unix:/tmp/socket", Address()),
        ("", Address()),
    ],
)
def test_a_port_that_a_url_leaves_out_is_that_of_its_scheme(url, address):
    assert address_of(url) == address


@pytest.mark.parametrize("name", ["chat", "converse", "gemini"])
@pytest.mark.usefixtures("metered")
def test_host_and_port_are_on_the_span_and_on_the_duration(telemetry, provider, name):
    spanledger.wrap(bedrock_client(provider.base_url))
    APPS[name](provider.base_url)
    where = urlsplit(provider.base_url)
    (span,) = telemetry.carrying("gen_ai.usage.input_tokens")
    assert (span.attributes["server.address"], span.attributes["server.port"]) == (where.hostname, where.port)
    data = telemetry.reader.get_metrics_data()
    metrics = {m.name: m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    (point,) = metrics["gen_ai.client.inference.duration"].data.data_points
    assert (point.attributes["server.address"], point.attributes["server.port"]) == (where.hostname, where.port)
    assert "server_port" not in {column.name for column in COLUMNS}
