"""The tool that builds the book: names, gaps, places, and what it refuses."""

from __future__ import annotations

import gzip
import json

import pytest

ROW = {"input": "2", "output": "8"}


@pytest.fixture(scope="module")
def form(tools):
    return tools("prices.form")


@pytest.fixture(scope="module")
def check(tools):
    return tools("prices.check")


def book_of(form, **models):
    book = form.Book()
    for model, rates in models.items():
        book.model("openai", model)
        book.put("openai", model, form.Entry(rates, source="a test"))
    return book


@pytest.fixture
def home(form, tmp_path):
    book_of(form, one=ROW, two=ROW).write(tmp_path / "book", "2026-01-01", {})
    return tmp_path / "book"


def problems(check, home, book):
    return [str(problem) for problem in check.moves(home, book)]


def test_an_equal_book_is_fine(form, check, home):
    assert problems(check, home, book_of(form, one=ROW, two=ROW)) == []


def test_tenfold_is_fine_and_more_is_refused(form, check, home):
    assert problems(check, home, book_of(form, one={**ROW, "input": "20"}, two=ROW)) == []
    assert problems(check, home, book_of(form, one={**ROW, "input": "20.1"}, two=ROW)) == [
        "openai/one: input moved from 2 to 20.1"
    ]
    assert problems(check, home, book_of(form, one={**ROW, "input": "0.19"}, two=ROW)) == [
        "openai/one: input moved from 2 to 0.19"
    ]


def test_a_price_of_zero_and_one_that_is_gone_are_refused(form, check, home):
    assert problems(check, home, book_of(form, one={"input": "0", "output": "8"}, two={"input": "2"})) == [
        "openai/one: input fell from 2 to zero",
        "openai/two: output is gone",
    ]


def test_a_model_that_is_gone_is_refused(form, check, home):
    assert problems(check, home, book_of(form, one=ROW)) == ["openai/two: is gone"]


def test_what_fills_a_gap_leaves_what_is_known(form):
    book = book_of(form, one=ROW)
    book.fill("openai", "one", form.Entry({"input": "9", "cache_read": "0.2"}, source="another"))
    assert book.current("openai", "one", {}) == {**ROW, "cache_read": "0.2"}


def test_a_name_stays_with_the_model_that_had_it_first(form):
    book = book_of(form, one=ROW, two=ROW)
    book.model("openai", "one", "alias")
    book.model("openai", "two", "alias", "other")
    assert (book.find("openai", "alias"), book.find("openai", "other")) == ("one", "two")


def test_files_are_the_same_bytes_for_the_same_book(form, home):
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    book_of(form, one=ROW, two=ROW).write(home, "2026-01-01", {})
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    assert json.loads(gzip.decompress(before["openai.json.gz"]))["models"]["one"][1][0][0] == ROW


@pytest.mark.parametrize(
    ("rate", "exact"), [("2.5", (5, 2)), ("0.36/3600", (1, 10_000)), ("0.03/20", (3, 2000)), ("0", (0, 1))]
)
def test_a_rate_is_exact(form, rate, exact):
    assert form.exact(rate).as_integer_ratio() == exact


def test_a_variant_holds_before_it_was_written_down_at_its_ratio(form, tools):
    book = form.Book()
    book.model("openai", "one")
    for entry in (
        form.Entry({"input": "10"}, end="2025-06-10"),
        form.Entry({"input": "2"}, start="2025-06-10"),
        form.Entry({"input": "1"}, {"batch": "true"}, start="2026-10-14"),
    ):
        book.put("openai", "one", entry)
    tools("prices.derive").before_variants(book, "openai")
    batch = sorted((row.start or "", row.end, row.rates["input"]) for row in book.rows["openai"]["one"] if row.when)
    assert batch == [("", "2025-06-10", "5"), ("2025-06-10", None, "1")]
