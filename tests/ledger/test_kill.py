"""What a killed process had acknowledged is in the ledger, once. The full trials are the commands in `benchmarks/`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, *arguments):
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "trials"), [("append", 10), ("calls", 3), ("seal", 8), ("compact", 8), ("query", 4), ("retain", 6)]
)
def test_nothing_acknowledged_is_lost_or_doubled_by_sigkill(kind, trials):
    told = run("kill_trials.py", kind, "--trials", trials)
    assert told["acknowledged"] >= trials
    assert (told["lost"], told["trials_with_loss"], told["doubled"]) == (0, 0, 0)


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="traces by x86-64 call numbers")
def test_a_kill_after_any_system_call_of_sealing_merging_and_rolling_up_neither_loses_nor_doubles_a_charge():
    told = run("kill_every_syscall.py", "--stride", 9)
    assert told["wrong"] == []
    assert told["kills"] >= 5
