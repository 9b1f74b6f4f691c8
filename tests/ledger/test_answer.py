"""An answer is the same, whether it comes as Python values, as few rows do, or by Arrow, as many do."""

from __future__ import annotations

import pytest

from spanledger.ledger.engines import duckdb

QUESTIONS = (
    {"by": ["team", "day", "hour"]},
    {"by": ["stream", "duration_ms", "currency"]},
    {"by": ["unit", "model"]},
    {"by": ["input_tokens", "list_cost"]},
    {"by": "team", "where": "team = 'nobody'"},
)


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_few_rows_and_many_are_the_same_answer(ledger, book, row, monkeypatch, question):
    book(
        row(stream=True, duration_ms=1.125), row(team=None, list_cost=None, cost_status="unknown"), row(currency="EUR")
    )
    few = ledger.cost(**question)
    monkeypatch.setattr(duckdb, "MOST_FEW", -1)
    many = ledger.cost(**question)
    assert [list(map(str, one.values())) for one in few] == [list(map(str, one.values())) for one in many]
    assert few.rows() == many.rows()
    assert (few.to_text(), few.to_text(1), len(few)) == (many.to_text(), many.to_text(1), len(many))
    assert (few.to_html(), few.to_json()) == (many.to_html(), many.to_json())
    assert few.select(few.columns[:1]).rows() == many.select(many.columns[:1]).rows()
    assert few.to_arrow() == many.to_arrow()
    assert few.to_arrow().schema == many.to_arrow().schema
    assert (few.to_csv(), few.columns) == (many.to_csv(), many.columns)


COLD = """
import sys
from spanledger.cli import main
main(["report", sys.argv[1], "--by", "team,day"])
print(sorted({"numpy", "opentelemetry", "pandas", "pyarrow", "wrapt"} & set(sys.modules)))
"""


def test_a_report_loads_neither_arrow_nor_what_capture_needs(ledger, book, row, run_python):
    book(row())
    told = run_python(COLD, str(ledger.path)).stdout.splitlines()
    assert told[2].startswith("growth")
    assert told[-1] == "[]"
