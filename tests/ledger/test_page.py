"""The reference page has the columns that the code has."""

from __future__ import annotations

import runpy
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "ledger_page.py"
ENGINES = TOOL.with_name("engines_page.py")


def test_the_table_of_columns_is_up_to_date():
    tool = runpy.run_path(str(TOOL))
    assert tool["PAGE"].read_text() == tool["page"](), "run python tools/ledger_page.py"


def test_the_page_of_engines_says_what_their_suite_says():
    tool = runpy.run_path(str(ENGINES))
    assert tool["PAGE"].read_text() == tool["page"](), "run python tools/engines_page.py"
