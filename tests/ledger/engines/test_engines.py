"""One suite for every engine: the same questions, the same answers to the last digit."""

from __future__ import annotations

import functools
from datetime import date

import pytest
from tests.ledger.engines._cases import CASES, GAPS, in_order
from tests.ledger.engines.conftest import ENGINES

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.ledger._load import load
from spanledger.ledger._seal import seal
from spanledger.ledger.engines.postgres import Postgres

pytestmark = pytest.mark.filterwarnings("ignore:::pyspark")


@pytest.fixture(scope="session")
def expected(filled):
    """What DuckDB answers to a case, asked once."""
    return functools.cache(lambda case: CASES[case].ask(filled))


@pytest.mark.parametrize("case", CASES)
def test_every_engine_gives_the_answer_of_duckdb_to_the_last_digit(asked, expected, case, request):
    engine = request.node.callspec.params["asked"]
    if reason := GAPS.get((engine, case)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    assert CASES[case].ask(asked) == expected(case)


def test_every_engine_counts_the_charges_that_were_rolled_up(asked, ledger, write_segment, row):
    """Two of three days: the third is asked beside them."""
    write_segment([row(list_cost="0.000000000000001"), row(started_at="2026-11-24T11:59:59.999999Z", team=None)])
    write_segment(
        [row(team="core"), row(list_cost=None, cost_status="unknown"), row(started_at="2026-11-25T00:00:00Z")]
    )
    seal(ledger.path)
    questions = ("team", "model,day", "", "unit,team")
    expected = [in_order(ledger.cost(by)) for by in questions]
    assert len(ledger.retain(date.today() - date(2026, 11, 25), by="team").days) == 2  # noqa: DTZ011 -- UTC's, too
    if isinstance(asked._other, Postgres):
        load(ledger.path, asked._other.address)
    there = Ledger(ledger.path, asked._other)
    assert [in_order(there.cost(by)) for by in questions] == expected


def test_every_gap_is_one_of_an_engine_in_a_case():
    assert {engine for engine, _ in GAPS} <= set(ENGINES)
    assert {case for _, case in GAPS} <= set(CASES)


def test_spark_is_a_cluster_of_two_workers(filled, cluster):
    Ledger(filled.path, cluster.address).cost()
    said = cluster.says()
    assert [worker["state"] for worker in said["workers"]] == ["ALIVE"] * 2
    assert [worker["coresused"] for worker in said["workers"]] == [1, 1]
    assert [application["cores"] for application in said["activeapps"]] == [2]


def test_a_ledger_without_a_sealed_day_and_an_unknown_engine_are_said(ledger, write_segment, row):
    write_segment([row()])
    with pytest.raises(LedgerError, match=r"engine: takes duckdb, clickhouse, spark, .* or an engine, not 'oracle'"):
        Ledger(ledger.path, "oracle")
    with pytest.raises(LedgerError, match="run `spanledger seal` first"):
        Ledger(ledger.path, "clickhouse").cost()
