"""The page on providers names every hook and provider, and every SDK with the versions that its suite has passed."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from spanledger.providers import STAINLESS, google_genai, hooks

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = DOCS / "providers.md"
ROW = re.compile(r"^\| ([a-z0-9-]+) \| (`[^|]+) \| ([^|]+) \|$", re.MULTILINE)
TRIED = re.compile(r"^\| ([a-z0-9-]+) \| ([\d.]+) \| [^|]+ \| (\d+) \| (\d+) \| \d+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows():
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def quoted(cells):
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


def test_every_hook_is_in_the_table(rows):
    named = quoted(row[1] for row in rows)
    websockets = {hook.name for hook in hooks() if hook.name.endswith(".connect")}
    assert {hook.name for hook in hooks()} - websockets == named


def test_every_provider_of_a_sibling_is_in_the_table(rows):
    from importlib import import_module

    siblings = {import_module(f"spanledger.providers.{name}").provider for name in STAINLESS if name != "openai"}
    assert {provider.name for provider in siblings} <= quoted(row[2] for row in rows)


def number(text):
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.fixture(scope="module")
def tried():
    pages = (PAGE, DOCS / "sdk-versions.md")
    return [row for page in pages for row in TRIED.findall(page.read_text(encoding="utf-8"))]


def test_every_sdk_of_the_table_was_tried_and_none_failed(rows, tried):
    assert {sdk for sdk, *_ in rows} == {sdk for sdk, *_ in tried}
    assert [row for row in tried if row[3] != "0" or row[2] == "0"] == []


def test_no_version_is_newer_than_the_one_that_is_installed(tried):
    newest = {}
    for sdk, found, *_ in tried:
        newest[sdk] = max(found, newest.get(sdk, "0"), key=number)
    newer = []
    for sdk, found in newest.items():
        try:
            installed = version(sdk)
        except PackageNotFoundError:
            continue
        if number(found) > number(installed):
            newer.append((sdk, found, installed))
    if newer:
        pytest.skip(f"older versions than the page's are installed here: {newer}")


def test_every_verb_of_google_that_bills_is_described():
    text = PAGE.read_text(encoding="utf-8")
    methods = {
        "generateContent": "generate_content",
        "streamGenerateContent": "its stream",
        "embedContent": "embed_content",
        "batchEmbedContents": "embed_content",
        "predict": "generate_images",
        "predictLongRunning": "generate_videos",
        "cachedContents": "caches.create",
        "fetchPredictOperation": "operations.get",
    }
    assert set(methods) == set(google_genai.VERBS)
    assert [method for method in methods.values() if method not in text] == []
