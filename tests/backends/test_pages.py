"""What a person sees: the pages of the backends in a real browser, their text against the ledger.

`make backends SPANLEDGER_DOCS=docs` takes the pictures of the how-to pages anew.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from tests.backends._browser import look

SPANS = 28


def tokens(*rows):
    return f"{sum(row['input_tokens'] + (row['output_tokens'] or 0) for row in rows):,}"


@pytest.mark.usefixtures("priced")
def test_phoenix_shows_the_tokens_and_tags_of_a_call_in_its_trace(phoenix, open_shop):
    shop = open_shop(project="shop", traces=[{"endpoint": f"{phoenix.url}/v1/traces"}])
    spans = phoenix.spans("shop", SPANS)
    row = shop.rows("request_model = 'gpt-4o'")[0]
    trace = f"{phoenix.url}/projects/{phoenix.project('shop')['id']}/traces/{row['trace_id']}"
    shown = look(f"{trace}?selectedSpanNodeId={spans[row['span_id']]['id']}", "phoenix", size="1400,800")
    assert tokens(row) in shown
    assert "Total Cost" in shown
    assert row["team"] in shown
    assert row["response_id"] in shown


def test_mlflow_shows_the_tokens_of_a_trace_and_the_cost_of_its_calls(mlflow, open_shop):
    experiment = mlflow.experiment("pages")
    headers = {"x-mlflow-experiment-id": experiment}
    shop = open_shop(project="pages", traces=[{"endpoint": f"{mlflow.url}/v1/traces", "headers": headers}])
    name = mlflow.traces(experiment, 4)[0]["trace_id"]
    shown = look(
        f"{mlflow.url}/#/experiments/{experiment}/traces?selectedEvaluationId={name}", "mlflow", size="2000,800"
    )
    rows = shop.rows(f"trace_id = '{name.removeprefix('tr-')}'")
    assert f"{tokens(*(row for row in rows if row['operation'] == 'chat'))} tokens" in shown
    for row in rows:
        assert f"{row['operation']} {row['request_model']}" in shown or row["provider_name"] == "anthropic"
        assert f"${row['list_cost']:.6f}".rstrip("0") in shown


def test_prometheus_shows_what_each_team_has_spent(prometheus, open_shop):
    shop = open_shop(project="page", scraped=prometheus.scrape("page"))
    expression = 'sum by (team) (spanledger_cost_total{project="page"})'
    owed = {team: float(shop.total(where=f"team = '{team}'")) for team in ("growth", "search")}
    assert prometheus.ask(expression, "team", lambda found: found == pytest.approx(owed, abs=1e-9))
    page = f"{prometheus.url}/graph?g0.expr={quote(expression, safe='')}&g0.tab=1"
    shown = look(page, "prometheus", size="1000,520")
    for team, amount in owed.items():
        (cell,) = re.findall(rf'{{team="{team}"}}\s*([0-9.]+)', shown)
        assert float(cell) == pytest.approx(amount, abs=1e-9)
