"""Real engines, one ledger that has of everything, and one with days that are rolled up beside days that are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from tests.ledger.conftest import make_row
from tests.ledger.engines._cases import KEPT
from tests.ledger.engines._servers import QUICK, Cluster, postgres, postgres_programs, spark_cluster

from spanledger import Ledger
from spanledger._ids import uuid7
from spanledger.ledger._compact import compact
from spanledger.ledger._load import load
from spanledger.ledger._seal import seal


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Several days, two files in one of them, a duplicate, corrections, two currencies, unknown costs, odd amounts."""
    root = tmp_path_factory.mktemp("engines") / "spend.ledger"
    first = make_row(list_cost="0.000000000000001", tags={"zone": "it's"}, finish_reasons=["stop", 'a "b"'])
    traced = {"trace_id": "a" * 32, "workflow": "agent", "workflow_id": "run-1"}
    segment(root, first, make_row(started_at="2026-11-24T11:59:59.999999Z", team=None, stream=True))
    segment(
        root,
        make_row(team="core", list_cost="79228162514264337593.543950336", tags={"path": "C:\\_x", "zone": ""}),
        make_row(
            started_at="2026-11-25T00:00:00Z", usage={"input": 5, "gpu_seconds": "0.000000001"}, duration_ms=1.001
        ),
        make_row(started_at="2026-11-02T10:00:00Z", customer="acme", span_id="b" * 16, duration_ms=2.5, **traced),
        make_row(started_at="2026-11-02T10:00:01Z", team="core", finish_reasons=["length"], status="aborted", **traced),
        make_row(started_at="2026-11-03T10:00:01Z", billed_model="gpt-5-mini", tags={"step": "plan/search"}, **traced),
        make_row(started_at="2026-11-04T10:00:01Z", usage={"input": 5, "cache_read": 7}, costs={"input": "0.1"}),
        make_row(started_at="2026-11-05T10:00:01Z", duration_ms=0.0001, time_to_first_chunk_ms=1499.207),
        make_row(
            started_at="2026-10-04T10:00:01Z", currency="EUR", tags={"zone": "eu"}, feature="f", input_tokens=None
        ),
    )
    seal(root)
    compact(root, today=date(2026, 12, 1))
    corrected = make_row(corrects=first["charge_id"], list_cost="2", contracted_cost="2", effective_cost="1.9")
    again = make_row(corrects=first["charge_id"], list_cost="3", contracted_cost=None, effective_cost=None)
    segment(root, first, corrected, again, make_row(list_cost=None, cost_status="unknown", usage=None, costs=None))
    seal(root)
    return Ledger(root)


class Both(NamedTuple):
    """One ledger twice: as it was, and with its days before 10 November rolled up."""

    whole: Ledger
    rolled: Ledger


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Days of several charges that are alike, unknown costs, corrections before the days were rolled up and after."""
    whole = tmp_path_factory.mktemp("rolled") / "spend.ledger"
    segment(whole, *_november(), make_row(started_at="2026-10-04T10:00:01Z", currency="EUR", tags={"zone": "eu"}))
    seal(whole)
    rolled = whole.with_name("rolled.ledger")
    shutil.copytree(whole, rolled)
    age = date.today() - date(2026, 11, 10)  # noqa: DTZ011 -- UTC's, too
    assert [day.day.day for day in Ledger(rolled).retain(age, by=KEPT).days] == [4, 2, 9]
    return Both(Ledger(whole), Ledger(rolled))


def _november() -> Iterator[dict[str, Any]]:
    for day in (2, 9, 17, 24):
        at = {"started_at": f"2026-11-{day:02}T09:00:00Z"}
        for number in range(7):
            usage = {"input": 10 + number, **({"gpu_seconds": "0.000000001"} if number % 2 else {})}
            tokens = {"input_tokens": 10 + number, "cache_read_tokens": 5 * (number % 2)}
            team, customer = ("growth", "core", None)[number % 3], ("acme", None)[number % 2]
            who = {"team": team, "customer": customer, "workflow_id": f"run-{number % 2}"}
            yield make_row(**at, **tokens, **who, usage=usage, list_cost=f"0.77700000000000{number}")
        first = make_row(**at, billed_model="gpt-5-mini", tags={"zone": "it's"}, list_cost="0.000000000000001")
        yield first
        yield make_row(**at, corrects=first["charge_id"], list_cost="79228162514264337593.543950336", team="core")
        yield make_row(**at, list_cost=None, cost_status="unknown", usage=None, costs=None)
        yield make_row(**at, operation="seat", list_cost="19.00", effective_cost="19.00")


def segment(root: Path, *rows: dict[str, Any]) -> None:
    path = root / "open" / f"other-1-{uuid7()}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL."""
    pytest.importorskip("psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL server on this machine")
    with postgres(programs) as address:
        yield address


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Spark cluster on loopback, and a session with it that `Spark` finds."""
    pyspark_sql = pytest.importorskip("pyspark.sql")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, which is not installed here")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": QUICK,
        "spark.executor.extraJavaOptions": QUICK,
        "spark.executor.memory": "512m",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }
    with spark_cluster() as started:
        builder = pyspark_sql.SparkSession.builder.master(started.address)
        session = builder.config(map=settings).getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        yield started
        session.stop()


def _clickhouse(_request: pytest.FixtureRequest, _ledgers: Iterable[Ledger]) -> str:
    pytest.importorskip("chdb")
    return "clickhouse"


def _spark(request: pytest.FixtureRequest, _ledgers: Iterable[Ledger]) -> str:
    address: str = request.getfixturevalue("cluster").address
    return address


def _postgresql(request: pytest.FixtureRequest, ledgers: Iterable[Ledger]) -> str:
    address: str = request.getfixturevalue("postgres_server")
    for ledger in ledgers:
        load(ledger.path, address)
    return address


ENGINES: dict[str, Callable[[pytest.FixtureRequest, Iterable[Ledger]], str]] = {
    "clickhouse": _clickhouse,
    "spark": _spark,
    "postgresql": _postgresql,
}


@pytest.fixture(params=ENGINES, scope="session")
def asked(request: pytest.FixtureRequest, filled: Ledger, both: Both) -> dict[str, Ledger]:
    """The ledgers on one of the engines."""
    ledgers = {"filled": filled, "rolled": both.rolled}
    engine = ENGINES[request.param](request, ledgers.values())
    return {name: Ledger(ledger.path, engine) for name, ledger in ledgers.items()}
