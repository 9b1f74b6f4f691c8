"""Builds the bundled price book from its pinned sources.

Run it in an environment of its own::

python3.11 -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices==0.2.3 azure-genai-prices==0.2.0
/tmp/prices/bin/python tools/build_prices.py
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from prices import from_genai
from prices.form import Book

HOME = Path(__file__).parents[1] / "src" / "spanledger" / "prices" / "book"


def build() -> Book:
    """Every source in turn, the most general first."""
    book = Book()
    from_genai.add(book, version("genai-prices"))
    return book


def main() -> int:
    """Builds, checks and writes."""
    size = build().write(HOME, "2026-11-24", "2026-11-24", {"genai-prices": version("genai-prices")})
    print(f"{size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
