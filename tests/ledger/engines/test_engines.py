"""One suite for every engine: the same questions, the same answers to the last digit."""

from __future__ import annotations

import functools
import shutil

import pytest
from tests.ledger.conftest import make_row
from tests.ledger.engines._cases import CASES, GAPS, PLAN, ROLLED_PLAN
from tests.ledger.engines.conftest import ENGINES, segment

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.finops.chains import runs
from spanledger.ledger._load import load
from spanledger.ledger._seal import seal
from spanledger.ledger.engines.postgres import Postgres

pytestmark = pytest.mark.filterwarnings("ignore:::pyspark")


@pytest.fixture(scope="session")
def expected(filled, both):
    """What DuckDB answers to a case, asked once; of days that are rolled up, what it answered before they were."""
    ledgers = {"filled": filled, "rolled": both.whole}
    return functools.cache(lambda case: CASES[case].ask(ledgers[CASES[case].of]))


@pytest.mark.parametrize("case", CASES)
def test_every_engine_gives_the_answer_of_duckdb_to_the_last_digit(asked, expected, case, request):
    engine = request.node.callspec.params["asked"]
    if reason := GAPS.get((engine, case)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    assert CASES[case].ask(asked[CASES[case].of]) == expected(case)


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case.of == "rolled"])
def test_duckdb_answers_of_rolled_up_days_as_before_they_were(both, expected, case):
    assert CASES[case].ask(both.rolled) == expected(case)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (lambda ledger: ledger.cost("user_id"), r"by: user_id is not known of every charge"),
        (lambda ledger: ledger.charges(), r"2026-11-02.* are rolled up, single charges are gone"),
        (lambda ledger: ledger.allocate(PLAN, "2026-11"), r"2026-11-02.* are rolled up"),
        (lambda ledger: runs(ledger, ROLLED_PLAN, "2026-11"), r"2026-11-02.* are rolled up"),
    ],
)
def test_every_engine_refuses_what_rolled_up_days_cannot_answer(asked, question, told):
    with pytest.raises(LedgerError, match=told):
        question(asked["rolled"])


def test_every_engine_refuses_a_correction_of_what_was_rolled_up_since(asked, both, tmp_path):
    """It would else be counted as a charge of its own."""
    path = tmp_path / "late.ledger"
    shutil.copytree(both.rolled.path, path)
    late = make_row(started_at="2026-11-02T09:00:00Z", corrects="gone", list_cost="5")
    segment(path, late)
    seal(path)
    engine = asked["rolled"]._reader.other
    if isinstance(engine, Postgres):
        load(path, engine.address)
    for ledger in (Ledger(path), Ledger(path, engine)):
        with pytest.raises(
            LedgerError, match=f"1 corrections, e.g. {late['charge_id']}, are of charges that have been"
        ):
            ledger.cost()


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
