"""The kinds of process and the places that applications run in: nothing is missing without being counted.

The scenarios are those of `benchmarks/fault_scenarios.py`, which `benchmarks/fault_table.py` prints as a table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger.testing import ProviderServer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import fault_table  # noqa: E402 -- benchmarks are no package
import nfs_scenarios  # noqa: E402
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


@pytest.mark.parametrize(("name", "scenarios"), [("ledger-faults", SCENARIOS), ("ledger-nfs", nfs_scenarios.SCENARIOS)])
def test_the_page_has_every_scenario(name, scenarios):
    page = (ROOT / f"docs/explanation/{name}.md").read_text()
    assert [scenario.name for scenario in scenarios if f"| {scenario.name}" not in page] == []


def test_the_guest_says_what_it_needs_where_that_is_missing():
    command = [sys.executable, str(ROOT / "benchmarks/nfs_guest.py")]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs linux.uml, debootstrap, mke2fs: apt-get install user-mode-linux" in done.stderr
