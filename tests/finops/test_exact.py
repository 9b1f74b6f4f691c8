"""Exact division: the worked numbers of the specification, and conservation over random pools."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.errors import PlanError
from spanledger.finops import split
from spanledger.finops._exact import largest_remainder, round_tied, to_decimal, to_femto

TEAMS = ("search", "support", "growth")


def amounts(parts):
    return [str(parts[team]) for team in TEAMS]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param((5000, 4000, 1000), ["500.00", "400.00", "100.00"], id="requests"),
        pytest.param((173, 48, 125), ["500.00", "138.73", "361.27"], id="tokens"),
        pytest.param((600, 400, 200), ["500.00", "333.33", "166.67"], id="direct cost"),
        pytest.param((1, 1, 1), ["333.33", "333.33", "333.34"], id="even: the tie goes to the first key"),
        pytest.param((12, 5, 3), ["600.00", "250.00", "150.00"], id="headcount"),
        pytest.param((7, 5, 3), ["466.67", "333.33", "200.00"], id="other headcount"),
        pytest.param((500_000, 300_000, 100_000), ["555.56", "333.33", "111.11"], id="revenue"),
        pytest.param((50, 30, 20), ["500.00", "300.00", "200.00"], id="fixed"),
    ],
)
def test_the_gateway_by_each_rule(weights, expected):
    assert amounts(split("1000.00", dict(zip(TEAMS, weights, strict=True)))) == expected


def test_a_mix_is_two_pools():
    halves = largest_remainder(to_femto("1000.00"), {"tokens": Fraction(1, 2), "requests": Fraction(1, 2)})
    tokens = largest_remainder(halves["tokens"], dict(zip(TEAMS, (173, 48, 125), strict=True)))
    requests = largest_remainder(halves["requests"], dict(zip(TEAMS, (5000, 4000, 1000), strict=True)))
    exact = {team: tokens[team] + requests[team] for team in TEAMS}
    assert to_decimal(exact["support"]) == Decimal("269.364161849710983")
    assert to_decimal(exact["growth"]) == Decimal("230.635838150289017")
    rounded = round_tied(exact, to_femto("0.01"))
    assert [to_decimal(rounded[team]) for team in TEAMS] == [500, Decimal("269.36"), Decimal("230.64")]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("100.00", ["33.33", "33.33", "33.34"]),
        ("0.01", ["0.00", "0.00", "0.01"]),
        ("-10.00", ["-3.33", "-3.33", "-3.34"]),
    ],
)
def test_three_even_parts(amount, expected):
    assert amounts(split(amount, dict.fromkeys(TEAMS, 1))) == expected


def test_a_hundred_over_seven():
    parts = sorted(split("100.00", dict.fromkeys("abcdefg", 1)).values())
    assert parts == [Decimal("14.28")] * 3 + [Decimal("14.29")] * 4


def test_a_tie_goes_to_the_larger_weight():
    spread = {"search": "9.5", "support": "7.125", "growth": "2.375"}
    rounded = round_tied({team: to_femto(part) for team, part in spread.items()}, to_femto("0.01"))
    assert [to_decimal(rounded[team]) for team in TEAMS] == [Decimal("9.5"), Decimal("7.13"), Decimal("2.37")]


def test_no_weight_at_all_asks_for_a_fallback():
    with pytest.raises(PlanError, match="fallback"):
        split("1.00", {"search": 0, "support": -1})


@pytest.mark.parametrize("amount", ["a lot", "1e-16", None, "nan"])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(PlanError):
        split(amount, {"search": 1})


weights = st.dictionaries(
    st.text(max_size=3), st.fractions(0, 10**9) | st.integers(0, 10**20), min_size=1, max_size=12
).filter(lambda found: any(found.values()))
femtos = st.integers(-(10**27), 10**27)


@given(femtos, weights)
def test_parts_sum_to_the_whole_and_move_by_less_than_one_digit(amount, shares):
    parts = largest_remainder(amount, shares)
    total = sum(Fraction(weight) for weight in shares.values())
    assert sum(parts.values()) == amount
    assert all(abs(parts[key] - Fraction(amount) * Fraction(weight) / total) < 1 for key, weight in shares.items())
    assert parts == {key: -part for key, part in largest_remainder(-amount, shares).items()}


@given(st.dictionaries(st.text(max_size=3), femtos, min_size=1, max_size=12), st.integers(1, 10**16))
def test_rounding_once_ties_and_is_idempotent(parts, unit):
    rounded = round_tied(parts, unit)
    whole = sum(parts.values())
    assert abs(sum(rounded.values()) - whole) * 2 <= unit
    assert all(part % unit == 0 and abs(part - parts[key]) < unit for key, part in rounded.items())
    assert round_tied(rounded, unit, sum(rounded.values())) == rounded


@given(st.lists(st.dictionaries(st.text(max_size=2), femtos, min_size=1, max_size=6), min_size=1, max_size=5))
def test_two_levels_tie(teams):
    unit = 10**13
    above = round_tied({number: sum(team.values()) for number, team in enumerate(teams)}, unit)
    for number, team in enumerate(teams):
        below = round_tied(team, unit, above[number])
        assert sum(below.values()) == above[number]
        assert all(abs(below[key] - part) < unit for key, part in team.items())


def test_of_equal_remainders_the_larger_weight_gets_the_last_digit():
    assert largest_remainder(2, {"a": 1, "b": 3}) == {"a": 0, "b": 2}
    assert largest_remainder(-2, {"a": 1, "b": 3}) == {"a": 0, "b": -2}
    assert largest_remainder(1, {"b": 1, "a": 1}) == {"b": 0, "a": 1}
