"""What sealed files say of themselves spares reading, and changes no answer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

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


def test_a_statement_of_your_own_may_use_all_38_digits(ledger, write_segment, row):
    write_segment([row(list_cost="999", contracted_cost="999", effective_cost="999")])
    seal(ledger.path)
    asked = "SELECT list_cost * 1000000 AS micros, typeof(effective_cost) AS kind, currency FROM charges"
    (found,) = ledger.sql(asked).rows()
    assert found == {"micros": Decimal(999_000_000), "kind": "DECIMAL(38,15)", "currency": "USD"}
    assert ledger.sql("SELECT * FROM charges").columns == ledger.sql("SELECT * FROM history").columns
