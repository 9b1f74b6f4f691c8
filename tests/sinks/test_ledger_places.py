"""The kinds of process and the places that applications run in: nothing is missing without being counted.

The scenarios are those of `benchmarks/fault_table.py`, which prints them as a table.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "fault_table.py"
spec = importlib.util.spec_from_file_location("fault_table", SOURCE)
fault_table = importlib.util.module_from_spec(spec)
sys.modules["fault_table"] = fault_table
spec.loader.exec_module(fault_table)


@pytest.mark.parametrize("scenario", fault_table.SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_call_returns_and_every_charge_is_booked_or_counted_as_lost(scenario, tmp_path):
    if "gunicorn" in scenario.name:
        pytest.importorskip("gunicorn")
    told = fault_table.run(scenario, tmp_path)
    assert told.get("error") is None, told
    assert (told["booked"], told["lost"]) == (scenario.calls - scenario.lost, scenario.lost)
