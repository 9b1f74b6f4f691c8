"""What a killed process had acknowledged is in the ledger. The full trials: `python benchmarks/kill_trials.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = Path(__file__).parents[2] / "benchmarks" / "kill_trials.py"


@pytest.mark.parametrize(("kind", "trials"), [("append", 10), ("calls", 3)])
def test_nothing_acknowledged_is_lost_or_doubled_by_sigkill(kind, trials):
    command = [sys.executable, str(TRIALS), kind, "--trials", str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["acknowledged"] >= trials
    assert (told["lost"], told["trials_with_loss"], told["doubled"]) == (0, 0, 0)
