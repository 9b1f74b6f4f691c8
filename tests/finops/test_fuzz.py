"""Plans that are broken anywhere: a `PlanError` with the file in it, or a plan, and never anything else."""

import copy
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanledger.errors import PlanError
from spanledger.finops import Plan, seats

WHOLE = {
    "plan": {
        "name": "p",
        "version": date(2026, 11, 1),
        "hierarchy": ["unit", "team"],
        "dimensions": ["customer"],
        "basis": "list_cost",
        "currency": "USD",
        "round_to": "0.01",
        "inherit": ["feature"],
    },
    "tags": {
        "unit": {
            "default": "x",
            "rules": [
                {"name": "a", "when": {"team": "a*", "input_tokens": {">=": 1, "<": 9}}, "value": "v"},
                {"name": "b", "when": [{"tags": {"x": "y"}}, {"stream": True}], "by": "team", "map": {"a": "b"}},
                {"name": "c", "template": "{team}-{tags.x}", "from": date(2026, 1, 1), "until": date(2026, 2, 1)},
                {"name": "d", "copy": "team", "review_by": date(2026, 1, 1), "version": 2},
            ],
        }
    },
    "drivers": [{"name": "heads", "to": "team", "values": {"a": 1, "b": Decimal("2.5")}}],
    "pools": [
        {"name": "g", "amount": "1000.00", "driver": {"tokens": 1, "heads": 2}, "fallback": ["even"], "to": "team"},
        {"name": "h", "lines": [{"name": "l", "amount": 3}], "percent": {"a": 80}, "serves": {"g": 20}, "to": "team"},
        {"name": "i", "take": {"team": {"present": False}}, "driver": "requests", "among": {"team": "a"}, "per": "day"},
    ],
    "services": {"method": "step_down", "order": ["g", "h"]},
    "commitments": [
        {
            "name": "c",
            "owner": "o",
            "to": "team",
            "units": 3,
            "price": "1.5",
            "covers": {"billed_model": "m"},
            "per_unit_hour": {"tokens": 5},
            "reservations": {"a": 50},
            "idle": "reserved",
        }
    ],
    "samples": [{"name": "s", "charge": {"team": "a"}, "expect": {"unit": "v"}}],
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.text(max_size=5),
    st.sampled_from(["team", "{", "{team}", "*", "waste", "direct", "nan", "1e999", "-5", "requests", "even", "fixed"]),
    st.decimals(),
    st.dates(),
    st.datetimes(),
    st.sampled_from([time(1, 2), datetime(2026, 1, 1)]),  # noqa: DTZ001 - TOML has local ones
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def paths(node, here=()):
    yield here
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield from paths(inner, (*here, key))


PATHS = [path for path in paths(WHOLE) if path]


def broken(path, change, value):
    plan = copy.deepcopy(WHOLE)
    node = plan
    for key in path[:-1]:
        node = node[key]
    if change == "replace":
        node[path[-1]] = value
    elif change == "drop":
        del node[path[-1]]
    elif isinstance(node, dict):
        node[str(value)] = value
    return plan


def test_the_plan_is_good_before_it_is_broken():
    assert Plan.from_dict(WHOLE).name == "p"


@settings(max_examples=400)
@given(st.sampled_from(PATHS), st.sampled_from(["replace", "drop", "add"]), values)
def test_a_plan_that_is_broken_anywhere_is_refused_by_name(path, change, value):
    try:
        plan = Plan.from_dict(broken(path, change, value), file="broken.toml")
    except PlanError as error:
        said = str(error)
    else:
        said = plan.file
    assert said.startswith("broken.toml")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('",\n\rabctoluserpricedit0123456789.-é\0'), max_size=120))
def test_a_seat_file_is_read_or_refused_by_line(tmp_path, text):
    file = tmp_path / "seats.csv"
    file.write_text("user,team,price,start\n" + text, encoding="utf-8", newline="")
    try:
        held = seats.read(file, tool="t")
    except PlanError as error:
        said = str(error)
    else:
        said = f"seats.csv: {held}"
    assert "seats.csv" in said


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match=r"plan.toml: not TOML"):
        Plan.load(tmp_path / "plan.toml")
    (tmp_path / "seats.csv").write_bytes(b"user,price\n\xff\xfe,1\n")
    with pytest.raises(PlanError, match=r"seats.csv is not UTF-8"):
        seats.read(tmp_path / "seats.csv")
