"""Virtual tags: what wins, what falls through, what an error says; SQL and Python agree."""

from datetime import date
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger._types import COLUMNS
from spanledger.errors import PlanError
from spanledger.finops import _conditions
from spanledger.finops.rules import Rules

TAGS = {
    "team": {
        "default": "(unallocated)",
        "rules": [
            {"name": "as tagged", "copy": "team"},
            {"name": "search services", "when": {"service_name": ["search-*", "ranker"]}, "value": "search"},
            {"name": "deployments", "by": "tags.deployment", "map": {"ptu-1": "support"}},
            {
                "name": "long night jobs",
                "when": [{"input_tokens": {">=": 1000, "<": 5000}, "customer": {"present": False}}, {"stream": True}],
                "from": date(2026, 11, 10),
                "value": "growth",
            },
        ],
    },
    "business_unit": {
        "default": "(unallocated)",
        "rules": [{"name": "chart", "by": "team", "map": {"search": "Discovery", "support": "Care"}}],
    },
    "cost_centre": {
        "default": "none",
        "rules": [
            {"name": "code", "template": "{business_unit}-{environment}", "when": {"team": {"not": "growth"}}},
            {"name": "cut short", "when": {"finish_reasons": "length"}, "value": "waste"},
        ],
    },
}


def rules(tags=TAGS):
    return Rules.from_dict({"tags": tags}, file="plan.toml")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"team": "support", "service_name": "search-api"}, ("support", "Care", "none")),
        ({"service_name": "search-api", "environment": "prod"}, ("search", "Discovery", "Discovery-prod")),
        ({"tags": {"deployment": "ptu-1"}}, ("support", "Care", "none")),
        ({"tags": {"deployment": "ptu-2"}}, ("(unallocated)", "(unallocated)", "none")),
        ({"input_tokens": 1000}, ("growth", "(unallocated)", "none")),
        (
            {"input_tokens": 1000, "started_at": "2026-11-09T23:59:59.999999Z"},
            ("(unallocated)", "(unallocated)", "none"),
        ),
        ({"stream": True, "finish_reasons": ["length"]}, ("growth", "(unallocated)", "waste")),
    ],
)
def test_the_first_rule_that_can_say_wins(row, expected):
    row = {"started_at": "2026-11-10T00:00:00.000000Z", **row}
    assert tuple(rules().resolve(row).values()) == expected


CHARGES = "charges"
rows = st.fixed_dictionaries(
    {"started_at": st.sampled_from(["2026-11-09T23:00:00.000000Z", "2026-11-10T00:00:00.000000Z"])},
    optional={
        "team": st.sampled_from(["search", "support", "growth", "it's"]),
        "service_name": st.sampled_from(["search-api", "ranker", "search", "other"]),
        "environment": st.sampled_from(["prod", "100%"]),
        "customer": st.just("acme"),
        "input_tokens": st.sampled_from([0, 999, 1000, 5000]),
        "stream": st.booleans(),
        "tags": st.dictionaries(st.sampled_from(["deployment", "x"]), st.sampled_from(["ptu-1", "y"])),
        "finish_reasons": st.lists(st.sampled_from(["length", "stop"])),
    },
)


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        types = ", ".join(f"{column.name} {column.sql}" for column in COLUMNS)
        connection.execute(f"CREATE TABLE charges (n INTEGER, {types})")
        yield connection


@settings(max_examples=40)
@given(st.lists(rows, min_size=1, max_size=20))
def test_sql_and_python_agree(engine, found):
    engine.execute("DELETE FROM charges")
    for number, row in enumerate(found):
        names = ", ".join(row)
        marks = ", ".join(["?"] * len(row))
        engine.execute(f"INSERT INTO charges (n, {names}) VALUES (?, {marks})", [number, *row.values()])  # noqa: S608
    relation = engine.sql(f"FROM {rules().sql(CHARGES)}").order("n")
    columns = ", ".join(f'"virtual.{tag}"' for tag in TAGS)
    assert relation.project(columns).fetchall() == [tuple(rules().resolve(row).values()) for row in found]


