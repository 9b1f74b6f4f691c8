"""Agentic chains: roll-up to where they began, what a run costs, and what was paid for nothing."""

from decimal import Decimal

import pytest

from spanledger._ids import uuid7
from spanledger.errors import PlanError
from spanledger.finops import allocate, chains

PLAN = {"plan": {"name": "p", "version": "1", "hierarchy": ["feature"], "dimensions": ["customer"]}}
ROLLED = {"plan": {**PLAN["plan"], "inherit": ["feature", "customer"]}}


def at(second, trace="t1", **row):
    return {
        "trace_id": trace,
        "workflow": "support-agent",
        "workflow_id": f"run-{trace}",
        "started_at": f"2026-11-05T12:00:{second:02d}.000000Z",
        **row,
    }


CHAIN = (
    at(2, service_name="retriever", list_cost="0.10"),
    at(1, service_name="agent", feature="answers", customer="acme", list_cost="1.00"),
    at(3, service_name="agent", feature="planning", customer="acme", list_cost="0.50"),
    at(1, "t2", service_name="agent", feature="answers", customer="globex", list_cost="2.00"),
    at(2, "t2", service_name="retriever", list_cost="0.20"),
    {"list_cost": "5.00", "feature": "batch"},
)


def owners(statement, level):
    return {row[level]: row["amount"] for row in statement.by(level)}


def test_a_shared_retriever_is_nobodys_without_its_trace(make_ledger):
    statement = allocate(make_ledger(*CHAIN), PLAN, "2026-11")
    assert owners(statement, "customer") == {
        "acme": Decimal("1.50"),
        "globex": Decimal("2.00"),
        "(unallocated)": Decimal("5.30"),
    }


def test_a_trace_passes_on_the_feature_and_customer_that_it_began_with(make_ledger):
    statement = allocate(make_ledger(*CHAIN), ROLLED, "2026-11")
    assert owners(statement, "customer") == {
        "acme": Decimal("1.60"),
        "globex": Decimal("2.20"),
        "(unallocated)": Decimal("5.00"),
    }
    assert owners(statement, "feature") == {
        "answers": Decimal("3.30"),
        "batch": Decimal("5.00"),
        "planning": Decimal("0.50"),
    }
    assert statement.ok


def test_the_root_may_be_in_the_month_before(make_ledger):
    root = at(1, feature="answers", customer="acme", list_cost="9.00") | {"started_at": "2026-10-31T23:59:59.000000Z"}
    child = at(1, list_cost="0.30") | {"started_at": "2026-11-01T00:00:01.000000Z"}
    statement = allocate(make_ledger(root, child), ROLLED, "2026-11")
    assert owners(statement, "customer") == {"acme": Decimal("0.30")}


def test_what_a_run_costs(make_ledger):
    found = chains.runs(make_ledger(*CHAIN), PLAN, "2026-11").rows()
    assert found == [
        {
            "workflow": "support-agent",
            "runs": 2,
            "charges": 5,
            "services": 2,
            "cost": Decimal("3.8"),
            "cost_per_run": Decimal("1.9"),
            "dearest": Decimal("2.2"),
            "wasted": 0,
        }
    ]
    by_customer = chains.runs(make_ledger(), ROLLED, "2026-11", by="customer").rows()
    assert [(row["customer"], row["runs"], row["cost"]) for row in by_customer] == [
        ("globex", 1, Decimal("2.2")),
        ("acme", 1, Decimal("1.6")),
    ]


def test_the_tree_of_a_run_is_the_ledgers(make_ledger):
    assert make_ledger(*CHAIN).trace("run-t1").cost == Decimal("1.60")


WASTED = (
    {"charge_id": uuid7(1_000_000), "call_id": "c1", "response_id": "r1", "list_cost": "0.40"},
    {"charge_id": uuid7(2_000_000), "call_id": "c1", "response_id": "r2", "list_cost": "0.50"},
    {"status": "error", "list_cost": "0.30"},
    {"status": "aborted", "list_cost": "0.20", "cost_status": "partial"},
    {"finish_reasons": ["length"], "list_cost": "0.10"},
    {"finish_reasons": ["stop"], "list_cost": "7.00"},
    {"status": "error", "cost_status": "not_billed", "list_cost": "0"},
)


def test_what_was_paid_for_nothing(make_ledger):
    ledger = make_ledger(*({**row, "feature": "chat"} for row in WASTED))
    found = chains.waste(ledger, PLAN, "2026-11", by="feature").rows()
    assert [(row["waste"], row["charges"], row["cost"], row["unpriced"]) for row in found] == [
        ("retried", 1, Decimal("0.4"), 0),
        ("failed", 2, Decimal("0.3"), 0),
        ("aborted", 1, Decimal("0.2"), 1),
        ("truncated", 1, Decimal("0.1"), 0),
    ]


def test_waste_is_a_dimension_of_a_statement(make_ledger):
    plan = {"plan": {"name": "p", "version": "1", "hierarchy": ["feature"], "dimensions": ["waste"]}}
    statement = allocate(make_ledger(*({**row, "feature": "chat"} for row in WASTED)), plan, "2026-11")
    assert owners(statement, "waste") == {
        "retried": Decimal("0.40"),
        "failed": Decimal("0.30"),
        "aborted": Decimal("0.20"),
        "truncated": Decimal("0.10"),
        "useful": Decimal("7.50"),
    }


def test_an_unknown_level_is_named(make_ledger):
    with pytest.raises(PlanError, match=r"by: 'team' is neither workflow nor a level of the plan: feature, customer"):
        chains.waste(make_ledger(), PLAN, "2026-11", by="team")
