"""The SQL of division and rounding says the same as the Python that defines it."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger.finops import _sql
from spanledger.finops._exact import largest_remainder, round_tied, to_femto

keys = st.text("ab(é~", max_size=3)
femtos = st.integers(-(10**27), 10**27)


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        yield connection


def table(rows, **integers):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        name: pa.array(values, pa.decimal128(38, 0) if name in integers else None) for name, values in columns.items()
    }
    return pa.table(arrays)


@settings(max_examples=60)
@given(
    pots=st.lists(
        st.tuples(femtos, st.dictionaries(keys, st.integers(1, 10**26), min_size=1, max_size=6)),
        min_size=1,
        max_size=4,
    )
)
def test_shared_is_largest_remainder(engine, pots):
    rows = [
        {"pot": pot, "team": team, "amount": amount, "weight": weight}
        for pot, (amount, weights) in enumerate(pots)
        for team, weight in weights.items()
    ]
    engine.register("given_rows", table(rows, amount=0, weight=0))
    integers = "SELECT pot, team, CAST(amount AS HUGEINT) AS amount, CAST(weight AS HUGEINT) AS weight FROM given_rows"
    found = engine.execute(_sql.shared(f"({integers})", ["pot"], ["team"])).fetchall()
    parts = {(pot, team): part for pot, team, _, _, _, part in found}
    assert parts == {
        (pot, team): part
        for pot, (amount, weights) in enumerate(pots)
        for team, part in largest_remainder(amount, weights).items()
    }


@settings(max_examples=60)
@given(
    groups=st.lists(st.dictionaries(keys, femtos, min_size=1, max_size=6), min_size=1, max_size=4),
    unit=st.sampled_from([1, 10**3, 10**13, 10**15]),
)
def test_rounded_is_round_tied_under_a_rounded_level_above(engine, groups, unit):
    above = round_tied({str(number): sum(group.values()) for number, group in enumerate(groups)}, unit)
    rows = [
        {"bu": str(number), "team": team, "exact": exact, "above": above[str(number)]}
        for number, group in enumerate(groups)
        for team, exact in group.items()
    ]
    engine.register("given_rows", table(rows, exact=0, above=0))
    integers = "SELECT bu, team, CAST(exact AS HUGEINT) AS exact, CAST(above AS HUGEINT) AS above FROM given_rows"
    found = engine.execute(_sql.rounded(f"({integers})", ["bu"], ["team"], unit)).fetchall()
    assert {(bu, team): published for bu, team, _, published in found} == {
        (str(number), team): published
        for number, group in enumerate(groups)
        for team, published in round_tied(group, unit, above[str(number)]).items()
    }


@given(st.lists(st.decimals(-(10**14), 10**14, places=15), min_size=1))
def test_money_goes_to_integers_and_back(engine, amounts):
    engine.register("given_money", pa.table({"cost": pa.array(amounts, pa.decimal128(38, 15))}))
    back = _sql.money(_sql.femtos("cost"))
    found = engine.table("given_money").project(f"cost, {_sql.femtos('cost')}, {back}")
    for cost, integer, again in found.fetchall():
        assert again == cost
        assert integer == to_femto(cost)


@pytest.mark.parametrize(
    ("amount", "weights", "expected"),
    [
        (2, {"a": 1, "b": 3}, {"a": 0, "b": 2}),
        (-2, {"a": 1, "b": 3}, {"a": 0, "b": -2}),
        (1, {"b": 1, "a": 1}, {"b": 0, "a": 1}),
    ],
)
def test_ties_of_shared_go_to_the_larger_weight_then_to_the_lower_key(engine, amount, weights, expected):
    rows = [{"pot": 0, "team": team, "amount": amount, "weight": weight} for team, weight in weights.items()]
    engine.register("given_rows", table(rows, amount=0, weight=0))
    integers = "SELECT pot, team, CAST(amount AS HUGEINT) AS amount, CAST(weight AS HUGEINT) AS weight FROM given_rows"
    found = engine.execute(_sql.shared(f"({integers})", ["pot"], ["team"])).fetchall()
    assert {team: part for _, team, _, _, _, part in found} == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"growth": 2375, "search": 9500, "support": 7125}, {"growth": 2370, "search": 9500, "support": 7130}),
        ({"growth": 5, "search": 5}, {"growth": 10, "search": 0}),
    ],
)
def test_ties_of_rounding_go_to_the_larger_amount_then_to_the_lower_key(engine, parts, expected):
    above = sum(expected.values())
    rows = [{"bu": "x", "team": team, "exact": exact, "above": above} for team, exact in parts.items()]
    engine.register("given_rows", table(rows, exact=0, above=0))
    integers = "SELECT bu, team, CAST(exact AS HUGEINT) AS exact, CAST(above AS HUGEINT) AS above FROM given_rows"
    found = engine.execute(_sql.rounded(f"({integers})", ["bu"], ["team"], 10)).fetchall()
    assert {team: published for _, team, _, published in found} == expected
