"""One application, the ledger and each backend side by side: the same calls, tokens and cost, none of them twice."""

from __future__ import annotations

import json

import pytest
from tests.backends import _places

VISITS = 20
"""Of these, the sampler keeps 3 at a tenth: ids come from a seed."""
SAMPLING = {"always": 1.0, "tenth": 0.1, "never": 0.0}
CALLS, SPANS = 5, 7
"""In one visit."""


def sampled(trace_id, ratio):
    """The rule of OpenTelemetry's ratio sampler: the lower 64 bits of the trace id against the ratio."""
    return (int(trace_id, 16) & (2**64 - 1)) < round(ratio * 2**64)


@pytest.fixture
def everywhere(phoenix, mlflow, prometheus, receiver, open_shop):
    """Runs the shop at one sampling with all backends, and gives what each place says."""

    def run(name):
        experiment = mlflow.experiment(name)
        shop = open_shop(
            project=name,
            sampling=SAMPLING[name],
            visits=VISITS,
            metrics=f"{receiver.url}/v1/metrics",
            scraped=prometheus.scrape(name),
            traces=[
                {"endpoint": f"{receiver.url}/v1/traces"},
                {"endpoint": f"{phoenix.url}/v1/traces"},
                {"endpoint": f"{mlflow.url}/v1/traces", "headers": {"x-mlflow-experiment-id": experiment}},
            ],
        )
        rows = shop.rows()
        kept = [row for row in rows if sampled(row["trace_id"], SAMPLING[name])]
        visits = len(kept) // CALLS
        traces = mlflow.traces(experiment, visits)
        places = {
            "ledger": _places.of_rows(rows),
            "Prometheus": _places.of_metrics(lambda metric: by_operation(prometheus, metric, name, len(rows))),
            "OTLP metrics": _places.of_points(receiver.metrics(name)),
            "ledger, sampled": _places.of_rows(kept),
            "ledger, sampled chats": _places.of_rows(row for row in kept if row["operation"] == "chat"),
            "Phoenix": _places.of_phoenix(phoenix.spans(name, visits * SPANS).values()),
            "MLflow": _places.of_mlflow(span for trace in traces for span in mlflow.spans(trace["trace_id"])),
            "OTLP spans": _places.of_spans(receiver.spans(name)),
        }
        shown = [json.loads(trace["trace_metadata"]["mlflow.trace.cost"])["total_cost"] for trace in traces]
        assert _places.dollars(shown) == _places.dollars(row["list_cost"] for row in kept)
        return places

    return run


def by_operation(prometheus, metric, project, calls):
    """The sums of a metric by operation, once Prometheus has scraped all calls."""

    def asked(name, label, enough):
        return prometheus.ask(
            f'sum by ({label}) ({name.replace(".", "_")}_total{{project="{project}"}})', label, enough
        )

    asked("spanledger.charges", "project", lambda found: found.get(project) == calls)
    return asked(metric, "gen_ai_operation_name", bool)


@pytest.mark.usefixtures("priced")
def test_the_ledger_and_each_backend_agree(everywhere, side_by_side):
    for name in SAMPLING:
        places = everywhere(name)
        whole, some = places["ledger"], places["ledger, sampled"]
        side_by_side[name] = places
        assert whole.calls == VISITS * CALLS
        for place in ("Prometheus", "OTLP metrics"):
            assert places[place] == whole, place
        for place in ("MLflow", "OTLP spans"):
            assert places[place] == some, place
        # Phoenix counts no tokens of embeddings, whoever sends them.
        assert places["Phoenix"] == places["ledger, sampled chats"]
    assert [side_by_side[name]["ledger, sampled"].calls for name in SAMPLING] == [100, 15, 0]
