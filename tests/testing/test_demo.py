"""The demo meters three real SDKs and an agentic chain, and its tables agree with each other."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import spanledger
from spanledger.testing import demo


@pytest.fixture(scope="module")
def run_and_ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[spanledger._workflow.Run, spanledger.Ledger]:
    path = tmp_path_factory.mktemp("demo") / "demo.ledger"
    return demo.run_application(path), spanledger.Ledger(path)


@pytest.mark.parametrize("by", ["team", "feature", "customer", "provider_name"])
def test_every_way_to_divide_gives_the_whole(run_and_ledger, by: str) -> None:
    _, ledger = run_and_ledger
    (whole,) = ledger.cost().rows()
    parts = ledger.cost(by=by).rows()
    assert whole["charges"] == 29
    assert whole["unpriced"] == 0
    assert sum(part["list_cost"] for part in parts) == whole["list_cost"] > Decimal("0.01")
    assert all(part[by] for part in parts)


def test_the_chain_is_one_trace_over_three_providers(run_and_ledger) -> None:
    run, ledger = run_and_ledger
    trace = ledger.trace(run.workflow_id)
    rows = trace.charges.rows()
    assert {row["provider_name"] for row in rows} == {"openai", "aws.bedrock", "anthropic"}
    assert {row["trace_id"] for row in rows} == {run.trace_id}
    assert [(row["tags"] or {}).get("step") for row in rows] == [None, "research", "research", "answer"]
    assert trace.cost == run.cost
    assert run.charges == 4


def test_the_command_prints_and_keeps_the_ledger(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spanledger.testing.demo", "--ledger", str(tmp_path / "kept.ledger")]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for title in ("Cost by team", "Cost by feature", "Cost by customer", "One run of the workflow resolve-ticket"):
        assert title in printed
    assert len(spanledger.Ledger(tmp_path / "kept.ledger").charges()) == 29
