"""What sealed files say of themselves spares reading, and changes no answer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import orjson
import pyarrow.parquet as pq
import pytest

from spanledger import Ledger
from spanledger.ledger._compact import compact
from spanledger.ledger._seal import seal

QUESTIONS = (
    {"by": "team"},
    {"by": ["team", "currency"]},
    {"by": ["day", "model"]},
    {"by": ["unit"]},
    {"by": ()},
    {"by": "team", "where": "effective_cost > 0.005"},
    {"by": "team", "where": "contracted_cost < 5000.5 and currency = 'USD'"},
    {"by": "team", "where": "list_cost > 123456789012345678.5"},
    {"by": "team", "where": "currency = 'EUR'"},
    {"by": "team", "limit": 1},
    {"by": "tag:plan"},
)


def answers(ledger):
    """Every question's answer, with its types."""
    asked = [ledger.cost(**question) for question in QUESTIONS]
    return [(one.columns, one.to_arrow().schema, one.rows()) for one in asked]


def footers(ledger):
    """What the footers of the sealed files say, in order of the files' columns that are alike."""
    read = [pq.read_metadata(path).metadata for path in sorted(ledger.path.glob("charges/*/*.parquet"))]
    said = [{key.decode(): value.decode() for key, value in one.items()} for one in read]
    return sorted((one.get("alike"), one.get("currency")) for one in said)


DISCOUNTED = {"effective_cost": "0.009", "contracted_cost": "0.0095"}
UNKNOWN = {"list_cost": None, "contracted_cost": None, "effective_cost": None, "costs": None, "currency": None}


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([[{}, {"team": "core"}]], [("contracted_cost/effective_cost", "USD")]),
        ([[{}, DISCOUNTED]], [("", "USD")]),
        (
            [[{"effective_cost": "0.009"}], [{}]],
            [("contracted_cost", "USD"), ("contracted_cost/effective_cost", "USD")],
        ),
        ([[{}, {"currency": "EUR"}]], [("contracted_cost/effective_cost", None)]),
        ([[{}], [{"currency": "EUR"}]], [(both := "contracted_cost/effective_cost", "EUR"), (both, "USD")]),
        ([[{}, UNKNOWN]], [("contracted_cost/effective_cost", None)]),
        ([[{**UNKNOWN, "list_cost": "0.01"}]], [("", None)]),
        ([[{}, {"list_cost": "1000"}]], [("", "USD")]),
        ([[{"tags": {"plan": "pro"}}], [DISCOUNTED]], [("", "USD"), (both, "USD")]),
    ],
)
def test_no_answer_changes_by_what_files_say(ledger, write_segment, row, segments, said):
    for rows in segments:
        write_segment([row(**changes) for changes in rows])
    before = answers(ledger)
    seal(ledger.path)
    assert footers(ledger) == said
    assert answers(ledger) == before
    compact(ledger.path, today=date(2026, 12, 1))
    assert len(footers(ledger)) == 1
    assert answers(ledger) == before
    open_too = write_segment([row(currency="GBP", list_cost="7", effective_cost="6")])
    assert {one["currency"] for one in ledger.cost("currency")} >= {"GBP"}
    open_too.unlink()
    assert answers(ledger) == before


def test_settled_days_and_days_with_repeats_are_summed_apart_and_added(ledger, write_segment, row, tmp_path):
    days = [f"2026-11-{day}T10:00:00Z" for day in (20, 21, 22, 23)]
    old = [
        row(started_at=day, tags={"plan": "pro", "charges": "x"}, **changes)
        for day in days
        for changes in ({}, DISCOUNTED)
    ]
    corrected = row(started_at=days[1], corrects=old[2]["charge_id"], list_cost="2", contracted_cost="2")
    again = row(started_at=days[1], corrects=old[2]["charge_id"], list_cost="123456789012.5", currency="EUR")
    late = [corrected, old[4], row(started_at=days[2], team="core", tags={"charges": "y"}), again]
    write_segment(old)
    seal(ledger.path)
    compact(ledger.path, today=date(2026, 12, 1))
    write_segment(late)
    open_only = Ledger(tmp_path / "open.ledger")
    (open_only.path / "open").mkdir(parents=True)
    lines = b"".join(orjson.dumps(one) + b"\n" for one in [*old, *late])
    (open_only.path / "open" / "other-1-a.jsonl").write_bytes(lines)
    questions = [
        *QUESTIONS,
        {"by": ["tag:charges", "tag:plan"]},
        {"by": "day", "history": True},
        {"by": "day", "limit": 3},
    ]
    for question in questions:
        found, expected = ledger.cost(**question), open_only.cost(**question)
        assert (found.columns, found.rows()) == (expected.columns, expected.rows()), question
        assert found.to_arrow().schema == expected.to_arrow().schema
    assert ledger.charges().rows() == open_only.charges().rows()
    assert [one["charges"] for one in ledger.cost("day")] == [2, 1, 1, 3, 2]
    assert ledger.sql("SELECT count(*) AS n FROM history").rows() == [{"n": 12}]


def test_a_statement_of_your_own_may_use_all_38_digits(ledger, write_segment, row):
    write_segment([row(list_cost="999", contracted_cost="999", effective_cost="999")])
    seal(ledger.path)
    asked = "SELECT list_cost * 1000000 AS micros, typeof(effective_cost) AS kind, currency FROM charges"
    (found,) = ledger.sql(asked).rows()
    assert found == {"micros": Decimal(999_000_000), "kind": "DECIMAL(38,15)", "currency": "USD"}
    assert ledger.sql("SELECT * FROM charges").columns == ledger.sql("SELECT * FROM history").columns
