"""What a process that is killed while it seals leaves behind: in the ledger, named, removed, and nowhere else."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time

import orjson
import pytest

from spanledger import Ledger
from spanledger.cli import main
from spanledger.errors import LedgerError
from spanledger.ledger._forget import forget
from spanledger.ledger._seal import seal
from spanledger.ledger._verify import repair, verify

ROWS = 20_000
SEAL = "import sys; from pathlib import Path; from spanledger.ledger._seal import seal; seal(Path(sys.argv[1]))"


@pytest.fixture
def half_sealed(ledger, write_segment, row, tmp_path):
    """A process that is stopped in the middle of sealing, with a copy of the segment in the ledger."""
    lines = [orjson.dumps({**row(customer="acme"), "charge_id": f"c{number}"}) for number in range(ROWS)]
    write_segment(b"\n".join([*lines, b"nonsense", b""]))
    (tmp_path / "system").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "system")}
    with subprocess.Popen([sys.executable, "-c", SEAL, str(ledger.path)], env=environment) as sealer:
        while not any(path.stat().st_size for path in ledger.path.glob(".work-*/*.jsonl")):
            assert sealer.poll() is None, "it was done before it was seen"
            time.sleep(0.0005)
        sealer.send_signal(signal.SIGSTOP)
        yield sealer
        sealer.kill()


def remains(ledger):
    return list(ledger.path.glob(".work-*"))


def test_what_a_killed_sealer_leaves_is_in_the_ledger_and_repair_removes_it(ledger, half_sealed, tmp_path):
    (folder,) = remains(ledger)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert verify(ledger.path).notes == ()
    repair(ledger.path)
    assert remains(ledger) == [folder], "its process lives"
    half_sealed.kill()
    half_sealed.wait()
    assert not list((tmp_path / "system").iterdir())
    assert [note for note in verify(ledger.path).notes if str(folder) in note and "left by a process that died" in note]
    assert any(str(folder) in told for told in repair(ledger.path))
    assert remains(ledger) == []
    assert ledger.cost().rows()[0]["charges"] == ROWS


def test_forgetting_reaches_what_a_killed_sealer_left_and_waits_for_a_living_one(ledger, half_sealed):
    (folder,) = remains(ledger)
    with pytest.raises(LedgerError, match="another process is sealing or merging"):
        forget(ledger.path, "customer", "acme")
    half_sealed.kill()
    half_sealed.wait()
    assert [path for path in folder.rglob("*") if b"acme" in path.read_bytes()]
    assert forget(ledger.path, "customer", "acme").rows == ROWS
    assert not [path for path in ledger.path.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]


def test_a_sealer_that_goes_on_finishes_and_leaves_nothing(ledger, half_sealed):
    half_sealed.send_signal(signal.SIGCONT)
    assert half_sealed.wait() == 0
    assert remains(ledger) == []
    assert ledger.cost().rows()[0]["charges"] == ROWS


def test_a_sound_segment_is_sealed_and_nothing_stays_beside_it(ledger, write_segment, row):
    write_segment([row()])
    assert seal(ledger.path).charges == 1
    assert sorted(path.name for path in ledger.path.iterdir()) == ["charges", "open"]


ASK = """
import sys
from spanledger import Ledger
ledger = Ledger(sys.argv[1])
ledger.cost("customer"), ledger.charges(), ledger.sql("SELECT * FROM history"), ledger.tags(), ledger.health()
"""


def test_a_question_makes_no_file_anywhere(ledger, write_segment, row, opened_by):
    """Not of a segment that ends in zero bytes either, as the loss of power leaves one."""
    write_segment([row(customer="acme")])
    seal(ledger.path)
    padded = write_segment(orjson.dumps(row(customer="acme")) + b"\n" + b"\0" * 20_000_000)
    opened = opened_by(sys.executable, "-c", ASK, str(ledger.path))
    assert [line for line in opened if padded.name in line], "nothing was seen"
    assert [line for line in opened if "O_CREAT" in line or "O_TMPFILE" in line or "memfd_create" in line] == []


def test_the_ledger_is_sealed_and_asked_where_the_system_has_no_temporary_directory(
    ledger, write_segment, row, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    write_segment(orjson.dumps(row()) + b"\nnonsense\n")
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    assert Ledger(ledger.path).cost().rows()[0]["charges"] == 1
    assert main(["seal", str(ledger.path)]) == 0
    assert Ledger(ledger.path).cost().rows()[0]["charges"] == 1
