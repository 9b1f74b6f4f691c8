"""Rows that a file system took and then did not keep: counted, and no call waits again and again for a place."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spanledger import _faults, _ids
from spanledger._types import Charge
from spanledger.ledger._health import health
from spanledger.sinks import _segment
from spanledger.sinks import ledger as sinks
from spanledger.sinks.ledger import LOOK_SECONDS, LedgerSink

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from file_systems import library

sys.path.pop(0)

EXITS = """
import sys
import time
from pathlib import Path
from spanledger import _ids
from spanledger._types import Charge
from spanledger.sinks.ledger import LedgerSink
from spanledger.sinks import _segment
_segment.MOUNTS = Path(sys.argv[3])
sink = LedgerSink(sys.argv[1])
def book(times):
    for _ in range(times):
        sink.book(Charge({"charge_id": _ids.uuid7(), "started_at": "2026-11-23T10:00:00.000000Z"}))
book(3); Path(sys.argv[2]).write_text(str(sink.segment.stat().st_size)); time.sleep(float(sys.argv[4])); book(4)
"""

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


@pytest.fixture(autouse=True)
def _nothing_lost_yet():
    _faults.reset()
    yield
    _faults.reset()


@pytest.fixture
def sink(tmp_path):
    return LedgerSink(tmp_path / "l")


@pytest.fixture
def no_signal():
    """Python ignores it; the limit of a file's size is an error then."""
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    yield limits
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """The disk of this test is called a mount of NFS."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw shared:1 - nfs4 host:/mnt rw,vers=4.2\n")
    monkeypatch.setattr(_segment, "MOUNTS", mounts)
    return mounts


def book(sink, times=1):
    for _ in range(times):
        sink.book(Charge({"charge_id": _ids.uuid7(), "started_at": "2026-11-23T10:00:00.000000Z"}))


def lost():
    return _faults.snapshot()["lost"]


@needs_cc
@pytest.mark.parametrize("pause", [0, LOOK_SECONDS + 0.1], ids=["at the end", "at a look, which gives the segment up"])
def test_rows_that_are_refused_are_told_when_the_process_ends(tmp_path, remote, pause):
    preload, refused = library("refuses later", tmp_path), tmp_path / "refused"
    environment = {**os.environ, "LD_PRELOAD": str(preload), "REFUSED": str(refused)}
    command = [sys.executable, "-W", "ignore", "-c", EXITS, str(tmp_path / "l"), str(refused), str(remote), str(pause)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    found = health(tmp_path / "l")
    assert (found.charges, found.lost) == (3, 4)


@pytest.mark.usefixtures("remote")
def test_rows_before_the_one_that_tells_of_a_full_disk_are_counted_too(sink, no_signal):
    book(sink, 2)
    kept = sink.segment.stat().st_size
    book(sink, 3)
    os.truncate(sink.segment, kept)  # what an NFS client does with rows that the server refuses
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept - 1, no_signal[1]))
    book(sink)
    resource.setrlimit(resource.RLIMIT_FSIZE, no_signal)
    assert lost() == 3 + 1
    sink.close()
    assert (lost(), health(sink.path).charges) == (3 + 1, 2)


def test_a_disk_of_this_machine_that_is_full_keeps_its_segment(sink, no_signal):
    book(sink, 2)
    segment, size = sink.segment, sink.segment.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, no_signal[1]))
    book(sink, 2)
    sink.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, no_signal)
    book(sink)
    assert (sink.segment, lost(), health(sink.path).charges) == (segment, 2, 3)


def test_zero_bytes_where_a_row_was_refused_are_no_row(sink):
    book(sink)
    first = sink.segment.stat().st_size
    book(sink, 2)
    with sink.segment.open("r+b") as file:
        file.seek(first + 5)
        file.write(bytes(first))
    assert sink._segment.missing == 2


@pytest.mark.usefixtures("remote")
def test_a_segment_that_an_nfs_client_keeps_under_another_name_is_deleted(sink):
    book(sink)
    sink.segment.rename(sink.segment.with_name(".nfs000000000000002a00000001"))
    sink._segment.look_at = 0
    book(sink)
    assert lost() == 1
    assert health(sink.path).charges == 1


def test_a_place_that_took_long_to_fail_is_left_alone_ten_times_as_long(sink):
    since = time.monotonic() - 100
    assert sink._failed(OSError(5, "Input/output error"), since).errno == 5
    assert sink._retry_at >= since + 100 + sinks.RETRY_TIMES * 100


def test_nobody_waits_while_another_thread_tries_a_failing_place_again(sink, tmp_path):
    (tmp_path / "l").write_text("no directory")
    book(sink)
    sink._retry_at = 0
    with sink._opening:  # as the thread has it that tries
        other = threading.Thread(target=book, args=(sink, 5))
        other.start()
        other.join()
    assert lost() == 6


@pytest.mark.usefixtures("remote")
def test_what_cannot_be_read_is_counted_when_it_can(sink, no_signal):
    book(sink, 3)
    path, aside = sink.segment, sink.path / "aside"
    path.rename(aside)
    path.mkdir()  # what nobody can read as a file, root neither
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, no_signal[1]))
    book(sink)
    resource.setrlimit(resource.RLIMIT_FSIZE, no_signal)
    assert lost() == 0
    path.rmdir()
    aside.rename(path)
    sink.close()
    assert lost() == 1
