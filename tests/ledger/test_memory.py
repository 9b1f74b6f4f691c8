"""A question that needs more memory than it may have goes on on disk in the ledger; one to some days opens theirs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import duckdb
import pytest

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.ledger._forget import forget
from spanledger.ledger._seal import seal
from spanledger.ledger._verify import repair, verify
from spanledger.ledger.engines.duckdb import DuckDB

ROWS = 1_200_000
LARGE = "SELECT count(*) AS traces, max(n) AS most FROM (SELECT trace_id, count(*) AS n FROM charges GROUP BY trace_id)"


@pytest.fixture
def many(ledger):
    """A day of many traces of two charges, as another program might have written it."""
    folder = ledger.path / "charges" / "date=2026-11-23"
    folder.mkdir(parents=True)
    rows = f"""SELECT md5(i::VARCHAR) AS charge_id, TIMESTAMP '2026-11-23' + to_microseconds(i) AS started_at,
        md5((i % {ROWS // 2} + 9999999)::VARCHAR) AS trace_id, 0.01::DECIMAL(38, 15) AS list_cost
        FROM range({ROWS}) AS r(i)"""  # noqa: S608 -- a number of ours
    duckdb.connect().execute(f"COPY ({rows}) TO '{folder}/many.parquet' (ROW_GROUP_SIZE 60000)")
    return ledger.path


SMALL = """
import sys
from spanledger import Ledger
asked = Ledger(sys.argv[1], memory=sys.argv[3])
asked._engine._threads = 2  # how much a thread needs is the engine's
for row in asked.sql(sys.argv[2]):
    print(*row.values())
"""


def small(path):
    """The ledger with little memory; how much a thread needs is the engine's, so there are two."""
    asked = Ledger(path, memory="100MB")
    asked._engine._threads = 2
    return asked


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="DuckDB counts distinct ids in memory before 2.0")
def test_a_question_larger_than_its_memory_goes_on_on_disk_and_leaves_nothing(many):
    asked = small(many)
    for _ in range(2):
        assert asked.sql(LARGE).rows() == [{"traces": ROWS // 2, "most": 2}]
    assert asked.cost("trace_id", limit=1).rows()[0]["charges"] == 2
    given = {"given": asked.sql("SELECT charge_id, trace_id FROM charges").to_arrow()}
    assert len(asked.sql("SELECT DISTINCT charge_id, trace_id FROM given", tables=given)) == ROWS
    assert [path.name for path in many.iterdir()] == ["charges"]


def test_what_a_killed_question_leaves_on_disk_is_in_the_ledger(many, tmp_path):
    (tmp_path / "system").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "system")}
    with subprocess.Popen([sys.executable, "-c", SMALL, str(many), LARGE, "100MB"], env=environment) as asking:
        while not [path for path in many.glob(".work-*/spill/*") if path.stat().st_size]:
            assert asking.poll() is None, "it was done before it was seen"
            time.sleep(0.0005)
        asking.send_signal(signal.SIGSTOP)
        with pytest.raises(LedgerError, match="or asks it more than fits into memory; try again once it has ended"):
            forget(many, "customer", "acme")
        asking.kill()
    assert not list((tmp_path / "system").iterdir())
    assert [note for note in verify(many).notes if "left by a process that died" in note]
    repair(many)
    assert [path.name for path in many.iterdir()] == ["charges"]


def test_a_ledger_that_may_not_be_written_is_asked_in_memory_and_else_says_what_to_do(many):
    """On a file system that is mounted for reading only."""
    apart = ["unshare", "-m"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting takes more rights than this process has")
    mounts = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    asks = [*apart, "sh", "-c", mounts, "sh", str(many), sys.executable, "-c", SMALL, str(many)]
    little = subprocess.run([*asks, LARGE, "50%"], check=False, capture_output=True, text=True)
    assert little.stdout == f"{ROWS // 2} 2\n", little.stderr
    much = subprocess.run([*asks, LARGE, "100MB"], check=False, capture_output=True, text=True)
    assert f"it would go on on disk in {many}, which cannot be written" in much.stderr
    assert "give the ledger more `memory`, or ask where it may be written" in much.stderr


ASK_SEVEN = """
import sys
from spanledger import Ledger
(asked,) = Ledger(sys.argv[1]).cost("team", since="2026-11-17", until="2026-11-24")
assert asked["charges"] == 7
"""


def test_the_last_seven_days_open_the_files_of_seven_days(ledger, write_segment, row, opened_by):
    """Shown by the kernel."""
    write_segment([row(started_at=f"2026-11-{day}T12:00:00Z") for day in range(10, 26)])
    seal(ledger.path)
    opened = "\n".join(opened_by(sys.executable, "-c", ASK_SEVEN, str(ledger.path)))
    days = {part.partition("/")[0] for part in opened.split("date=")[1:] if ".parquet" in part[:80]}
    assert days == {f"2026-11-{day}" for day in range(17, 24)}


def test_a_share_of_the_memory_is_a_size_to_every_version_of_the_engine():
    def limit(memory: str) -> float:
        ((said,),) = DuckDB(memory=memory).rows("SELECT current_setting('memory_limit')")
        return float(said.split()[0])

    assert limit("40%") == pytest.approx(limit("80%") / 2, rel=0.01)
    assert limit("512 MiB") == pytest.approx(512)
