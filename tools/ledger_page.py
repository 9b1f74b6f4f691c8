"""Writes the table of columns into the reference page of the ledger: `python tools/ledger_page.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from spanledger._types import COLUMNS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "ledger-format.md"
BETWEEN = re.compile(r"(<!-- columns -->\n).*(<!-- end of columns -->)", re.DOTALL)


def table() -> str:
    """The columns of a charge, in Markdown."""
    rows = [
        f"| `{column.name}` | {column.group} | `{column.sql}` | {column.doc} | {column.focus or ''} |"
        for column in COLUMNS
    ]
    return "\n".join(["| column | group | type | what | FOCUS |", "|---|---|---|---|---|", *rows])


def page() -> str:
    """The page as it should be."""
    return BETWEEN.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", PAGE.read_text())


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page()) == 0)
