"""`prices.rate`: exact integers; unknown is no amount; an unmatched context is an estimate that says so."""

from __future__ import annotations

import pytest

from spanledger import prices
from spanledger._types import Priced, Usage
from spanledger.prices._book import USER, Row
from spanledger.prices._calculate import Band, Plan, evaluate
from spanledger.prices._engine import MOST_PERIODS, Engine

NOVEMBER = 1_795_000_000 * 10**9


def rate(units, provider="openai", model="gpt-6.1-sol", at_ns=NOVEMBER, **context) -> Priced:
    return prices.rate(
        Usage(units), provider_name=provider, response_model=model, request_model=None, context=context, at_ns=at_ns
    )


def test_every_unit_at_its_own_rate_and_the_sum_of_them():
    priced = rate({"input": 6000, "cache_read": 4000, "output": 1000})
    assert priced.status == "exact"
    assert priced.costs == {"input": 12 * 10**12, "cache_read": 4 * 10**11, "output": 10**13}
    assert priced.list_cost == sum(priced.costs.values())
    assert priced.billed_model == "gpt-6.1-sol"
    assert "openai/gpt-6.1-sol" in priced.price_ref


def test_reasoning_is_priced_as_output():
    assert rate({"output": 1000}).list_cost == rate({"output": 400, "reasoning": 600}).list_cost


@pytest.mark.parametrize("model", ["gpt-9-imagined", None, "not-gpt-4o-at-all", "gpt-4o-mini-imagined"])
def test_an_unknown_model_has_no_amount(model):
    priced = rate({"input": 10}, model=model)
    assert (priced.status, priced.list_cost) == ("unknown", None)
    assert priced.reason.endswith("on openai")


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_a_tier_has_rows_of_its_own(tier):
    priced = rate({"input": 10_000, "output": 1000}, service_tier=tier)
    assert priced.status == "exact"
    assert priced.list_cost != rate({"input": 10_000, "output": 1000}, service_tier="default").list_cost


def test_a_tier_that_nobody_knows_is_an_estimate_that_names_it():
    priced = rate({"input": 10}, service_tier="warp")
    assert priced.status == "estimated"
    assert "tier=warp" in priced.reason


@pytest.mark.parametrize(("tokens", "rate_per_million"), [(272_000, 2), (272_001, 4)])
def test_a_context_band_begins_above_its_threshold(tokens, rate_per_million):
    assert rate({"input": tokens}).list_cost == tokens * rate_per_million * 10**9


def test_the_cached_part_counts_towards_the_band():
    assert rate({"input": 1, "cache_read": 272_000}).costs["input"] == 4 * 10**9


def test_a_price_change_takes_effect_at_midnight_utc():
    midnight = 1_785_369_600 * 10**9  # 2026-07-30
    before = rate({"input": 100_000}, model="gpt-5.6-luna", at_ns=midnight - 1)
    after = rate({"input": 100_000}, model="gpt-5.6-luna", at_ns=midnight)
    assert (before.list_cost, after.list_cost) == (10**14, 2 * 10**13)


def test_a_broken_usage_has_no_price():
    usage = Usage({"input": -1}, "input is negative: -1", usable=False)
    priced = prices.rate(
        usage, provider_name="openai", response_model="gpt-6.1-sol", request_model=None, context={}, at_ns=NOVEMBER
    )
    assert (priced.status, priced.list_cost, priced.reason) == ("unknown", None, "input is negative: -1")


def test_a_unit_without_a_price_leaves_a_lower_bound():
    priced = rate({"input": 10, "output_audio": 5})
    assert priced.status == "partial"
    assert priced.costs == {"input": 2 * 10**10}
    assert "output_audio" in priced.reason


def test_each_part_is_priced_at_the_model_that_served_it():
    priced = rate(
        {"input": 1000, "input@claude-opus-5-5": 1000, "output@claude-opus-5-5": 10},
        provider="anthropic",
        model="claude-sonnet-5-5",
    )
    assert priced.costs == {
        "input": 2 * 10**12,
        "input@claude-opus-5-5": 4 * 10**12,
        "output@claude-opus-5-5": 2 * 10**11,
    }


def test_whoever_finds_a_rate_that_another_thread_has_just_learned_finds_its_doubt():
    """The rate of a unit that is priced as another one is learned while others price by the same band."""

    class Rates(dict):
        def __setitem__(self, unit, rate):
            assert unit in band.ids
            assert unit in band.doubts
            super().__setitem__(unit, rate)

    band = Band(0, Rates(input=1), {}, {"input": "a"}, {}, "")
    assert evaluate(Plan("m", (band,)), Usage({"cache_write_5m": 2}), "1").status == "estimated"
    assert band.rates["cache_write"] == 1


def test_plans_of_past_hours_are_let_go():
    engine = Engine()
    names = ("deepseek", "deepseek-flash", None)
    engine.layers.add_row(Row("deepseek", "deepseek-flash", {"input": "1"}, {"utc": "01:00-04:00"}, layer=USER))
    for hour in range(24 * 60):
        engine.rate(Usage({"input": 1}), names, {}, NOVEMBER + hour * 3600 * 10**9)
    assert len(next(iter(engine._plans.values()))) == MOST_PERIODS
