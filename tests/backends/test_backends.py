"""What each backend shows of an application, asked by its own API, against the ledger."""

from __future__ import annotations

import json

import pytest

CALLS, SPANS = 20, 28


@pytest.mark.usefixtures("priced")
def test_phoenix_shows_tokens_sessions_and_after_push_prices_the_cost(phoenix, open_shop):
    shop = open_shop(project="after", traces=[{"endpoint": f"{phoenix.url}/v1/traces"}])
    spans = phoenix.spans("after", SPANS)
    for row in shop.rows("operation = 'chat'"):
        span = spans[row["span_id"]]
        assert (span["tokenCountPrompt"], span["tokenCountCompletion"]) == (row["input_tokens"], row["output_tokens"])
        assert span["trace"]["session"]["sessionId"] == row["session_id"]
        assert json.loads(span["metadata"])["team"] == row["team"]
        assert span["costSummary"]["total"]["cost"] == pytest.approx(float(row["list_cost"]), abs=1e-12)
    total = float(shop.total(where="operation = 'chat'"))
    assert phoenix.project("after")["costSummary"]["total"]["cost"] == pytest.approx(total, abs=1e-9)
    assert len(spans) == SPANS


def test_mlflow_shows_our_cost_tokens_sessions_and_users(mlflow, open_shop):
    headers = {"x-mlflow-experiment-id": mlflow.experiment("shop")}
    shop = open_shop(project="mlflow", traces=[{"endpoint": f"{mlflow.url}/v1/traces", "headers": headers}])
    found = mlflow.traces(headers["x-mlflow-experiment-id"], 4)
    assert len(found) == 4
    for trace in found:
        about = trace["trace_metadata"]
        where = f"trace_id = '{trace['trace_id'].removeprefix('tr-')}'"
        (session,) = {row["session_id"] for row in shop.rows(where)}
        assert json.loads(about["mlflow.trace.cost"])["total_cost"] == pytest.approx(
            float(shop.total(where=where)), abs=1e-12
        )
        assert json.loads(about["mlflow.trace.tokenUsage"])["input_tokens"] == shop.total("input_tokens", where)
        assert json.loads(about["mlflow.trace.tokenUsage"])["output_tokens"] == shop.total("output_tokens", where)
        assert about["mlflow.trace.session"] == session
        assert about["mlflow.trace.user"] == session.replace("s", "u")
        assert trace["tags"]["service.name"] == "mlflow"


def test_prometheus_sums_by_team_to_the_cent_of_the_ledger(prometheus, open_shop, fetched):
    shop = open_shop(project="prometheus", scraped=prometheus.scrape("prometheus"))
    chosen = '{project="prometheus"}'
    calls = prometheus.ask(
        f"sum by (team) (spanledger_charges_total{chosen})", "team", lambda some: sum(some.values()) >= CALLS
    )
    spent = prometheus.ask(f"sum by (team) (spanledger_cost_total{chosen})", "team")
    tokens = prometheus.ask(f"sum by (team) (gen_ai_client_inference_usage_input_tokens_total{chosen})", "team")
    for team in ("growth", "search"):
        where = f"team = '{team}'"
        assert spent[team] == pytest.approx(float(shop.total(where=where)), abs=1e-9)
        assert tokens[team] == shop.total("input_tokens", where)
        assert calls[team] == len(shop.rows(where))
    loaded = fetched(f"{prometheus.url}/api/v1/rules")["data"]["groups"][0]["rules"]
    assert [rule["name"] for rule in loaded if rule["health"] == "err"] == []
    assert len(loaded) == 5
