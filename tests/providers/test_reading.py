"""Reading usage: parts sum to the whole, nothing is clamped, and no body whatever makes a reader raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger.providers import anthropic, bedrock, openai
from spanledger.providers._reading import Api, Request, UsageTable, _take, _walked, as_count

counts = st.integers(0, 10**9)


@given(prompt=counts, cached=counts, completion=counts, reasoning=counts)
def test_openai_parts_sum_to_the_whole_whatever_they_are(
    prompt: int, cached: int, completion: int, reasoning: int
) -> None:
    usage = openai.TOKENS.read(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (prompt, completion)
    assert (usage.cache_read_tokens or 0, usage.reasoning_tokens or 0) == (cached, reasoning)
    assert usage.usable == (cached <= prompt and reasoning <= completion)
    assert (usage.flaw is None) == usage.usable


@given(fresh=counts, read=counts, written=counts, hour=counts, output=counts)
def test_anthropic_parts_stand_beside_each_other(fresh: int, read: int, written: int, hour: int, output: int) -> None:
    usage = anthropic.TOKENS.read(
        {
            "input_tokens": fresh,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "cache_creation": {"ephemeral_1h_input_tokens": hour},
            "output_tokens": output,
        }
    )
    assert usage is not None
    assert usage.input_tokens == fresh + read + written
    assert usage.cache_write_tokens == written
    assert usage.usable == (hour <= written)


def test_reasoning_that_the_total_proves_to_stand_beside_the_output_is_added_to_it() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 300}}
    beside = openai.TOKENS.read({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 315, **details})
    inside = openai.TOKENS.read({"prompt_tokens": 10, "completion_tokens": 305, "total_tokens": 315, **details})
    assert beside is not None
    assert beside == inside


def test_a_total_that_is_not_the_sum_is_flagged_and_still_usable() -> None:
    usage = openai.TOKENS.read({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 16})
    assert usage is not None
    assert usage.usable
    assert usage.flaw is not None
    assert "16" in usage.flaw


def test_more_cached_than_sent_is_kept_as_it_is_and_has_no_price() -> None:
    usage = openai.TOKENS.read({"prompt_tokens": 81, "prompt_tokens_details": {"cached_tokens": 192}})
    assert usage is not None
    assert usage.units == {"input": -111, "cache_read": 192}
    assert not usage.usable


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_what_the_cache_served_of_images_or_sound_is_billed_once_at_the_price_of_the_cache(modality: str) -> None:
    details = {"cached_tokens": 950, f"{modality}_tokens": 800}
    usage = openai.TOKENS.read(
        {"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 1005, "prompt_tokens_details": details}
    )
    assert usage is not None
    assert usage.units == {"input": 0, "output": 5, "cache_read": 950, f"input_{modality}": 50}
    assert (usage.usable, usage.input_tokens) == (True, 1000)
    assert "cache" in (usage.flaw or "")


@pytest.mark.parametrize("details", [{"image_tokens": 1200}, {"image_tokens": 800, "cached_tokens": 1100}])
def test_parts_that_are_more_than_the_whole_are_no_overlap(details: dict[str, int]) -> None:
    usage = openai.TOKENS.read({"prompt_tokens": 1000, "prompt_tokens_details": details})
    assert usage is not None
    assert not usage.usable
    assert usage.units["input_image"] == details["image_tokens"]


@pytest.mark.parametrize("value", ["12", True, 1.5, -(2**60), 2**60, [], {}, float("nan"), float("inf")])
def test_what_is_no_count_is_none(value: Any) -> None:
    assert as_count(value) is None


@pytest.mark.parametrize("value", [0, 7, -9, 3.0])
def test_whole_numbers_of_either_sign_are_counts(value: Any) -> None:
    assert as_count(value) == value


def test_usage_without_a_single_count_is_no_usage() -> None:
    table = UsageTable(wholes={"input": (("a",),)})
    assert table.read({"b": 1}) is None
    assert table.read(None) is None
    assert table.read("a") is None


APIS: Mapping[str, Api] = {
    **{api.name: api for api in openai.ROUTES.values()},
    **{api.name: api for api in anthropic.ROUTES.values()},
    **{api.name: api for api in bedrock.APIS.values()},
}

NAMES = st.sampled_from(
    """usage model id type response message delta choices finish_reason index text content output input total_tokens
    prompt_tokens completion_tokens input_tokens output_tokens prompt_tokens_details cached_tokens service_tier status
    cache_creation cache_creation_input_tokens iterations stop_reason inputTokens outputTokens totalTokens cacheDetails
    results tokenCount metadata trace promptRouter meta x_groq tool_usage server_tool_use""".split()  # noqa: SIM905 -- read as prose
)
KINDS = st.sampled_from(
    ["message_start", "message_delta", "message_stop", "content_block_delta", "message", "response.completed", ""]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KINDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=25
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=8)


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(APIS)), events=st.lists(EVENTS, max_size=4))
def test_no_body_makes_a_reader_raise(name: str, events: list[dict[str, Any]]) -> None:
    state: dict[str, Any] = {}
    for event in events:
        APIS[name].fold(state, event)
    reading = APIS[name].read(state, Request("m"))
    if reading.usage is not None and reading.usage.usable:
        assert all(quantity >= 0 for quantity in reading.usage.units.values())


VALUES = counts | st.sampled_from([None, -1, 1.5, True, "7", 2**60])
PLACES = ("prompt_tokens", "input_tokens", "completion_tokens", "total_tokens", "other")
DETAILS = st.dictionaries(st.sampled_from(("cached_tokens", "audio_tokens", "reasoning_tokens")), VALUES) | VALUES


@given(
    usage=st.dictionaries(st.sampled_from(PLACES), VALUES),
    details=st.dictionaries(
        st.sampled_from(("prompt_tokens_details", "input_tokens_details", "completion_tokens_details")), DETAILS
    ),
)
def test_the_short_way_through_a_usage_finds_what_the_long_one_finds(
    usage: dict[str, Any], details: dict[str, Any]
) -> None:
    usage = {**usage, **details}
    taken: dict[str, int] = {}
    flaws: list[str] = []
    walked = _walked(usage, openai.TOKENS._top, flaws)
    if _take(usage, openai.TOKENS._top, taken):
        assert (taken, flaws) == (walked, [])
