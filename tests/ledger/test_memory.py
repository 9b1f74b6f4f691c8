"""A question that needs more memory than it may have goes on on disk; a question to some days opens only theirs."""

from __future__ import annotations

import shutil
import subprocess
import sys

import duckdb
import pytest

from spanledger import Ledger
from spanledger.errors import LedgerError

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


def small(path, *settings):
    """The ledger with little memory; how much a thread needs is the engine's, so there are two."""
    asked = Ledger(path, memory="100MB")
    for setting in ("threads = 2", *settings):
        asked._engine.connection.execute(f"SET {setting}")
    return asked


def test_a_question_larger_than_its_memory_goes_on_on_disk(many):
    with pytest.raises(LedgerError, match="Out of Memory"):
        small(many, "temp_directory = ''").sql(LARGE)
    assert small(many).sql(LARGE).rows() == [{"traces": ROWS // 2, "most": 2}]
    assert small(many).cost("trace_id", limit=1).rows()[0]["charges"] == 2


OPENED = """
import sys
from spanledger import Ledger
print(sum(row["charges"] for row in Ledger(sys.argv[1]).cost("team", since="2026-11-17", until="2026-11-24")))
"""


def test_the_last_seven_days_open_the_files_of_seven_days(ledger, write_segment, row, tmp_path):
    """Shown by the kernel: every file that the process opens, by `strace`."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("strace is not installed")
    from spanledger.ledger._seal import seal

    write_segment([row(started_at=f"2026-11-{day}T12:00:00Z") for day in range(10, 26)])
    seal(ledger.path)
    log = tmp_path / "opened"
    command = [strace, "-f", "-e", "trace=openat", "-o", str(log), sys.executable, "-c", OPENED, str(ledger.path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert told == "7\n"
    days = {part.partition("/")[0] for part in log.read_text().split("date=")[1:] if ".parquet" in part[:80]}
    assert days == {f"2026-11-{day}" for day in range(17, 24)}
