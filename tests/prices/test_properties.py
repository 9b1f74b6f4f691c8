"""Laws of the arithmetic: amounts add up, grow with usage, are never negative, and step only at a band."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger import prices
from spanledger._types import Usage
from spanledger.prices._book import EVER, index, load_platform, per_unit
from spanledger.prices._calculate import compile_plan, evaluate

AT = 1_795_000_000 * 10**9
COUNTS = st.integers(0, 10**9)
UNBANDED = st.sampled_from(["claude-opus-5-5", "claude-fable-5-1", "claude-3-haiku"])


def rate(units, model, provider="anthropic", **context):
    return prices.rate(
        Usage(units), provider_name=provider, response_model=model, request_model=None, context=context, at_ns=AT
    )


def usages(*units):
    return st.fixed_dictionaries(dict.fromkeys(units, COUNTS))


SOME = usages("input", "cache_read", "cache_write_5m", "output", "reasoning")


@settings(deadline=None)
@given(UNBANDED, SOME, SOME)
def test_two_usages_cost_what_their_sum_costs(model, one, other):
    both = {unit: one[unit] + other[unit] for unit in one}
    assert rate(both, model).list_cost == rate(one, model).list_cost + rate(other, model).list_cost


@settings(deadline=None)
@given(st.sampled_from(["gpt-6.1-sol", "gpt-5.4", "gpt-4o"]), SOME)
def test_the_parts_sum_to_the_whole_and_none_is_negative(model, units):
    priced = rate(units, model, "openai")
    assert priced.list_cost == sum(priced.costs.values())
    assert min(priced.costs.values()) >= 0


@settings(deadline=None)
@given(st.sampled_from(["gpt-6.1-sol", "gpt-5.4", "gpt-4o"]), SOME, st.sampled_from(["input", "output"]), COUNTS)
def test_more_usage_never_costs_less(model, units, unit, more):
    grown = {**units, unit: units[unit] + more}
    assert rate(grown, model, "openai").list_cost >= rate(units, model, "openai").list_cost


@settings(deadline=None)
@given(st.integers(0, 600_000), st.integers(0, 600_000), st.integers(0, 10_000))
def test_the_whole_request_is_in_one_band(fresh, cached, output):
    priced = rate({"input": fresh, "cache_read": cached, "output": output}, "gpt-6.1-sol", "openai")
    long = fresh + cached > 272_000
    assert priced.costs["input"] == fresh * (4 if long else 2) * 10**9
    assert priced.costs["output"] == output * (15 if long else 10) * 10**9


@settings(deadline=None)
@given(SOME)
def test_a_batch_costs_half(units):
    assert rate(units, "claude-opus-5-5", batch="true").list_cost * 2 == rate(units, "claude-opus-5-5").list_cost


@settings(deadline=None)
@given(SOME)
def test_residency_adds_a_tenth(units):
    assert (
        rate(units, "claude-opus-5-5", inference_geo="us").list_cost * 10
        == rate(units, "claude-opus-5-5").list_cost * 11
    )


@settings(deadline=None)
@given(st.integers(1, 10**6))
def test_a_million_tiny_rows_lose_nothing(rows):
    assert rate({"input": 1}, "gpt-4.1-nano", "openai").list_cost * rows == rows * 10**8


@pytest.mark.parametrize("name", index()["platforms"])
def test_every_row_of_the_book_compiles_and_prices(name):
    platform = load_platform(name)
    for model, rows in platform.rows.items():
        for row in rows:
            assert all(Fraction(*per_unit(text, unit)) >= 0 for unit, text in row.rates.items())
            at = row.start or min(row.end, AT) - 1
            plan = compile_plan(model, rows, platform, {}, at)
            assert plan.start <= at < plan.end <= EVER
            assert evaluate(plan, Usage({"input": 7}), "test").status in {"exact", "estimated", "unknown"}


@pytest.mark.parametrize("name", index()["platforms"])
def test_names_lead_to_models_of_the_book(name):
    platform = load_platform(name)
    assert set(platform.names.values()) <= platform.rows.keys()
    assert all(spelling == spelling.lower() for spelling in platform.names)
