"""Locks that NFS gives to all machines: of files, and to those who may write."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spanledger.ledger._locks import held, opened
from spanledger.ledger._workspace import remove_abandoned, workspace

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from file_systems import library

sys.path.pop(0)

TWO = """
import sys
from pathlib import Path
from spanledger.ledger._locks import held
from spanledger.ledger._workspace import remove_abandoned, workspace
root = Path(sys.argv[1])
day = root / "day"
day.mkdir()
with workspace(root) as folder, held(day) as mine:
    with held(day) as again:
        print(mine, again, remove_abandoned(root), folder.is_dir())
with held(day) as mine:
    print(mine)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_locks_a_file_or_a_directory_may_write_as_nfs_asks_for(tmp_path, kind):
    place = tmp_path / "place"
    place.touch() if kind == "file" else place.mkdir()
    fd, locked = opened(place)
    with os.fdopen(fd):
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        assert locked.is_file()
        with held(place) as mine:
            assert mine
            with held(place) as again:
                assert not again


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_two_at_work_keep_off_each_other_where_no_directory_can_be_locked(tmp_path):
    environment = {**os.environ, "LD_PRELOAD": str(library("locks as NFS", tmp_path))}
    root = tmp_path / "l"
    root.mkdir()
    done = subprocess.run([sys.executable, "-c", TWO, str(root)], check=True, env=environment, capture_output=True)
    assert done.stdout.decode().split("\n")[:2] == ["True False [] True", "True"]
    assert [path.name for path in root.iterdir()] == ["day"]


def test_a_directory_that_is_gone_is_held_by_nobody(tmp_path):
    with held(tmp_path / "none") as mine:
        assert not mine


def test_a_directory_that_the_remover_keeps_a_file_in_goes_once_it_is_let_go(tmp_path):
    with workspace(tmp_path) as folder:
        kept = folder / "kept"
        kept.touch()
    assert not folder.exists()
    folder.mkdir()
    assert remove_abandoned(tmp_path) == [folder]
