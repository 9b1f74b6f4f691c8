"""One suite for every engine: the same questions, the same answers to the last digit."""

from __future__ import annotations

import shutil
from datetime import date

import pytest

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.ledger._compact import compact
from spanledger.ledger._load import load
from spanledger.ledger._seal import seal

QUESTIONS = {
    "team and feature": {"by": ["team", "feature"]},
    "model and day": {"by": ["model", "day"]},
    "hour, week and month": {"by": ["hour", "week", "month"]},
    "a tag": {"by": ["tag:zone"]},
    "a condition": {"by": "team", "where": "team != 'core' and (list_cost > 0.000000000000001 or tag:zone = 'it''s')"},
    "a negated condition": {"by": "team", "where": "not (team in ('core', 'growth') or stream = true)"},
    "a period": {"by": "day", "since": "2026-11-23", "until": "2026-11-24T12:00:00Z"},
    "everything": {"by": []},
    "the first": {"by": "team", "limit": 1},
    "history": {"by": "team", "history": True},
    "unit": {"by": ["unit", "team"]},
    "a pattern": {"by": "team", "where": r"tag:path like 'C:\_%' or team like 'gr_wth'"},
}


@pytest.fixture(scope="module")
def spark():
    """A real Spark on this machine, two threads of it. Its SQL is that of a cluster."""
    pyspark_sql = pytest.importorskip("pyspark.sql")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, which is not installed here")
    from spanledger.ledger.engines.spark import Spark

    builder = pyspark_sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    quiet = builder.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "2")
    session = quiet.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield Spark(session)
    session.stop()


@pytest.fixture
def postgresql(postgres_server, filled):
    load(filled.path, postgres_server)
    return postgres_server


@pytest.fixture(params=["clickhouse", pytest.param("spark", marks=pytest.mark.filterwarnings("ignore")), "postgresql"])
def engine(request):
    if request.param != "clickhouse":
        return request.getfixturevalue(request.param)
    pytest.importorskip("chdb")
    return request.param


@pytest.fixture
def filled(ledger, write_segment, row):
    """Three days, two files in one of them, a duplicate, a correction, unknown costs and odd amounts."""
    first = row(list_cost="0.000000000000001", tags={"zone": "it's"})
    write_segment([first, row(started_at="2026-11-24T11:59:59.999999Z", team=None, stream=True)])
    write_segment(
        [row(team="core", list_cost="79228162514264337593.543950336"), row(started_at="2026-11-25T00:00:00Z")]
    )
    seal(ledger.path)
    compact(ledger.path, today=date(2026, 12, 1))
    write_segment([first, row(corrects=first["charge_id"], list_cost="2"), row(list_cost=None, cost_status="unknown")])
    seal(ledger.path)
    return ledger


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_engine_gives_the_answer_of_duckdb_to_the_last_digit(filled, engine, question):
    asked = QUESTIONS[question]
    expected, found = filled.cost(**asked), Ledger(filled.path, engine).cost(**asked)
    assert found.columns == expected.columns
    assert sorted(map(str, found.rows())) == sorted(map(str, expected.rows()))


@pytest.mark.parametrize("question", ["team and feature", "model and day", "everything", "unit"])
def test_every_engine_counts_the_charges_that_were_rolled_up(filled, engine, question):
    """Two of three days: the third is asked beside them."""
    asked = {"by": [name for name in QUESTIONS[question]["by"] if name != "feature"]}
    expected = filled.cost(**asked)
    assert len(filled.retain(date.today() - date(2026, 11, 25), by="team").days) == 2  # noqa: DTZ011 -- UTC's, too
    if str(engine).startswith("postgresql:"):
        load(filled.path, engine)
    found = Ledger(filled.path, engine).cost(**asked)
    assert sorted(map(str, found.rows())) == sorted(map(str, expected.rows()))


def test_charges_are_the_same_rows(filled, engine):
    columns = ["charge_id", "started_at", "list_cost", "team", "input_tokens", "tag:zone"]
    assert Ledger(filled.path, engine).charges(columns=columns).rows() == filled.charges(columns=columns).rows()


def test_a_ledger_without_a_sealed_day_and_an_unknown_engine_are_said(ledger, write_segment, row):
    write_segment([row()])
    with pytest.raises(LedgerError, match=r"engine: takes duckdb, clickhouse, spark, .* or an engine, not 'oracle'"):
        Ledger(ledger.path, "oracle")
    with pytest.raises(LedgerError, match="run `spanledger seal` first"):
        Ledger(ledger.path, "clickhouse").cost()