def one(**rule):
    return {"team": {"default": "x", "rules": [{"name": "r", **rule}]}}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"team": {"rules": []}}, "plan.toml: tag 'team': default is missing"),
        (one(), "plan.toml: tag 'team': rule 'r' has no result: a rule takes one of value, copy, map"),
        (one(value="a", copy="team"), "has value and copy"),
        (one(value="a", when={"sevice_name": "x"}), "when.sevice_name 'sevice_name' is no column.*mean 'service_name'"),
        (one(value="a", when={"team": {"~": "x"}}), r"when.team has no operator '~'"),
        (one(value="a", when={"team": {">": "x"}}), "is text, and '>' is for number or time"),
        (one(value="a", when={"input_tokens": "many"}), "is 'many': 'in' takes a number"),
        (one(value="a", when={"team": {"present": "yes"}}), "takes true or false"),
        (one(value="a", when=[]), "empty list"),
        (one(value="a", when=[{}]), "none empty"),
        (one(value="a", valeu="b"), "rule 'r': valeu is not a field here: did you mean 'value'"),
        (one(value=3), "rule 'r': value is 3: it takes text"),
        (one(copy="input_tokens"), "which is number: an owner comes from text"),
        (one(template="fixed"), "template has no {field}"),
        (one(map={}, by="team"), "map takes a table of text to text"),
        (one(map="missing.csv", by="team"), "map 'missing.csv' cannot be read"),
        (one(value="a", until=date(2026, 1, 1), **{"from": date(2026, 2, 1)}), "until is 2026-01-01, not after from"),
        ({"team": {"default": "x", "rules": [{"name": "r", "value": "a"}] * 2}}, "rule 'r' has two versions at once"),
        ({"team": {"default": "x", "rules": ["r"]}}, "rule number 1 is 'r', and must be a table"),
        ({"team": {"default": "x", "rule": []}}, "rule is not a field here: did you mean 'rules'"),
    ],
)
def test_a_bad_rule_names_file_rule_and_field(tags, message):
    with pytest.raises(PlanError, match=message) as error:
        rules(tags)
    assert str(error.value).startswith("plan.toml: tag 'team'")


def test_versions_of_a_rule_follow_each_other():
    tags = {
        "team": {
            "default": "x",
            "rules": [
                {"name": "r", "value": "old", "until": date(2026, 11, 11)},
                {"name": "r", "value": "new", "from": date(2026, 11, 11), "version": 2},
            ],
        }
    }
    dated = [rules(tags).resolve({"started_at": f"2026-11-{day}T12:00:00Z"})["team"] for day in (10, 11)]
    assert dated == ["old", "new"]
    assert rules(tags).resolve({}) == {"team": "new"}
    assert [rule.identity for rule in rules(tags).tags[0].rules] == ["team/r@v1", "team/r@2026-11-11"]


def test_a_mapping_table_may_be_a_csv_file(tmp_path):
    (tmp_path / "owners.csv").write_text("service,team\nranker,search\nbot,support\n")
    plan = tmp_path / "rules.toml"
    plan.write_text(
        '[tags.team]\ndefault = "?"\n[[tags.team.rules]]\nname = "owners"\nby = "service_name"\nmap = "owners.csv"\n'
    )
    assert Rules.load(plan).resolve({"service_name": "bot"}) == {"team": "support"}
    (tmp_path / "owners.csv").write_text("service,team\nranker\n")
    with pytest.raises(
        PlanError, match=r"rules.toml: tag 'team': rule 'owners': map 'owners.csv' has no second column in line 2"
    ):
        Rules.load(plan)


def test_numbers_stay_exact():
    tags = one(value="dear", when={"list_cost": {">": Decimal("0.000000000000001")}})
    assert rules(tags).resolve({"list_cost": "0.000000000000002"}) == {"team": "dear"}
    assert rules(tags).resolve({"list_cost": "0.000000000000001"}) == {"team": "x"}


def test_what_is_not_toml_names_the_line(tmp_path):
    plan = tmp_path / "rules.toml"
    plan.write_text("[tags.team\n")
    with pytest.raises(PlanError, match=r"rules.toml: not TOML: .*line 1"):
        Rules.load(plan)
    with pytest.raises(PlanError, match=r"absent.toml: cannot be read"):
        Rules.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("value", "glob", "fits"),
    [
        ("web-search", "web-*", True),
        ("web", "w?b", True),
        ("w[e]b\nx", "w[e]*x", True),
        ("web", "w[e]b", False),
        ("web.", "web", False),
        ("a" * 256, "*a" * 30 + "*b", False),
    ],
)
def test_a_pattern_fits_the_whole_of_a_value_and_never_takes_for_ever(value, glob, fits):
    assert _conditions.matches(value, glob) is fits
