"""The public face is explicit, small, sorted and documented: a change of it changes this file."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import spanledger
from spanledger import testing

PUBLIC = [
    "Charge",
    "Ledger",
    "Usage",
    "carry",
    "configure",
    "current_tags",
    "extract",
    "flush",
    "inject",
    "instrument",
    "meter",
    "price",
    "tag",
    "tool",
    "uninstrument",
    "workflow",
    "wrap",
]
TESTING = ["Exchange", "Fault", "ProviderServer", "Reply", "Request", "Tokens", "capture_charges", "refused"]


def test_the_names_are_these() -> None:
    assert spanledger.__all__ == PUBLIC
    assert testing.__all__ == TESTING


def test_they_are_sorted() -> None:
    assert sorted(PUBLIC) == PUBLIC
    assert sorted(TESTING) == TESTING


@pytest.mark.parametrize("name", PUBLIC)
def test_each_can_be_had_and_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(spanledger, name))


@pytest.mark.parametrize("name", TESTING)
def test_each_of_testing_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(testing, name))


def test_dir_shows_them_and_the_version() -> None:
    assert dir(spanledger) == sorted([*PUBLIC, "__version__"])
    assert spanledger.__version__


@pytest.mark.parametrize("name", ["errors", "prices"])
def test_parts_that_are_used_by_their_name_need_no_import_of_their_own(name: str) -> None:
    source = f"import spanledger; print(spanledger.{name}.__name__)"
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"spanledger.{name}"


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        spanledger.nonsense  # noqa: B018 -- the access is the test
