"""Unit economics: ratios that are exact, margins, caching, and the list of indicators."""

from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

from spanledger.errors import PlanError
from spanledger.finops import allocate, unit_costs
from spanledger.finops.caching import cache
from spanledger.finops.indicators import indicators

PLAN = {"plan": {"name": "p", "version": "1", "hierarchy": ["team"], "dimensions": ["billed_model", "customer"]}}
GATEWAY = {**PLAN, "pools": [{"name": "gateway", "amount": "1000.00", "driver": "requests"}]}


def test_a_request_costs_twelve_cents_and_by_model_ten_and_twenty(golden):
    (whole,) = unit_costs.unit_costs(golden, PLAN, "2026-11")
    assert (whole["cost"], whole["requests"], whole["tokens"]) == (1200, 10_000, 346_000_000)
    assert whole["cost_per_request"] == Decimal("0.12")
    models = {row["billed_model"]: row for row in unit_costs.unit_costs(golden, PLAN, "2026-11", by="billed_model")}
    assert [models[name]["cost_per_request"] for name in ("model-a", "model-b")] == [Decimal("0.1"), Decimal("0.2")]
    assert models["model-a"]["cost_per_million_tokens"] == Decimal("8.333333333333333")
    assert models["model-b"]["cost_per_million_tokens"] == Decimal("1.6")


def test_requests_and_tokens_of_the_teams(golden):
    found = {row["team"]: row for row in unit_costs.unit_costs(golden, PLAN, "2026-11", by="team")}
    assert [found[team]["requests"] for team in ("search", "support", "growth")] == [5000, 4000, 1000]
    millions = [found[team]["tokens"] // 1_000_000 for team in ("search", "support", "growth")]
    assert millions == [173, 48, 125]
    assert found["support"]["cost_per_customer"] == 200


def test_shared_cost_is_in_and_outcomes_are_counted(golden):
    outcomes = {"search": 400, "support": 0}
    found = {
        row["team"]: row for row in unit_costs.unit_costs(golden, GATEWAY, "2026-11", by="team", outcomes=outcomes)
    }
    assert (found["search"]["cost"], found["search"]["cost_per_outcome"]) == (1100, Decimal("2.75"))
    assert found["support"]["cost_per_outcome"] is None


REVENUE = {"customer": ["acme", "globex", "late"], "revenue": ["2000.00", "1000", "5"]}


@pytest.mark.parametrize("kind", ["mapping", "pandas", "polars", "csv"])
def test_revenue_comes_as_a_mapping_a_frame_or_a_file(golden, tmp_path, kind):
    file = tmp_path / "revenue.csv"
    file.write_text(pl.DataFrame(REVENUE).write_csv())
    given = {
        "mapping": dict(zip(*REVENUE.values(), strict=True)),
        "pandas": pd.DataFrame(REVENUE),
        "polars": pl.DataFrame(REVENUE),
        "csv": file,
    }[kind]
    found = {row["customer"]: row for row in unit_costs.margin(allocate(golden, GATEWAY, "2026-11"), given)}
    assert (found["acme"]["margin"], found["acme"]["margin_percent"]) == (Decimal("800.00"), Decimal("40.0"))
    assert (found["late"]["cost"], found["late"]["margin"]) == (0, 5)
    assert found["initech"]["revenue"] is None
    assert found["initech"]["margin"] is None


@pytest.mark.parametrize(
    ("given", "by", "message"),
    [
        (
            pd.DataFrame({"who": ["a"], "revenue": [1]}),
            "customer",
            "needs the columns customer and revenue, and has who",
        ),
        ({"acme": "much"}, "customer", "revenue: 'much' is not an amount"),
        ("absent.csv", "customer", "absent.csv cannot be read"),
        (7, "customer", "takes a mapping, a CSV file, or a pandas, polars or Arrow table, not int"),
        ({}, "feature", "'feature' is no level of the statement: team, billed_model, customer"),
    ],
)
def test_what_is_wrong_with_revenue_is_said(golden, given, by, message):
    with pytest.raises(PlanError, match=message):
        unit_costs.margin(allocate(golden, PLAN, "2026-11"), given, by=by)


def test_a_level_that_the_plan_does_not_have_is_named(golden):
    for ask in (unit_costs.unit_costs, cache):
        with pytest.raises(PlanError, match="by: 'taem' is no level of the plan: team, billed_model, customer"):
            ask(golden, PLAN, "2026-11", by="taem")


@pytest.mark.parametrize("by", [None, "team"])
def test_a_month_without_charges_has_no_unit_costs(golden, by):
    found = unit_costs.unit_costs(golden, PLAN, "2026-10", by=by)
    assert (found.rows(), "cost_per_request" in found.to_text()) == ([], True)


MILLION = 1_000_000


def cached(team, **units):
    prices = {"input": 7, "cache_read": Decimal("0.30"), "cache_write_5m": Decimal("7.50")}
    costs = {unit: str(prices[unit] * quantity / MILLION) for unit, quantity in units.items()}
    return {
        "team": team,
        "billed_model": "m",
        "price_ref": "book 1",
        "usage": units,
        "costs": costs,
        "input_tokens": sum(units.values()),
        "list_cost": str(sum(map(Decimal, costs.values()))),
    }


def test_what_a_cache_saves_and_what_writing_to_it_costs(make_ledger):
    ledger = make_ledger(
        cached("search", input=2 * MILLION, cache_read=3 * MILLION, cache_write_5m=3 * MILLION),
        cached("support", cache_read=MILLION),
        {"team": "growth", "usage": {"cache_read": 5}, "input_tokens": 5, "billed_model": "other"},
    )
    growth, search, support = cache(ledger, PLAN, "2026-11", by="team")
    assert search == ("search", Decimal("0.375"), Decimal("20.10"), Decimal("1.50"), Decimal("18.60"))
    assert support == ("support", 1, Decimal("6.70"), 0, Decimal("6.70"))
    assert growth == ("growth", 1, None, None, None)


def test_the_indicators(golden, make_ledger):
    plan = {
        **GATEWAY,
        "commitments": [{"name": "ptu", "owner": "platform", "price": "1", "units": 100, "hours": 30,
                         "used": {"search": 1200, "support": 600}}],
    }  # fmt: skip
    found = {one.name: one.value for one in indicators(golden, plan, "2026-11", outcomes=2600)}
    assert found["cost"] == 5200
    assert found["API calls"] == 10_000
    assert found["token consumption"] == 346_000_000
    assert found["cost per inference"] == Decimal("0.52")
    assert found["cost per successful outcome"] == 2
    assert (found["allocated"], found["unallocated"], found["tag coverage"]) == (100, 0, 100)
    assert (found["utilisation of ptu"], found["idle part of ptu"]) == (60, 40)
    half = make_ledger({"team": "a", "list_cost": "1"}, {"list_cost": "3"}, {"team": "a", "cost_status": "unknown"})
    found = {one.name: one.value for one in indicators(half, PLAN, "2026-11")}
    assert (found["allocated"], found["unallocated"], found["tag coverage"]) == (25, 75, 25)
    assert found["charges without a price"] == 1
    assert found["cost per successful outcome"] is None
