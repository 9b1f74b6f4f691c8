"""An older ledger under this code, a newer one under older code, and what neither knows of the other is kept."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from spanledger import Ledger
from spanledger.ledger._compact import compact
from spanledger.ledger._forget import forget
from spanledger.ledger._seal import seal
from spanledger.ledger._verify import verify

OLDER = Path(__file__).parent / "data" / "older"
FIRST_READER = "1ffa520"
"""The first version that reads sealed days: the one that sealed those in `data/older`."""

ASK = """
import json, sys
from spanledger import Ledger
ledger = Ledger(sys.argv[1])
rows = [{name: str(value) for name, value in row.items()} for by in ("team", "unit") for row in ledger.cost(by)]
print(json.dumps([len(ledger.charges(history=True)), rows]))
"""


@pytest.fixture
def older(tmp_path):
    """A ledger of the first versions, as `data/make_older.py` made it."""
    path = tmp_path / "spend.ledger"
    shutil.copytree(OLDER, path)
    return Ledger(path)


@pytest.fixture
def first_reader(tmp_path):
    """Asks a ledger with the code of the first version that reads one."""
    git = shutil.which("git") or "git"
    command = [git, "archive", FIRST_READER, "src"]
    archive = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, capture_output=True)
    if archive.returncode:
        pytest.skip("the history of the repository is not here")
    folder = tmp_path / "older-code"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")

    def ask(ledger):
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", ASK, str(ledger.path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def sums(ledger):
    return [ledger.cost(by).rows() for by in ("day,team", "unit", 'tag:"Odd key",customer', "model,status")]


def test_an_older_ledger_is_read(older):
    assert {row["team"]: (row["charges"], row["list_cost"]) for row in older.cost("team")} == {
        "growth": (5, Decimal("0.009187500000005")),
        "core": (1, None),
    }
    assert older.tags() == ["Odd key", "plan"]
    assert len(older.charges(history=True)) == 7
    assert verify(older.path).problems == ()


def test_an_older_ledger_goes_through_everything_that_keeps_one_in_order(older):
    before = sums(older)
    seal(older.path)
    assert compact(older.path, date(2026, 12, 1)) == 4
    assert sums(older) == before
    totals = older.cost("day,team").rows()
    assert forget(older.path, "customer", "other").rows == 1
    assert older.cost("day,team").rows() == totals
    before = older.cost("day,team,unit").rows(), older.cost("customer,status").rows()
    assert [day.told.charges for day in older.retain("200d", by="team,customer").days] == [3, 3]
    assert (older.cost("day,team,unit").rows(), older.cost("customer,status").rows()) == before


def test_older_code_reads_what_this_code_writes(older, first_reader, write_segment, row):
    """The money and the tokens; what older code cannot know is that a row of a rolled-up day is several charges."""
    write_segment([row(tags={"plan": "pro"}, unheard_of=1, charge_count=None), row(team="core")])
    expected = [{name: str(value) for name, value in one.items()} for by in ("team", "unit") for one in older.cost(by)]
    assert first_reader(older) == [9, expected]
    seal(older.path)
    assert first_reader(older) == [9, expected]
    compact(older.path, date(2026, 12, 1))
    assert first_reader(older) == [9, expected]
    older.retain("200d", by="team")
    _, told = first_reader(older)
    uncounted = ("charges", "unpriced")
    assert [{**row, **dict.fromkeys(uncounted)} for row in told] == [
        {**row, **dict.fromkeys(uncounted)} for row in expected
    ]


def test_what_a_newer_version_wrote_is_kept_through_everything(ledger, write_segment, row):
    """A key in a segment that no column holds, and a column of a sealed file."""
    write_segment([row(started_at="2026-01-05T10:00:00Z", customer=name, joules="3") for name in ("acme", None)])
    seal(ledger.path)
    folder = ledger.path / "charges" / "date=2026-01-05"
    newer = (
        "SELECT 'new' AS charge_id, TIMESTAMP '2026-01-05' AS started_at, 1::DECIMAL(38, 15) AS list_cost, 7 AS novel"
    )
    duckdb.sql(f"COPY ({newer}) TO '{folder}/newer.parquet'")

    def kept():
        (path,) = folder.glob("*.parquet")
        columns = pq.read_table(path).select(["novel", "extra"]).to_pylist()
        return sorted((row["novel"] or 0, row["extra"]) for row in columns if row["novel"] or row["extra"])

    compact(ledger.path, date(2026, 12, 1))
    assert kept() == [(0, '{"joules":"3"}'), (0, '{"joules":"3"}'), (7, None)]
    assert forget(ledger.path, "customer", "acme").rows == 1
    assert kept() == [(0, '{"joules":"3"}'), (7, None)]
    ledger.retain("200d")
    assert kept() == [(0, '{"joules":"3"}'), (7, None)]
    assert ledger.cost().rows()[0]["charges"] == 3
