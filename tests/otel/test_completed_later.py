"""A call that ends long after it returns is one span, one charge in the metrics, and has one duration."""

from __future__ import annotations

import openai

from spanledger.testing import ProviderServer, Reply, Tokens


def points(telemetry, name):
    data = telemetry.reader.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return [p for scope in scopes for metric in scope.metrics if metric.name == name for p in metric.data.data_points]


def test_a_background_response_is_counted_once(telemetry, metered):
    queued = Reply(amend=lambda body: {**body, "status": "queued", "background": True, "usage": None})
    with ProviderServer(lambda _: Reply(usage=Tokens(1000, 500))) as server, server.environment():
        server.reply(queued)
        with openai.OpenAI() as client:
            begun = client.responses.create(model="gpt-5-mini", input="hi", background=True)
            client.responses.retrieve(begun.id)
    first, last = metered
    assert last.corrects == first.charge_id
    assert sum(point.count for point in points(telemetry, "gen_ai.client.inference.duration")) == 1
    assert sum(point.value for point in points(telemetry, "spanledger.charges")) == 1
    assert sum(point.value for point in points(telemetry, "spanledger.cost")) == float(last.list_cost)
    assert sum(point.value for point in points(telemetry, "gen_ai.client.inference.usage.input_tokens")) == 1000
    (span,) = telemetry.spans()
    assert span.attributes["spanledger.charge_id"] == first.charge_id
