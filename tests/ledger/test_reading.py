"""Segments as crashes, other versions and other processes leave them."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import orjson
import pytest

from spanledger._types import Charge
from spanledger.ledger._verify import verify
from spanledger.sinks.ledger import LedgerSink


def total(ledger, **asked):
    (answer,) = ledger.cost(**asked).rows()
    return answer["charges"], answer["list_cost"]


def test_a_torn_last_line_is_skipped_and_counted(ledger, write_segment, row):
    whole = orjson.dumps(row()) + b"\n"
    path = write_segment(whole * 0 + whole + orjson.dumps(row())[:-9])
    assert total(ledger) == (1, Decimal("0.01"))
    health = ledger.health()
    assert (health.charges, health.torn, health.corrupt) == (1, 1, 0)
    assert health.segments[path.name].torn == 1
    assert path.name in str(health)


def test_a_line_that_a_living_process_has_not_finished_is_no_fault_until_it_is_gone(ledger, row):
    sink = LedgerSink(ledger.path)
    sink.book(Charge(row()))
    line = orjson.dumps(row()) + b"\n"
    with sink.segment.open("ab", buffering=0) as file:
        file.write(line[:-40])
        assert total(ledger) == (1, Decimal("0.01"))
        assert (ledger.health().charges, ledger.health().torn, ledger.health().ok) == (1, 0, True)
        assert verify(ledger.path).notes == ()
        file.write(line[-40:-20])
        sink.close()
        assert (ledger.health().charges, ledger.health().torn) == (1, 1)
        file.write(line[-20:])
    assert (ledger.health().charges, ledger.health().torn) == (2, 0)


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1, 2]", b'"text"', b"nonsense", b"\xff\xfe", b"{}", b'{"charge_id": 7, "started_at": null}', b"null",
     b"[" * 300_000],
)  # fmt: skip
def test_a_corrupt_line_is_skipped_and_counted_and_hides_no_other(ledger, write_segment, row, line):
    path = write_segment(orjson.dumps(row()) + b"\n" + line + b"\n" + orjson.dumps(row()) + b"\n")
    assert total(ledger) == (2, Decimal("0.02"))
    assert ledger.health().segments[path.name].corrupt == 1


def test_zero_bytes_and_empty_lines_are_padding(ledger, write_segment, row):
    write_segment(orjson.dumps(row()) + b"\n\n\n" + orjson.dumps(row()) + b"\n" + b"\0" * 20_000_000)
    assert total(ledger) == (2, Decimal("0.02"))
    health = ledger.health()
    assert (health.charges, health.corrupt, health.torn) == (2, 0, 0)


def test_an_empty_segment_is_no_fault(ledger, write_segment, row):
    write_segment(b"")
    assert len(ledger.charges()) == 0
    write_segment([row()])
    assert total(ledger)[0] == 1
    assert ledger.health().ok


def test_a_charge_that_stands_twice_counts_once(ledger, write_segment, row):
    write_segment([one := row(), row()])
    write_segment([one])
    assert total(ledger) == (2, Decimal("0.02"))
    assert total(ledger, history=True)[0] == 3


def test_the_latest_correction_stands_and_history_has_all(ledger, book, row):
    book(original := row())
    book(first := row(corrects=original["charge_id"], list_cost="1"))
    assert total(ledger) == (1, Decimal(1))
    book(second := row(corrects=original["charge_id"], list_cost="2"))
    assert total(ledger) == (1, Decimal(2))
    book(row(corrects=second["charge_id"], list_cost="3"))
    assert total(ledger) == (1, Decimal(3))
    assert {one["charge_id"] for one in ledger.charges(history=True)} >= {original["charge_id"], first["charge_id"]}


def test_a_ledger_is_read_while_processes_append(ledger, row, tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(
        "import sys, orjson\nfrom spanledger import _ids\nfrom spanledger._types import Charge\n"
        "from spanledger.sinks.ledger import LedgerSink\n"
        "sink = LedgerSink(sys.argv[1])\nrow = orjson.loads(sys.argv[2])\n"
        "for _ in range(3000):\n    sink.book(Charge({**row, 'charge_id': _ids.uuid7()}))\n"
    )
    command = [sys.executable, str(script), str(ledger.path), orjson.dumps(row()).decode()]
    writers = [subprocess.Popen(command) for _ in range(3)]
    counts = []
    while any(writer.poll() is None for writer in writers):
        if any(ledger.path.glob("open/*.jsonl")):
            counts.append(sum(row["charges"] for row in ledger.cost()))
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert counts == sorted(counts)
    assert total(ledger) == (9000, Decimal(90))


def test_a_child_process_may_ask_after_a_fork(ledger, book, row, run_python):
    book(row())
    done = run_python(
        "import os, sys, warnings\nfrom spanledger import Ledger\nledger = Ledger(sys.argv[1])\nledger.cost()\n"
        "warnings.simplefilter('ignore')  # from 3.12 on Python warns of any fork beside threads\n"
        "child = os.fork()\nif not child:\n    print(ledger.cost().rows()[0]['charges'], flush=True)\n    os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n",
        str(ledger.path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
