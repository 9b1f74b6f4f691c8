"""What a sealed charge takes on disk: the same rows give the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import ledger_generate

sys.path.pop(0)  # where other tests' modules have the same names


@pytest.mark.parametrize(("ids", "most"), [(False, 30), (True, 80)])
def test_a_day_of_ten_million_charges_takes_no_more_than_it_may(tmp_path, ids, most):
    """A day of the 90 that `benchmarks/ledger_generate.py 10000000` makes, with random ids and without."""
    rows = 111_111
    ledger_generate.generate_day(tmp_path, 40, rows, ids=ids)
    assert rows * (most - 20) < ledger_generate.size_of(tmp_path) <= rows * most
