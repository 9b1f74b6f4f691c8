"""The five policies for what lies idle, and what they do at the edges."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.errors import PlanError
from spanledger.finops import commitments
from spanledger.finops._conditions import Fields
from spanledger.finops._exact import largest_remainder, to_decimal, to_femto
from spanledger.finops._periods import Period
from spanledger.finops._reading import Section

NOVEMBER = Period(date(2026, 11, 1), date(2026, 12, 1))
USE = {"search": 1200, "support": 600, "growth": 0}
PLAN = {
    "name": "ptu",
    "owner": "platform",
    "to": "team",
    "units": 100,
    "hours": 30,
    "price": "1.00",
    "used": USE,
    "reservations": {"search": 60, "support": 30, "growth": 10},
}


def commitment(**changes):
    data = {key: value for key, value in {**PLAN, **changes}.items() if value is not None}
    section = Section("plan.toml", "", {"commitments": [data]})
    return commitments.read_commitments(section, Fields(), {}, ["team"])[0]


def parts(amount, weights):
    return largest_remainder(amount, weights) if amount else {}


def bill(division):
    used, idle = parts(division.used, division.use), parts(division.idle, division.idle_by)
    return {owner: to_decimal(used.get(owner, 0) + idle.get(owner, 0)) for owner in {**used, **idle}}


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        ("owner", {"search": 1200, "support": 600, "platform": 1200}),
        ("proportional", {"search": 2000, "support": 1000}),
        ("reserved", {"search": 1920, "support": 960, "growth": 120}),
        ("unused_reservation", {"search": 1800, "support": 900, "growth": 300}),
        ("even", {"search": 1600, "support": 1000, "growth": 400}),
    ],
)
def test_the_worked_example(idle, expected):
    one = commitment(idle=idle)
    division = commitments.divide(one, NOVEMBER, one.use({}))
    assert {owner: part for owner, part in bill(division).items() if part} == expected
    assert division.idle == to_femto("1200.00")
    assert division.utilisation == Fraction(60, 100)


def test_the_idle_by_reservation_is_a_line_of_its_own():
    one = commitment(idle="reserved")
    division = commitments.divide(one, NOVEMBER, one.use({}))
    idle = parts(division.idle, division.idle_by)
    assert {owner: to_decimal(part) for owner, part in idle.items()} == {"search": 720, "support": 360, "growth": 120}


def test_nobody_used_it_so_its_owner_pays():
    division = commitments.divide(commitment(idle="proportional"), NOVEMBER, {})
    assert (division.policy, division.used, bill(division)) == ("owner", 0, {"platform": 3000})


def test_more_than_held_leaves_nothing_idle():
    division = commitments.divide(commitment(), NOVEMBER, {"search": Fraction(6000)})
    assert (bill(division), division.idle, division.utilisation) == ({"search": 3000}, 0, 2)


def test_use_is_measured_in_what_a_unit_serves_an_hour():
    one = commitment(
        used=None, covers={"tags.deployment": "ptu-1"}, per_unit_hour={"input_tokens": 1000, "output_tokens": 250}
    )
    use = one.use({"input_tokens": {"search": 500_000}, "output_tokens": {"search": 25_000, "support": 50_000}})
    assert use == {"search": 600, "support": 200}
    assert [measure.driver for measure in one.measures()] == ["input_tokens", "output_tokens"]


def test_break_even_is_where_on_demand_costs_the_same():
    division = commitments.divide(commitment(), NOVEMBER, commitment().use({}))
    assert division.break_even(to_femto("4500.00")) == Fraction(2, 5)
    assert division.break_even(0) is None


def test_hours_are_those_of_the_period_and_an_amount_is_for_a_month():
    assert commitment(hours=None).cost(NOVEMBER) == to_femto("72000.00")
    half = Period(date(2026, 11, 1), date(2026, 11, 16))
    assert commitment(price=None, amount=Decimal(3000)).cost(half) == to_femto("1500.00")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"idle": "sahred"}, "idle is 'sahred': it takes owner | proportional"),
        ({"price": None}, "price or amount"),
        ({"used": None}, "per_unit_hour or used"),
        ({"used": None, "per_unit_hour": {"tokens": 5}}, "covers is missing"),
        ({"used": None, "per_unit_hour": {"tokens": 0}}, "per_unit_hour.tokens takes"),
        ({"used": None, "per_unit_hour": {"tkens": 5}}, "per_unit_hour 'tkens' is no driver"),
        ({"reservations": None, "idle": "reserved"}, "reservations is missing"),
        ({"reservations": {"a": 101}}, "more than 100"),
        ({"within": "headcount"}, "within is 'headcount'"),
        ({"owner": None}, "commitment 'ptu': owner is missing"),
    ],
)
def test_a_bad_commitment_says_what_is_wrong(changes, message):
    with pytest.raises(PlanError) as error:
        commitment(**changes)
    assert message in str(error.value)


owners = st.sampled_from(["search", "support", "growth", "other"])


@given(
    idle=st.sampled_from(sorted(commitments.IDLE)),
    price=st.decimals("0", "99", places=15),
    use=st.dictionaries(owners, st.fractions(0, 4000), max_size=4),
    reservations=st.dictionaries(owners, st.decimals(0, 25, places=2), min_size=1),
)
def test_used_and_idle_sum_to_the_cost(idle, price, use, reservations):
    one = commitment(idle=idle, price=price, reservations=reservations)
    division = commitments.divide(one, NOVEMBER, use)
    assert division.used + division.idle == division.cost == one.cost(NOVEMBER)
    assert sum(to_femto(part) for part in bill(division).values()) == division.cost
