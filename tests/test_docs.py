"""Every page of the documentation can be found."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spanledger import Ledger, finops
from spanledger.finops import caching, chains, coverage, indicators, seats, unit_costs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


def pages_of(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
        return
    for entry in nav.values() if isinstance(nav, dict) else nav:
        yield from pages_of(entry)


def test_every_page_is_in_the_navigation() -> None:
    settings = tomllib.loads((ROOT / "zensical.toml").read_text())
    listed = sorted(pages_of(settings["project"]["nav"]))
    assert listed == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))


QUESTIONS = [name for name in vars(Ledger) if not name.startswith("_")]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_to_a_ledger_is_in_its_reference_with_what_it_takes(name: str) -> None:
    """`**question` is what every question takes, and is described once."""
    page = (ROOT / "docs" / "reference" / "query.md").read_text()
    (row,) = [row for row in page.splitlines() if row.startswith("| `") and f"`{name}(" in row]
    (called,) = [call for call in row.split("`") if call.startswith(f"{name}(")]
    listed = {word.strip() for word in called.removeprefix(f"{name}(").rstrip(")").split(",")} - {""}
    taken = set(inspect.signature(getattr(Ledger, name)).parameters) - {"self", "question"}
    assert listed == taken


FINANCE = {
    "allocate": finops.allocate,
    "close": finops.close,
    "corrections": finops.corrections,
    "split": finops.split,
    "Plan.load": finops.Plan.load,
    "Plan.from_dict": finops.Plan.from_dict,
    "Rules.load": finops.Rules.load,
    "Rules.from_dict": finops.Rules.from_dict,
    "coverage.coverage": coverage.coverage,
    "coverage.failures": coverage.failures,
    "coverage.difference": coverage.difference,
    "coverage.gains": coverage.gains,
    "unit_costs.unit_costs": unit_costs.unit_costs,
    "unit_costs.margin": unit_costs.margin,
    "chains.runs": chains.runs,
    "chains.waste": chains.waste,
    "caching.cache": caching.cache,
    "indicators.indicators": indicators.indicators,
    "seats.read": seats.read,
    "seats.charges": seats.charges,
    "seats.pooled": seats.pooled,
}


@pytest.mark.parametrize("name", FINANCE)
def test_every_question_of_finance_is_in_its_reference_with_what_it_takes(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "allocation.md").read_text()
    assert f"`{name}({', '.join(inspect.signature(FINANCE[name]).parameters)})`" in page
