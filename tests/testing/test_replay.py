"""The replay notices each way in which a charge can differ from a recording; it runs where the recordings are."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spanledger._types import Charge
from spanledger.testing._comparison import misses, tells_unasked

SHARED = Path(os.environ.get("SPANLEDGER_SHARED", Path(__file__).parents[3] / "shared"))
CORPUS = SHARED / "data" / "corpus" / "cases.jsonl.gz"

EXPECTED: dict[str, Any] = {
    "model": "gpt-5-mini-2025",
    "input_tokens": 100,
    "cached_tokens": 30,
    "cache_write_tokens": None,
    "output_tokens": 40,
    "reasoning_tokens": 0,
    "usage_present": True,
    "extra": {},
}
CASE: dict[str, Any] = {"method": "POST", "is_error": False, "expected": EXPECTED}
ROW: dict[str, Any] = {
    "charge_id": "1",
    "response_model": "gpt-5-mini-2025",
    "input_tokens": 100,
    "cache_read_tokens": 30,
    "output_tokens": 40,
    "usage_source": "reported",
    "cost_status": "exact",
}


def charge(**changes: Any) -> Charge:
    return Charge({**ROW, **changes})


def test_what_is_equal_is_no_miss() -> None:
    assert misses(CASE, [charge()]) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"response_model": "gpt-5"}, "model gpt-5 instead of gpt-5-mini-2025"),
        ({"input_tokens": 70}, "input_tokens 70 instead of 100"),
        ({"cache_read_tokens": None}, "cache_read_tokens 0 instead of 30"),
        ({"cache_write_tokens": 1}, "cache_write_tokens 1 instead of 0"),
        ({"output_tokens": 41}, "output_tokens 41 instead of 40"),
        ({"reasoning_tokens": 5}, "reasoning_tokens 5 instead of 0"),
    ],
)
def test_each_difference_is_a_miss(changes: dict[str, Any], reason: str) -> None:
    assert misses(CASE, [charge(**changes)]) == [reason]


def test_a_response_is_booked_once() -> None:
    assert misses(CASE, []) == ["0 charges instead of 1"]
    assert misses(CASE, [charge(), charge()]) == ["2 charges instead of 1"]
    assert misses({**CASE, "method": "GET"}, [charge()]) == ["1 charges instead of 0"]
    assert misses({**CASE, "method": "GET"}, []) == []


def test_an_error_is_not_billed() -> None:
    failed = {**CASE, "is_error": True}
    assert misses(failed, [charge(cost_status="not_billed")]) == []
    assert misses(failed, [charge()]) == ["an error was booked as exact"]


def test_usage_that_nobody_reported_is_unknown_or_estimated() -> None:
    silent = {**CASE, "expected": {**EXPECTED, "usage_present": False}}
    assert misses(silent, [charge(input_tokens=None)]) == []
    assert misses(silent, [charge(usage_source="estimated")]) == []
    assert misses(silent, [charge(corrects="an earlier row")]) == []
    assert misses(silent, [charge(usage_source="partial", cost_status="partial")]) == []
    assert misses(silent, [charge(usage_source="partial", cost_status="unknown")]) == []
    assert misses(silent, [charge(usage_source="partial")]) == ["input_tokens 100 where none is reported"]
    assert misses(silent, [charge(cost_status="partial")]) == ["input_tokens 100 where none is reported"]
    assert misses(silent, [charge()]) == ["input_tokens 100 where none is reported"]


def test_work_that_the_top_level_leaves_out_may_be_counted() -> None:
    total = {"input_tokens": 900, "output_tokens": 90, "cached_tokens": 30, "cache_write_tokens": 0}
    case = {**CASE, "expected": {**EXPECTED, "extra": {"iterations_sum": total}}}
    assert misses(case, [charge()]) == []
    assert misses(case, [charge(input_tokens=900, output_tokens=90)]) == []
    assert misses(case, [charge(input_tokens=901)])


def test_a_cache_that_was_stored_has_a_total_only() -> None:
    stored = {**EXPECTED, "input_tokens": None, "output_tokens": None, "cached_tokens": 0, "total_tokens_reported": 99}
    booked = charge(input_tokens=99, output_tokens=None, cache_read_tokens=None)
    assert misses({**CASE, "expected": stored}, [booked]) == []
    assert misses({**CASE, "expected": stored}, [charge(input_tokens=98, output_tokens=None, cache_read_tokens=0)])


def test_what_a_body_leaves_out_may_be_in_the_headers() -> None:
    guarded = {**EXPECTED, "output_tokens": None, "extra": {"header_tokens": [100, 51, 0, 0]}}
    assert misses({**CASE, "expected": guarded}, [charge(output_tokens=51)]) == []
    assert misses({**CASE, "expected": guarded}, [charge(output_tokens=None)])


@pytest.mark.parametrize(
    ("asked", "told", "unasked"), [(True, True, False), (False, True, True), (False, False, False)]
)
def test_a_recorded_stream_may_tell_its_usage_unasked(asked: bool, told: bool, unasked: bool) -> None:  # noqa: FBT001
    body = {"stream_options": {"include_usage": True}} if asked else {}
    recorded = {"streaming": True, "endpoint": "chat.completions", "request": {"body": body}}
    assert tells_unasked({**CASE, **recorded, "expected": {"usage_present": told}}) is unasked
    assert tells_unasked({**CASE, **recorded, "endpoint": "responses", "expected": {"usage_present": told}}) is False


@pytest.mark.skipif(not CORPUS.exists(), reason="there are no recordings beside this repository")
def test_the_real_sdks_over_some_recordings(tmp_path: Path) -> None:
    some = tmp_path / "some.jsonl.gz"
    with gzip.open(CORPUS, "rt") as cases, gzip.open(some, "wt") as chosen:
        chosen.writelines(itertools.islice((line for line in cases if '"provider": "openai"' in line), 20))
    arguments = [str(some), "--harness", str(SHARED / "conformance"), "--json", str(tmp_path / "table.json")]
    run = subprocess.run(
        [sys.executable, "-m", "spanledger.testing.replay", *arguments, "--require", "95"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    table = json.loads((tmp_path / "table.json").read_text())
    assert sum(score["cases"] for score in table["classes"].values()) > 20
    assert table["faults"] == {"lost": 0, "faults": {}}
