"""Metrics of charges: exact sums, few attribute sets, nothing without a provider."""

from __future__ import annotations

import os
from decimal import Context, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sinks.conftest import FINISHED

from spanledger._types import Charge
from spanledger._units import femtos_of, money_text
from spanledger.sinks._metric_names import METRICS
from spanledger.sinks._metrics import MOST_SERIES, OTHER, Top, Totals, observations
from spanledger.sinks.otel import OTel

COST = next(metric for metric in METRICS if metric.name == "spanledger.cost")


@pytest.fixture
def sink_of(telemetry):
    return lambda **settings: OTel(meter_provider=telemetry.meter_provider, **settings)


def by(points, *names):
    return {tuple(point.attributes.get(name) for name in names): point.value for point in points}


def seen(telemetry, name):
    return [(dict(point.attributes), point.sum) for point in telemetry.points(name)]


def test_cost_tokens_and_charges_are_summed_by_team_and_model(telemetry, sink_of, charge):
    sink = sink_of()
    for _ in range(3):
        sink.book(charge())
    sink.book(charge(team="search", cost_status="unknown", effective_cost=None, list_cost=None, costs=None))
    assert by(telemetry.points("spanledger.cost"), "team") == {("growth",): 0.02025}
    assert by(telemetry.points("gen_ai.client.inference.usage.input_tokens"), "team") == {
        ("growth",): 3000,
        ("search",): 1000,
    }
    assert by(telemetry.points("spanledger.charges"), "team", "spanledger.cost_status") == {
        ("growth", "exact"): 3,
        ("search", "unknown"): 1,
    }


def test_tokens_are_told_apart_by_modality(telemetry, sink_of, charge):
    sink_of().book(charge(usage={"input": 10, "input_audio": 7, "cache_read_audio": 2, "output": 5, "reasoning": 1}))
    sent = telemetry.points("gen_ai.client.inference.usage.input_tokens")
    assert by(sent, "gen_ai.token.modality") == {("text",): 10, ("audio",): 9}
    assert by(telemetry.points("gen_ai.client.inference.usage.reasoning.output_tokens"), "team") == {("growth",): 1}


def test_durations_and_the_older_token_histogram_are_recorded(telemetry, sink_of, charge):
    sink = sink_of()
    sink.book(charge(time_to_first_chunk_ms=40.0, stream=True))
    sink.book(charge(operation="embeddings", output_tokens=None))
    assert [point.sum for point in telemetry.points("gen_ai.client.inference.duration")] == [0.25]
    assert [point.sum for point in telemetry.points("gen_ai.client.embeddings.duration")] == [0.25]
    assert [point.sum for point in telemetry.points("gen_ai.client.inference.time_to_first_chunk")] == [0.04]
    older = {
        (point.attributes["gen_ai.operation.name"], point.attributes["gen_ai.token.type"]): point.sum
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert older == {("chat", "input"): 1000, ("chat", "output"): 500, ("embeddings", "input"): 1000}


def test_customers_users_and_traces_are_no_attributes(telemetry, sink_of, charge):
    sink_of().book(charge(user_id="u", trace_id="t"))
    for metric in METRICS:
        for point in telemetry.points(metric.name):
            assert not {"customer", "user_id", "session_id", "trace_id"} & set(point.attributes)


def test_five_thousand_customers_keep_their_teams_apart(telemetry, sink_of, charge):
    sink = sink_of(metric_tags=("team", "customer"))
    for number in range(5000):
        sink.book(charge(customer=f"c{number}", team=f"t{number % 7}", effective_cost="0.01"))
    points = telemetry.points("spanledger.cost")
    assert len(points) <= 2000
    assert not [point for point in points if "otel.metric.overflow" in point.attributes]
    spent = {}
    for point in points:
        spent[point.attributes["team"]] = spent.get(point.attributes["team"], 0) + point.value
    expected = {f"t{team}": len(range(team, 5000, 7)) * 0.01 for team in range(7)}
    assert spent == pytest.approx(expected)


def test_the_largest_customers_are_told_apart_from_the_rest(telemetry, sink_of, charge):
    sink = sink_of(metric_top={"customer": 2})
    for number in range(400):
        sink.book(charge(customer="big", effective_cost="1"))
        sink.book(charge(customer=f"c{number}", effective_cost="0.001"))
    spent = by(telemetry.points("spanledger.cost"), "customer")
    assert set(spent) == {("big",), (OTHER,)}
    assert sum(spent.values()) == pytest.approx(400.4)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 10**15)), max_size=60), st.integers(1, 3))
def test_no_sum_ever_goes_down_and_none_is_lost(spending, most):
    totals = Totals(("customer",), {"customer": most})
    before: dict = {}
    for customer, femtos in spending:
        known = {"provider_name": "openai", "operation": "chat", "cost_status": "exact"}
        totals.add({**known, "customer": customer, "effective_cost": money_text(femtos)})
        now = {tuple(sorted(point.attributes.items())): point.value for point in observations(COST, totals)}
        assert all(now[key] >= value for key, value in before.items())
        before = now
    kept = {dict(key).get("customer") for key in before}
    assert len(kept - {OTHER}) <= most
    assert sum(series["cost"] for _, series in totals.snapshot()) == sum(femtos for _, femtos in spending)


def test_a_place_among_the_top_is_kept():
    top = Top(1)
    assert top.place("a", 5) == "a"
    assert top.place("b", 500) == OTHER
    assert top.place("a", 0) == "a"


