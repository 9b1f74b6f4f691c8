"""The language of `where=`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.errors import LedgerError
from spanledger.ledger._expression import Compare, Every, In, IsNull, Not, Some, parse

TWO, THREE = Decimal(2), Decimal(3)


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("team = 'growth'", Compare("team", "=", "growth")),
        ('team == "gro""wth"', Compare("team", "=", 'gro"wth')),
        ("team <> 'it''s'", Compare("team", "!=", "it's")),
        ("list_cost >= 0.05", Compare("list_cost", ">=", Decimal("0.05"))),
        ("stream = TRUE", Compare("stream", "=", True)),
        ("status not in ('ok', 'error')", Not(In("status", ("ok", "error")))),
        ("customer is not null", Not(IsNull("customer"))),
        ("feature like 'sum%'", Compare("feature", "like", "sum%")),
        ("tag:\"cost center\" = '7'", Compare('tag:"cost center"', "=", "7")),
        ("tag:region = 'eu'", Compare("tag:region", "=", "eu")),
        (
            "a is null or b = 2 and c > 3",
            Some((IsNull("a"), Every((Compare("b", "=", TWO), Compare("c", ">", THREE))))),
        ),
        ("not (a = 1 or b is null)", Not(Some((Compare("a", "=", Decimal(1)), IsNull("b"))))),
        ("", Every(())),
        (None, Every(())),
    ],
)
def test_a_condition_is_read_as_written(source, tree):
    assert parse(source) == tree


def test_a_mapping_is_a_conjunction_and_a_list_a_choice():
    asked = {"team": "growth", "status": ["error", "aborted"], "customer": None, "feature": ["a", None]}
    assert parse(asked) == Every(
        (
            Compare("team", "=", "growth"),
            In("status", ("error", "aborted")),
            IsNull("customer"),
            Some((In("feature", ("a",)), IsNull("feature"))),
        )
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("team = growth", "text goes in quotes"),
        ("team 'growth'", "where one of = !="),
        ("team = 'growth' status = 'ok'", "join conditions by"),
        ("(team = 'growth'", r"where '\)' was expected"),
        ("team = 'growth' ; drop table charges", "cannot be read"),
        ("= 3", "a field was expected"),
        ("team in ()", "a value was expected"),
        ("not " * 500 + "a = 1", "nested too deeply"),
        ("(" * 5000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(source, message):
    with pytest.raises(LedgerError, match=message):
        parse(source)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(source):
    try:
        parse(source)
    except LedgerError:
        return


@given(st.text(alphabet="ab 'x=()\"!<>,1.andortinull:g", max_size=60))
def test_anything_like_a_condition_is_read_or_refused(source):
    try:
        parse(source)
    except LedgerError:
        return
