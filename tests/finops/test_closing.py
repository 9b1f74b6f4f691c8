"""A closed period stands; what changes later is a correction, and the two tie to the present."""

from decimal import Decimal

import pytest

from spanledger.errors import LedgerError, PlanError
from spanledger.finops import allocate, close, corrections
from spanledger.finops._views import total_of

PLAN = {
    "plan": {"name": "showback / all", "version": "2026-11-01", "hierarchy": ["team"], "dimensions": ["customer"]},
    "pools": [{"name": "gateway", "amount": "100.00", "driver": "requests"}],
    "commitments": [{"name": "ptu", "owner": "platform", "price": "1.00", "hours": 30, "used": {"search": 12}}],
}
ROW = {"team": "search", "customer": "acme", "list_cost": "1.25"}
LATE = {"team": "growth", "customer": "globex", "list_cost": "3.335"}


@pytest.fixture
def ledger(make_ledger):
    return make_ledger(ROW, ROW)


def present(ledger):
    """The same question of a plan under another name, for which nothing is closed."""
    return allocate(ledger, {**PLAN, "plan": {**PLAN["plan"], "name": "present"}}, "2026-11")


def test_a_closed_period_does_not_change(ledger, make_ledger):
    before = allocate(ledger, PLAN, "2026-11")
    folder = close(ledger, before)
    assert folder.parts[-4:-2] == ("statements", "2026-11")
    ledger = make_ledger(LATE)
    after = allocate(ledger, PLAN, "2026-11")
    assert after.lines.to_arrow() == before.lines.to_arrow()
    assert after.drivers.to_arrow() == before.drivers.to_arrow()
    assert (after.checks, after.commitments, after.rules) == (before.checks, before.commitments, before.rules)
    assert present(ledger).total == before.total + Decimal("3.34")


def test_what_changed_is_a_correction_that_ties(ledger, make_ledger):
    close(ledger, allocate(ledger, PLAN, "2026-11"))
    assert not corrections(ledger, PLAN, "2026-11").lines.rows()
    ledger = make_ledger(LATE)
    first = corrections(ledger, PLAN, "2026-11")
    assert first.ok
    assert {row["kind"] for row in first.lines} == {"correction"}
    assert {(row["source"], row["team"]): str(row["amount"]) for row in first.lines} == {
        ("direct", "growth"): "3.34",
        ("gateway", "growth"): "33.33",
        ("gateway", "search"): "-33.33",
    }
    assert first.chargeback().balanced
    close(ledger, first)
    second = corrections(make_ledger(LATE), PLAN, "2026-11")
    close(ledger, second)
    closed = [allocate(ledger, PLAN, "2026-11").total, first.total, second.total]
    assert total_of(closed) == present(ledger).total


def test_closing_twice_is_refused(ledger):
    statement = allocate(ledger, PLAN, "2026-11")
    close(ledger, statement)
    with pytest.raises(PlanError, match=r"2026-11 is closed for 'showback / all': ask for its corrections"):
        close(ledger, statement)


def test_an_open_period_has_no_corrections(ledger):
    with pytest.raises(PlanError, match=r"corrections: 2026-11 is open"):
        corrections(ledger, PLAN, "2026-11")


def test_a_closed_statement_that_was_changed_is_noticed(ledger):
    folder = close(ledger, allocate(ledger, PLAN, "2026-11"))
    (folder / "lines.parquet").write_bytes((folder / "drivers.parquet").read_bytes())
    with pytest.raises(LedgerError, match=r"lines.parquet is not what was closed"):
        allocate(ledger, PLAN, "2026-11")
