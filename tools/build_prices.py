r"""Builds the bundled price book from its pinned sources.

Run it in an environment of its own::

    python3.11 -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices==0.2.3 azure-genai-prices==0.2.0
    /tmp/prices/bin/pip download --no-deps litellm==1.109.1 -d /tmp/prices
    /tmp/prices/bin/pip download --no-deps litellm==1.70.0 -d /tmp/prices
    /tmp/prices/bin/python tools/build_prices.py --version 2026-11-24 \
        --litellm /tmp/prices/litellm-1.109.1*.whl --retired /tmp/prices/litellm-1.70.0*.whl

It refuses a book in which a price moved more than tenfold, fell to zero or disappeared (`tools/prices/check.py`),
unless `--accept` names the model.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from prices import check, curated, derive, from_azure, from_genai, from_litellm
from prices.form import Book

HOME = Path(__file__).parents[1] / "src" / "spanledger" / "prices" / "book"


def build(wheel: Path, older: Path) -> Book:
    """Every source in turn: what is written first stands, what comes later fills gaps or lies over it by its layer."""
    book = Book()
    from_genai.add(book, version("genai-prices"))
    derive.bedrock_places(book)
    derive.bedrock_names(book)
    derive.google_fees(book)
    from_azure.add(book, version("azure-genai-prices"))
    prices = from_litellm.load(wheel)
    litellm_version = wheel.name.split("-")[1]
    for platform in ("openai", "anthropic", "google"):
        derive.before_variants(book, platform)
    derive.copy(book, "google", "vertex")
    derive.copy(book, "anthropic", "vertex", only="claude")
    from_litellm.add(book, prices, litellm_version)
    from_litellm.add_retired(book, from_litellm.load(older), older.name.split("-")[1])
    derive.bedrock_names(book)
    for provider in ("openai", "deepseek", "x-ai", "moonshotai"):
        derive.copy(book, provider, "azure", derive.on_azure)
    derive.claude_on_azure(book)
    derive.places(book, prices, f"litellm {litellm_version}")
    curated.add(book)
    return book


def main() -> int:
    """Builds, checks and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", type=Path, required=True, help="the wheel of LiteLLM")
    parser.add_argument("--retired", type=Path, required=True, help="an older wheel of it, for models that are gone")
    parser.add_argument("--version", required=True, help="the version of the book: a date")
    parser.add_argument("--accept", nargs="*", default=[], help="platform/model whose change was looked at")
    arguments = parser.parse_args()
    book = build(arguments.litellm, arguments.retired)
    problems = [problem for problem in check.moves(HOME, book) if problem.place not in arguments.accept]
    for problem in problems:
        print(problem)
    if problems:
        return 1
    sources = {name: version(name) for name in ("genai-prices", "azure-genai-prices")}
    sources["litellm"] = arguments.litellm.name.split("-")[1]
    size = book.write(HOME, arguments.version, sources)
    print(f"{sum(map(len, book.rows.values()))} models on {len(book.rows)} platforms, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
