"""One application, the ledger and each backend side by side: the same calls, tokens and cost, none of them twice."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import pytest

from spanledger import cli

SPANS = """query { projects { edges { node { name costSummary { total { cost } } spans(first: 1000) { edges { node {
  name context { spanId } tokenCountPrompt tokenCountCompletion metadata costSummary { total { cost } }
  trace { session { sessionId } } } } } } } } }"""
CALLS = 20
ROOT = Path(__file__).parent.parent.parent


def phoenix_project(tools, url, name):
    projects = tools["fetch"](f"{url}/graphql", {"query": SPANS})["data"]["projects"]["edges"]
    return next((edge["node"] for edge in projects if edge["node"]["name"] == name), None)


def phoenix_spans(project):
    return {edge["node"]["context"]["spanId"]: edge["node"] for edge in project["spans"]["edges"]} if project else {}


def test_phoenix_shows_tokens_sessions_and_after_push_prices_the_cost(phoenix, open_shop, tools, capsys):
    to_phoenix = [{"endpoint": f"{phoenix}/v1/traces"}]
    first = open_shop(project="before", traces=to_phoenix, visits=1)
    assert cli.main(["push-prices", "phoenix", phoenix, str(first.ledger)]) == 0
    assert "5 models" in capsys.readouterr().out

    shop = open_shop(project="after", traces=to_phoenix)
    project = tools["eventually"](
        lambda: phoenix_project(tools, phoenix, "after"), lambda found: len(phoenix_spans(found)) >= CALLS + 4
    )
    spans = phoenix_spans(project)
    priced = shop.rows("operation = 'chat'")
    for row in priced:
        span = spans[row["span_id"]]
        assert (span["tokenCountPrompt"], span["tokenCountCompletion"]) == (row["input_tokens"], row["output_tokens"])
        assert span["trace"]["session"]["sessionId"] == row["session_id"]
        assert json.loads(span["metadata"])["team"] == row["team"]
        assert span["costSummary"]["total"]["cost"] == pytest.approx(float(row["list_cost"]), abs=1e-12)
    assert project["costSummary"]["total"]["cost"] == pytest.approx(
        float(shop.total(where="operation = 'chat'")), abs=1e-9
    )
    assert len(spans) == CALLS + 4


def test_mlflow_shows_our_cost_tokens_sessions_and_users(mlflow, open_shop, tools):
    to_mlflow = [{"endpoint": f"{mlflow}/v1/traces", "headers": {"x-mlflow-experiment-id": "0"}}]
    shop = open_shop(project="mlflow", traces=to_mlflow)

    def traces():
        asked = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]}
        return tools["fetch"](f"{mlflow}/api/3.0/mlflow/traces/search", {**asked, "max_results": 100}).get("traces", [])

    found = tools["eventually"](traces, lambda some: len(some) >= 4)
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
        assert trace["tags"]["service.name"] == "shop"


@pytest.mark.parametrize("sampling", [1.0, 0.0, 0.5])
def test_sampling_thins_spans_out_and_the_ledger_has_them_all(phoenix, open_shop, tools, sampling):
    project = f"sampled-{sampling}"
    shop = open_shop(project=project, traces=[{"endpoint": f"{phoenix}/v1/traces"}], sampling=sampling, visits=8)
    assert len(shop.rows()) == 8 * 5
    kept = {row["trace_id"] for row in shop.rows() if sampled(row["trace_id"], sampling)}
    expected = {row["span_id"] for row in shop.rows() if row["trace_id"] in kept}
    tools["eventually"](
        lambda: phoenix_spans(phoenix_project(tools, phoenix, project)), lambda found: len(found) >= len(expected)
    )
    shown = phoenix_spans(phoenix_project(tools, phoenix, project))
    assert {span_id for span_id in shown if shown[span_id]["name"] != "visit"} == expected


def sampled(trace_id, ratio):
    """The rule of OpenTelemetry's ratio sampler: the lower 64 bits of the trace id against the ratio."""
    return (int(trace_id, 16) & (2**64 - 1)) < round(ratio * 2**64)


def test_prometheus_sums_by_team_to_the_cent_of_the_ledger(open_shop, tools, tmp_path):
    pytest.importorskip("prometheus_client", reason="opentelemetry-exporter-prometheus is not installed")
    prometheus = tools["program"]("prometheus", "usr", "bin", "prometheus")
    scraped, port = tools["free_port"](), tools["free_port"]()
    shop = open_shop(project="prometheus", prometheus=scraped)
    rules = ROOT / "deploy" / "prometheus" / "spanledger.rules.yml"
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s}}\nrule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n"
    )
    command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"

    def ask(query):
        answer = tools["fetch"](f"{url}/api/v1/query?query={urllib.parse.quote(query)}")
        return {row["metric"].get("team", ""): float(row["value"][1]) for row in answer["data"]["result"]}

    with tools["running"](command, f"{url}/-/ready", tmp_path):
        spent = tools["eventually"](lambda: ask("sum by (team) (spanledger_cost_total)"), bool)
        tokens = ask("sum by (team) (gen_ai_client_inference_usage_input_tokens_total)")
        calls = ask("sum by (team) (spanledger_charges_total)")
        loaded = tools["fetch"](f"{url}/api/v1/rules")["data"]["groups"][0]["rules"]
    for team in ("growth", "search"):
        where = f"team = '{team}'"
        assert spent[team] == pytest.approx(float(shop.total(where=where)), abs=1e-9)
        assert tokens[team] == shop.total("input_tokens", where)
        assert calls[team] == len(shop.rows(where))
    assert [rule["health"] for rule in loaded if rule["health"] == "err"] == []
    assert len(loaded) == 5
