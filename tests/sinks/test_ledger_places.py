"""The kinds of process and the places that applications run in: nothing is missing without being counted.

The scenarios are those of `benchmarks/fault_scenarios.py`, which `benchmarks/fault_table.py` prints as a table.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger.testing import ProviderServer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import fault_table  # noqa: E402 -- benchmarks are no package
from fault_scenarios import SCENARIOS  # noqa: E402

sys.path.pop(0)  # other tests have modules of the same names elsewhere


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that other users may look into, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_answer_is_right_and_every_charge_is_booked_or_counted_as_lost(scenario, server, folder):
    if reason := fault_table.missing(scenario):
        pytest.skip(reason)
    told = fault_table.run(scenario, folder, server.base_url)
    assert told.right == scenario.calls
    assert told.booked + told.lost == scenario.calls
    assert told.lost == scenario.lost or (scenario.lost is None and told.lost > 0)
    assert bool(told.logged) == bool(told.lost)
    assert told.also.get("own", "mine") == "mine"
    assert told.also.get("refused", "spanledger runs in the main interpreter only:").startswith("spanledger runs in")


def test_the_page_has_every_scenario():
    page = (ROOT / "docs/explanation/ledger-faults.md").read_text()
    assert [scenario.name for scenario in SCENARIOS if f"| {scenario.name}" not in page] == []
