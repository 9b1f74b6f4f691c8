"""Nothing is lost: random charges, pools, drivers, hierarchies and commitments, tied at every level by hand."""

import tempfile
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger.finops import allocate
from spanledger.finops._exact import to_femto

LEVELS = ("unit", "team", "feature")
owners = st.sampled_from(["a", "b", "c", "é~", None])
costs = st.decimals(-100, 100, places=15).map(str)
charges = st.fixed_dictionaries(
    {
        "team": owners,
        "feature": owners,
        "customer": owners,
        "list_cost": costs | st.none(),
        "input_tokens": st.integers(0, 10**12) | st.none(),
        "started_at": st.integers(1, 30).map("2026-11-{:02d}T06:00:00.000000Z".format),
    }
)
amounts = st.decimals(-(10**9), 10**9, places=2).map(str)
weights = st.dictionaries(st.sampled_from(["a", "b", "new"]), st.decimals(0, 1000, places=3), min_size=1)
drivers = st.sampled_from(["requests", "input_tokens", "direct_cost", "latency", "heads", "usage.gpu_seconds"])
pools = st.fixed_dictionaries(
    {"amount": amounts, "driver": drivers | st.dictionaries(drivers, st.integers(1, 9), min_size=1)},
    optional={
        "fallback": st.lists(st.sampled_from(["even", "heads", "requests"]), max_size=2),
        "within": st.sampled_from(["requests", "direct_cost"]),
        "per": st.just("day"),
        "among": st.sampled_from([{"team": "a"}, {"customer": {"present": True}}, {"feature": "nobody"}]),
        "serves": st.just({"pool 0": 30}),
    },
)
commitments = st.fixed_dictionaries(
    {
        "idle": st.sampled_from(["owner", "proportional", "even", "reserved", "unused_reservation"]),
        "used": weights,
        "reservations": st.just({"a": 60, "b": Decimal("33.3")}),
        "price": st.decimals(0, 50, places=9).map(str),
        "units": st.integers(1, 40),
    }
)


def plan(pools, commitments, round_to, hierarchy, heads):
    named = [
        {**pool, "name": f"pool {number}", "serves": pool.get("serves", {}) if number else {}}
        for number, pool in enumerate(pools)
    ]
    held = [{"name": f"held {n}", "owner": "platform", "to": "team", **one} for n, one in enumerate(commitments)]
    return {
        "plan": {
            "name": "random",
            "version": "1",
            "hierarchy": list(hierarchy),
            "dimensions": ["customer"],
            "round_to": round_to,
        },
        "tags": {
            "unit": {
                "default": "(unallocated)",
                "rules": [{"name": "chart", "by": "team", "map": {"a": "north", "b": "south", "new": "south"}}],
            }
        },
        "drivers": [{"name": "heads", "to": "team", "values": heads}],
        "pools": named,
        "commitments": held,
        "services": {"method": "reciprocal"},
    }


def femtos(amounts):
    return sum(to_femto(amount) for amount in amounts)


@settings(max_examples=25)
@given(
    rows=st.lists(charges, max_size=12),
    given_pools=st.lists(pools, max_size=4),
    held=st.lists(commitments, max_size=2),
    round_to=st.sampled_from(["0.01", "1", "0.000001", "0.000000000000001"]),
    hierarchy=st.sampled_from([LEVELS, ("team", "feature"), ("unit", "team")]),
    heads=weights,
)
def test_every_amount_has_an_owner(  # noqa: PLR0913, PLR0917 - a fixture and what is drawn
    write_ledger, rows, given_pools, held, round_to, hierarchy, heads
):
    with tempfile.TemporaryDirectory() as folder:
        ledger = write_ledger(Path(folder) / "x.ledger", rows)
        statement = allocate(ledger, plan(given_pools, held, round_to, hierarchy, heads), "2026-11")
    lines = statement.lines.rows()
    assert statement.ok, [check for check in statement.checks if not check.ok]
    direct = femtos(row["list_cost"] for row in rows if row["list_cost"] is not None)
    shared = femtos(pool["amount"] for pool in given_pools)
    paid = sum(round(Fraction(one["price"]) * one["units"] * 720 * 10**15) for one in held)
    assert femtos(row["exact"] for row in lines) == direct + shared + paid
    assert sum(row["unpriced"] for row in lines) == sum(row["list_cost"] is None for row in rows)
    assert sum(row["charges"] for row in lines) == len(rows)
    _ties_at_every_level(statement, lines, to_femto(round_to))
    _drivers_explain_the_lines(statement, lines)


def _ties_at_every_level(statement, lines, unit):
    total = femtos(row["amount"] for row in lines)
    assert abs(total - femtos(row["exact"] for row in lines)) * 2 <= unit
    keys = ("source", "kind", "method", *statement.hierarchy)
    for depth in range(1, len(keys) + 1):
        groups = defaultdict(lambda: [0, 0])
        for row in lines:
            group = groups[tuple(row[key] for key in keys[:depth])]
            group[0] += to_femto(row["exact"])
            group[1] += to_femto(row["amount"])
        assert sum(published for _, published in groups.values()) == total
        assert all(abs(exact - published) < unit and published % unit == 0 for exact, published in groups.values())


def _drivers_explain_the_lines(statement, lines):
    """The last division of every pot is where its lines come from; what was spread further is divided again."""
    pots = defaultdict(lambda: [0, 0])
    for row in statement.drivers:
        key = (row["source"], row["kind"], row["method"], row["driver"], row["first_day"], row["pot_amount"])
        pots[key][0] += to_femto(row["part"])
        pots[key][1] += row["weight"]
    assert all(weight > 0 for _, weight in pots.values())
    shared = {(row["source"], row["method"]) for row in lines if row["kind"] in ("shared", "used", "idle")}
    assert shared <= {(source, method) for source, _, method, *_ in pots}