def test_more_sets_than_are_kept_give_up_the_last_tag_first(charge):
    totals = Totals(("team", "feature"), {})
    for number in range(MOST_SERIES + 50):
        totals.add(charge(feature=f"f{number}").row)
    assert len(totals.snapshot()) == MOST_SERIES + 1
    assert {key[-2] for key, _ in totals.snapshot()} == {"growth"}


def test_a_forked_child_counts_its_own_charges_only(charge):
    totals = Totals(("team",), {})
    totals.add(charge().row)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        totals.add(charge().row)
        os.write(write, str([series["charges"] for _, series in totals.snapshot()]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"[1]"
    os.close(read)
    os.close(write)


BEGUN = {"effective_cost": None, "list_cost": None, "costs": None, "usage": None, "cost_status": "unknown"}


def test_a_call_that_is_completed_later_is_one_call_with_one_duration_and_all_of_its_cost(telemetry, sink_of, charge):
    sink = sink_of()
    sink.book(charge(charge_id="a", input_tokens=None, output_tokens=None, **BEGUN))
    sink.book(charge(charge_id="b", corrects="a", duration_ms=60_000.0))
    assert by(telemetry.points("spanledger.charges"), "spanledger.cost_status") == {("unknown",): 1}
    assert sum(by(telemetry.points("spanledger.cost"), "team").values()) == 0.00675
    assert sum(by(telemetry.points("gen_ai.client.inference.usage.output_tokens"), "team").values()) == 500
    assert [point.count for point in telemetry.points("gen_ai.client.inference.duration")] == [1]
    assert [point.sum for point in telemetry.points("gen_ai.client.inference.duration")] == [0.25]


@pytest.mark.parametrize(("first", "then"), [("1", "3"), ("3", "1"), ("2", "2")])
def test_of_a_correction_only_what_it_adds_is_counted(telemetry, sink_of, charge, first, then):
    sink = sink_of()
    sink.book(charge(charge_id="a", effective_cost=first, cost_status="estimated"))
    sink.book(charge(charge_id="b", corrects="a", effective_cost=then))
    assert sum(by(telemetry.points("spanledger.cost"), "team").values()) == max(int(first), int(then))
    assert sum(by(telemetry.points("gen_ai.client.inference.usage.input_tokens"), "team").values()) == 1000


def test_health_is_reported(telemetry, sink_of, charge):
    sink_of(health=lambda: {"faults": 2, "lost": 1}).book(charge())
    assert [point.value for point in telemetry.points("spanledger.faults")] == [2]
    assert [point.value for point in telemetry.points("spanledger.lost")] == [1]


def test_the_precision_of_decimals_in_force_where_metrics_are_collected_changes_no_cost(telemetry, sink_of, charge):
    sink_of().book(charge(effective_cost="1.123456789012345"))
    with localcontext(Context(prec=3)):
        (point,) = telemetry.points("spanledger.cost")
    assert point.value == 1.123456789012345


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_an_amount_is_read_as_it_was_written(femtos):
    assert femtos_of(money_text(femtos)) == femtos


@pytest.mark.parametrize("tags", [{}, {"tags": None}])
def test_a_tag_without_a_value_is_no_attribute(telemetry, sink_of, charge, tags):
    sink_of().book(charge(team="", **tags))
    (point,) = telemetry.points("spanledger.charges")
    assert "team" not in point.attributes


def test_without_a_provider_nothing_is_kept(charge):
    sink = OTel()
    sink.book(charge())
    assert sink._metrics._instruments is None


def test_other_currencies_are_not_added_to_dollars(telemetry, sink_of, charge):
    sink_of().book(charge(currency="EUR"))
    assert telemetry.points("spanledger.cost") == []


def test_the_port_is_on_spans_and_histograms_and_no_column(telemetry, opening):
    sink = OTel(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    handle = sink.begin(opening(), port=8443)
    charge = Charge({**FINISHED}, server_port=8443)
    sink.book(charge)
    handle.end([charge], None)
    assert telemetry.spans()[0].attributes["server.port"] == 8443
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert (point.attributes["server.address"], point.attributes["server.port"]) == ("api.openai.com", 8443)
    assert "server_port" not in charge.row


def test_token_histograms_of_the_newest_names_are_there_on_request(telemetry, sink_of, charge):
    sink = sink_of(metrics=["semconv-genai-tokens", "spanledger"])
    sink.book(charge())
    sink.book(charge(operation="embeddings", output_tokens=None, input_tokens=70))
    name = "gen_ai.client.{}.operation.{}_tokens"
    assert [point.sum for point in telemetry.points(name.format("inference", "input"))] == [1000]
    assert [point.sum for point in telemetry.points(name.format("inference", "output"))] == [500]
    assert [point.sum for point in telemetry.points(name.format("embeddings", "input"))] == [70]


def test_token_histograms_of_the_newest_names_are_off_by_default(telemetry, sink_of, charge):
    sink_of().book(charge())
    assert telemetry.points("gen_ai.client.inference.operation.input_tokens") == []


def test_how_long_a_workflow_or_a_tool_took_is_recorded_by_its_name(telemetry, sink_of):
    sink = sink_of()
    sink.over({"operation": "invoke_workflow", "name": "support"}, 12.5, None)
    sink.over({"operation": "execute_tool", "name": "search"}, 0.5, "TimeoutError")
    assert seen(telemetry, "gen_ai.invoke_agent.duration") == [({"gen_ai.agent.name": "support"}, 12.5)]
    assert seen(telemetry, "gen_ai.execute_tool.duration") == [
        ({"gen_ai.tool.name": "search", "error.type": "TimeoutError"}, 0.5)
    ]
    assert telemetry.points("gen_ai.client.inference.duration") == []
