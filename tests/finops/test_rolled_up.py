"""Finance over days that were rolled up: the same statements by what was kept, and no answer by what was not."""

from __future__ import annotations

import pytest

from spanledger.errors import LedgerError
from spanledger.finops import allocate
from spanledger.finops.caching import cache
from spanledger.finops.chains import runs
from spanledger.finops.coverage import coverage
from spanledger.finops.indicators import indicators
from spanledger.finops.unit_costs import unit_costs
from spanledger.ledger._seal import seal
from spanledger.push_prices import models_of
from spanledger.seat_import import import_seats

from .conftest import write

JANUARY = "2026-01"
HEAD = {"name": "p", "version": "2026-01-01", "hierarchy": ["team", "feature"]}
POOLS = [
    {"name": f"by {driver}", "amount": "90.01", "driver": driver}
    for driver in ("requests", "tokens", "seats", "direct_cost", "usage.input", "cache_read_tokens")
]
PLAN = {"plan": HEAD, "pools": POOLS}
RULES = {"squad": {"default": "none", "rules": [{"name": "s", "when": {"team": "search"}, "value": "x"}]}}


def charges():
    for day in (3, 17):
        at = {"started_at": f"2026-01-{day:02}T09:00:00.000000Z", "billed_model": "m", "price_ref": "1"}
        for number in range(7):
            usage = {"input": 10 + number, **({"cache_read": 5} if number % 2 else {})}
            costs = {"input": f"0.0{number}1", **({"cache_read": "0.001"} if number % 2 else {})}
            team = ("search", "support", None)[number % 3]
            tokens = {"input_tokens": 10 + number, "output_tokens": number, "cache_read_tokens": 5 * (number % 2)}
            yield {**at, **tokens, "team": team, "feature": "f", "usage": usage, "costs": costs, "list_cost": "0.777"}
        yield {**at, "team": "search", "operation": "seat", "list_cost": "19.00"}
        yield {**at, "team": "search", "cost_status": "unknown", "request_model": "gpt-5"}


@pytest.fixture
def january(tmp_path):
    ledger = write(tmp_path / "spend.ledger", [*charges(), {"team": "search", "list_cost": "1"}])
    seal(ledger.path)
    return ledger


def roll(ledger, by="team,feature"):
    assert len(ledger.retain("200d", by=by).days) == 2


@pytest.mark.parametrize(
    "question",
    [
        lambda ledger: allocate(ledger, PLAN, JANUARY).lines.rows(),
        lambda ledger: allocate(ledger, PLAN, JANUARY).total,
        lambda ledger: cache(ledger, PLAN, JANUARY, by="team"),
        lambda ledger: coverage(ledger, PLAN | {"tags": RULES}, JANUARY).rows(),
        lambda ledger: sorted(map(repr, models_of(str(ledger.path)))),
    ],
)
def test_what_finance_asks_by_what_was_kept_is_answered_the_same(january, question):
    before = question(january)
    assert before
    roll(january)
    assert question(january) == before


def test_indicators_and_unit_costs_count_charges_where_what_they_count_was_kept(january):
    before = indicators(january, PLAN, JANUARY), unit_costs(january, PLAN, JANUARY, by="team").rows()
    roll(january, by="team,feature,customer,workflow_id")
    assert (indicators(january, PLAN, JANUARY), unit_costs(january, PLAN, JANUARY, by="team").rows()) == before


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (lambda ledger: unit_costs(ledger, PLAN, JANUARY), "customer"),
        (lambda ledger: runs(ledger, PLAN, JANUARY), "workflow"),
        (lambda ledger: allocate(ledger, {"plan": {**HEAD, "hierarchy": ["customer"]}}, JANUARY), "customer"),
        (lambda ledger: allocate(ledger, {"plan": {**HEAD, "inherit": ["team"]}}, JANUARY), "trace_id"),
        (
            lambda ledger: allocate(ledger, PLAN | {"pools": [by_size("input_tokens", 12)]}, JANUARY),
            "of a single charge",
        ),
        (
            lambda ledger: allocate(ledger, PLAN | {"pools": [by_size("usage.input", 12)]}, JANUARY),
            "of a single charge",
        ),
    ],
)
def test_what_needs_single_charges_is_refused(january, question, told):
    roll(january)
    with pytest.raises(LedgerError, match=r"2026-01-03, 2026-01-17 are rolled up") as refused:
        question(january)
    assert told in str(refused.value)


def by_size(field, least):
    return {"name": "big", "amount": "1.00", "driver": "requests", "among": {field: {">": least}}}


def test_a_month_without_rolled_up_days_is_asked_as_ever(january):
    inheriting = {"plan": {**HEAD, "inherit": ["team"]}}
    before = allocate(january, inheriting, "2026-11").lines.rows()
    roll(january)
    assert allocate(january, inheriting, "2026-11").lines.rows() == before


def test_nothing_is_imported_into_a_day_that_was_rolled_up(january, tmp_path):
    roll(january)
    before = january.cost("team").rows()
    seats = tmp_path / "seats.csv"
    seats.write_text("user,team,price\nu1,search,19.00\n")
    with pytest.raises(LedgerError, match="2026-01-03: rolled up, so what was imported before cannot be told"):
        import_seats(seats, january.path, "2026-01-03..2026-01-04", tool="copilot")
    assert january.cost("team").rows() == before
    assert import_seats(seats, january.path, "2026-11", tool="copilot").booked == 1
    assert import_seats(seats, january.path, "2026-11", tool="copilot").known == 1
