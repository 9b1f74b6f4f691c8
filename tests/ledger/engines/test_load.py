"""Loading sealed files into a real PostgreSQL: once each, whole or not at all, whatever stands in them."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date

import duckdb
import pytest
from tests.ledger.engines._servers import wait_until

from spanledger import Ledger
from spanledger.cli import main
from spanledger.errors import LedgerError
from spanledger.ledger._compact import compact
from spanledger.ledger._load import load
from spanledger.ledger._seal import seal

psycopg = pytest.importorskip("psycopg")

LOAD = [sys.executable, "-c", "import sys; from spanledger.cli import main; sys.exit(main())", "load"]
AWKWARD = [
    "",
    "\\N",
    "NULL",
    '"',
    "a\nb",
    "a\n\\.\nb",
    "back\\slash",
    "it's",
    "{x,y}",
    "ü\u2028",
    "comma,",
    "%_",
    " lead and trail ",
]


@pytest.fixture
def server(postgres_server):
    """An empty one."""
    with psycopg.connect(postgres_server) as connection:
        connection.execute("DROP SCHEMA IF EXISTS spanledger CASCADE")
    return postgres_server


def stored(address):
    with psycopg.connect(address) as connection:
        return connection.execute("SELECT count(*), count(DISTINCT charge_id) FROM spanledger.charges").fetchone()


def loaded(address):
    """How many files are there, after those of a killed process are taken back."""
    with psycopg.connect(address) as connection:
        there = connection.execute("SELECT to_regclass('spanledger.files')").fetchone()[0]
        return connection.execute("SELECT count(*) FROM spanledger.files").fetchone()[0] if there else 0


def fill(ledger, write_segment, row, days=range(1, 6)):
    write_segment([row(started_at=f"2026-11-{day:02}T10:00:00Z") for day in days for _ in range(3)])
    seal(ledger.path)


def test_loading_again_loads_nothing_and_a_new_file_only(ledger, write_segment, row, server, capsys):
    fill(ledger, write_segment, row)
    assert load(ledger.path, server) == (5, 15, 0)
    fill(ledger, write_segment, row, days=[6])
    assert main(["load", str(ledger.path), server]) == 0
    assert capsys.readouterr().out == "loaded 1 files, 3 charges; 5 were there\n"
    assert load(ledger.path, server) == (0, 0, 6)
    assert stored(server) == (18, 18)


def test_a_merged_file_takes_the_place_of_those_it_replaces(ledger, write_segment, row, server):
    for _ in range(3):
        fill(ledger, write_segment, row, days=[1, 2])
    load(ledger.path, server)
    compact(ledger.path, today=date(2026, 12, 1))
    with pytest.raises(LedgerError, match="are not at the server: run `spanledger load`"):
        Ledger(ledger.path, server).cost()
    assert load(ledger.path, server) == (2, 18, 0)
    assert stored(server) == (18, 18)
    assert Ledger(ledger.path, server).cost("day").rows() == ledger.cost("day").rows()


def test_every_value_comes_back_as_it_was(ledger, write_segment, row, server):
    texts = [
        row(team=text, tags={text: text}, finish_reasons=[text, "x"], error_type=text, usage={"input": "0.000000001"})
        for text in AWKWARD
    ]
    numbers = [
        row(list_cost="-79228162514264337593.543950336", duration_ms=0.1, stream=True, costs={"input": None}),
        row(list_cost=None, tags={}, usage=None, costs=None, finish_reasons=[]),
    ]
    write_segment([*texts, *numbers])
    seal(ledger.path)
    load(ledger.path, server)
    assert Ledger(ledger.path, server).charges().rows() == ledger.charges().rows()
    zero = "a\0b"
    write_segment([row(team=zero, tags={zero: zero}, finish_reasons=[zero])])
    seal(ledger.path)
    load(ledger.path, server)
    (found,) = Ledger(ledger.path, server).charges(limit=1, columns=["team", "tags", "finish_reasons"])
    shown = "a\ufffdb"
    assert found == {"team": shown, "tags": {shown: shown}, "finish_reasons": [shown]}


def test_a_load_that_is_killed_goes_on_where_it_stopped(ledger, write_segment, row, server):
    fill(ledger, write_segment, row, days=range(1, 29))
    for files in (1, 5, 9):
        with subprocess.Popen([*LOAD, str(ledger.path), server]) as process:
            wait_until(lambda files=files: loaded(server) >= files, "nothing is loaded")
            process.kill()
        assert process.returncode == -signal.SIGKILL
    done = load(ledger.path, server)
    assert done.there >= 9
    assert (done.files + done.there, done.charges) == (28, 3 * done.files)
    assert stored(server) == (84, 84)


def test_two_at_once_load_each_file_once(ledger, write_segment, row, server):
    fill(ledger, write_segment, row)
    both = [subprocess.Popen([*LOAD, str(ledger.path), server], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(int(words[1]) for words in said) == 5
    assert stored(server) == (15, 15)


def test_a_load_makes_no_file_anywhere(ledger, write_segment, row, server, opened_by):
    fill(ledger, write_segment, row)
    opened = opened_by(*LOAD, str(ledger.path), server)
    assert stored(server) == (15, 15)
    assert [line for line in opened if str(ledger.path / "charges") in line], "nothing was seen"
    assert [line for line in opened if "O_CREAT" in line or "O_TMPFILE" in line or "memfd_create" in line] == []


HUNGRY = """
import resource, sys
from pathlib import Path
from spanledger.ledger._load import load
rows = load(Path(sys.argv[1]), sys.argv[2]).charges
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_what_a_load_takes_of_memory_does_not_grow_with_the_file(ledger, server, run_python):
    folder = ledger.path / "charges" / "date=2026-11-23"
    folder.mkdir(parents=True)
    peaks = []
    for rows in (50_000, 500_000):
        long = (
            "SELECT i::VARCHAR AS charge_id, TIMESTAMP '2026-11-23' AS started_at, repeat(md5(i::VARCHAR), 16) AS team"
        )
        query = f"{long} FROM range({rows}) AS r(i)"
        duckdb.connect().execute(f"COPY ({query}) TO '{folder}/{rows}.parquet' (ROW_GROUP_SIZE 20000)")
        told = run_python(HUNGRY, str(ledger.path), server)
        found, peak = map(int, told.stdout.split())
        assert found == rows, told.stderr
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 100_000, "of 256 MB of text"


def test_a_file_that_cannot_be_read_to_its_end_is_named_and_nothing_of_it_is_loaded(ledger, server):
    folder = ledger.path / "charges" / "date=2026-11-23"
    folder.mkdir(parents=True)
    path = folder / "damaged.parquet"
    rows = "SELECT i::VARCHAR AS charge_id, TIMESTAMP '2026-11-23' AS started_at, md5(i::VARCHAR) AS team"
    duckdb.connect().execute(f"COPY ({rows} FROM range(100000) AS r(i)) TO '{path}' (ROW_GROUP_SIZE 10000)")
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 10_000] = bytes(10_000)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"damaged\.parquet: cannot be read: "):
        load(ledger.path, server)
    assert stored(server) == (0, 0)
    assert loaded(server) == 0


def test_what_the_server_says_is_passed_on(ledger, write_segment, row):
    fill(ledger, write_segment, row, days=[1])
    with pytest.raises(LedgerError, match=r"the ledger cannot answer: connection .*failed"):
        load(ledger.path, "postgresql://nobody@/nothing?host=/nowhere")
    with pytest.raises(LedgerError, match=r"engine: takes .* postgresql://\.\.\. or an engine"):
        Ledger(ledger.path, "postgresql")
