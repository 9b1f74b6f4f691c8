"""Pools that serve each other: three methods, three answers, each exact."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.errors import PlanError
from spanledger.finops._exact import largest_remainder, round_tied, to_decimal, to_femto
from spanledger.finops.services import METHODS, distribute

OWN = {"platform": to_femto("1000.00"), "data": to_femto("400.00")}
SERVES = {"platform": {"data": Fraction(20, 100)}, "data": {"platform": Fraction(25, 100)}}
TEAMS = {
    "platform": {"search": 50, "support": 20, "growth": 10},
    "data": {"search": Fraction("37.5"), "support": Fraction("22.5"), "growth": 15},
}


def bill(distribution):
    totals = dict.fromkeys(("search", "support", "growth"), 0)
    for pool, amount in distribution.to_owners.items():
        for team, part in largest_remainder(amount, TEAMS[pool]).items():
            totals[team] += part
    rounded = round_tied(totals, to_femto("0.01"))
    return [str(to_decimal(part).quantize(to_decimal(10**13).normalize())) for part in rounded.values()]


@pytest.mark.parametrize(
    ("method", "order", "expected"),
    [
        ("direct", (), ["825.00", "370.00", "205.00"]),
        ("step_down", ("platform", "data"), ["800.00", "380.00", "220.00"]),
        ("step_down", ("data", "platform"), ["837.50", "365.00", "197.50"]),
        ("reciprocal", (), ["815.79", "373.68", "210.53"]),
    ],
)
def test_the_worked_example(method, order, expected):
    assert bill(distribute(OWN, SERVES, method, order)) == expected


def test_reciprocal_is_exact():
    gross = distribute(OWN, SERVES, "reciprocal").gross
    assert {pool: cost / 10**15 for pool, cost in gross.items()} == {
        "platform": Fraction(22000, 19),
        "data": Fraction(12000, 19),
    }


@pytest.mark.parametrize("method", ["reciprocal", "step_down"])
def test_cost_that_goes_round_for_ever_is_refused(method):
    serves = {"platform": {"data": Fraction(1)}, "data": {"platform": Fraction(1)}}
    with pytest.raises(PlanError, match=r"round for ever|closed before it"):
        distribute(OWN, serves, method, ("platform", "data"))


def test_more_than_everything_is_refused():
    with pytest.raises(PlanError, match="pool 'data': serves gives away more than 100 %"):
        distribute(OWN, {"data": {"platform": Fraction(101, 100)}}, "reciprocal")


def test_step_down_needs_every_pool_in_order():
    with pytest.raises(PlanError, match=r"order is .*it takes every pool once: data, platform"):
        distribute(OWN, SERVES, "step_down", ("data",))


pools = st.lists(st.integers(-(10**20), 10**20), min_size=1, max_size=5)


@given(pools, st.data(), st.sampled_from(METHODS))
def test_nothing_is_lost_on_the_way(costs, data, method):
    own = {f"pool {number}": cost for number, cost in enumerate(costs)}
    serves = {
        pool: {other: data.draw(st.fractions(0, Fraction(9, 50))) for other in own if other != pool} for pool in own
    }
    distribution = distribute(own, serves, method, tuple(own))
    assert sum(distribution.to_owners.values()) == sum(costs)
