"""Writes the page of the engines from the suite that holds them to one answer: `python tools/engines_page.py`."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.ledger.engines._cases import CASES, GAPS  # noqa: E402 -- found from the root of the repository

PAGE = ROOT / "docs" / "reference" / "engines.md"
ENGINES = {"clickhouse": "ClickHouse", "spark": "Spark", "postgresql": "PostgreSQL"}
WORDS = {
    "cost": "`cost()`",
    "charges": "`charges()`",
    "trace": "`trace()`",
    "sql": "`sql()`, in DuckDB's dialect",
    "allocate": "`allocate()`",
    "finance": "unit costs, runs, waste, caching, coverage, indicators",
    "rolled": "of days that are rolled up beside days that are not",
}
HEAD = """# Engines

One suite, `tests/ledger/engines`, asks every engine {count} questions. {filled} are of one ledger: several days, a
day of two files, a charge that was written twice, corrections of one charge, two currencies, unknown costs, amounts of
38 digits. {rolled} are of one in which `spanledger retain` has rolled up some days and not others. An answer is
**equal** where it is DuckDB's to the last digit of the last amount, and of rolled-up days what DuckDB answered before
they were rolled up. What those cannot answer every engine refuses, and so it does where a correction came later than
they were rolled up. `make engines` runs it: ClickHouse in this process (chdb), Spark as a standalone master with two
workers, PostgreSQL as a server of its own, all started by the suite. On 27 November 2026 that was chdb 26.9, Spark 4.3,
and PostgreSQL 15 and 18; for the rolled-up days, on 28 November, the same and PostgreSQL 15.

A gap stands in a table of the suite with its reason. The suite fails when a gap is not there any more, as it does
when an answer differs without one. This page is made of the same tables, by `python tools/engines_page.py`.

| asked | {names} |
|---|{rule}|
"""
TAIL = """
What no engine but DuckDB does: read open segments (seal first), name what a newer version wrote (`extra`), and
answer `tags()` and `sql(tables=...)`, which DuckDB answers itself whatever the engine. `allocate()` sums the
charges on the engine, and divides those sums, which are a small table, in DuckDB. A character of number zero in
text is U+FFFD in PostgreSQL, which has none.
"""


def page() -> str:
    """The page as it should be."""
    notes: list[str] = []
    rows = []
    for group, names in groupby(CASES, key=lambda name: CASES[name].group):
        rows.append(f"| **{WORDS[group]}** |{' |' * len(ENGINES)}")
        rows += [f"| {name} | {' | '.join(_cell(engine, name, notes) for engine in ENGINES)} |" for name in names]
    asked = Counter(case.of for case in CASES.values())
    head = HEAD.format(
        count=len(CASES), **asked, names=" | ".join(ENGINES.values()), rule="---|" * (len(ENGINES) - 1) + "---"
    )
    listed = "\n".join(f"{number}. {note}." for number, note in enumerate(notes, 1))
    return f"{head}{chr(10).join(rows)}\n\n{listed}\n{TAIL}"


def _cell(engine: str, case: str, notes: list[str]) -> str:
    reason = GAPS.get((engine, case))
    if reason is None:
        return "equal"
    if reason not in notes:
        notes.append(reason)
    return f"gap {notes.index(reason) + 1}"


if __name__ == "__main__":
    PAGE.write_text(page())
