"""Bodies of any shape: `spanledger.price` never raises on what a body holds, and never makes up an amount."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import spanledger
from spanledger._raw import apis
from spanledger._types import Charge

NAMES = [
    *(
        "usage",
        "usageMetadata",
        "model",
        "modelVersion",
        "type",
        "message",
        "events",
        "headers",
        "body",
        "error",
        "output",
    ),
    *("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "total_tokens", "promptTokenCount"),
    *("prompt_tokens_details", "input_tokens_details", "cached_tokens", "cache_write_tokens", "iterations", "trace"),
    *(
        "cache_creation",
        "server_tool_use",
        "web_search_requests",
        "tool_usage",
        "web_search",
        "num_requests",
        "image_gen",
    ),
    *(
        "candidates",
        "groundingMetadata",
        "webSearchQueries",
        "promptTokensDetails",
        "modality",
        "tokenCount",
        "seconds",
    ),
    *("inputTokens", "outputTokens", "cacheDetails", "promptRouter", "invokedModelId", "results", "attempts", "repeat"),
    *(
        "service_tier",
        "serviceTier",
        "choices",
        "data",
        "status_code",
        "code",
        "stop_reason",
        "stop_details",
        "request",
    ),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["gpt-6.1-sol", "claude-opus-5-5", "gemini-2.5-flash", "message", "web_search_call", "refusal", "5m"]
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
STATUSES = {"exact", "estimated", "partial", "unknown", "not_billed"}


@pytest.mark.parametrize("api", sorted(apis()))
@settings(max_examples=25)
@example({name: [] for name in NAMES})
@example({name: {} for name in NAMES})
@example({name: {"status": [], "type": {}} for name in ("type", "status", "response", "usage", "usageMetadata")})
@given(BODIES)
def test_a_body_of_any_shape_is_a_charge(api, body):
    charge = spanledger.price(body, provider="openai", api=api, requested_model="gpt-6.1-sol", at="2026-11-16")
    assert isinstance(charge, Charge)
    assert charge.cost_status in STATUSES
    assert (charge.list_cost is None) == (charge.cost_status == "unknown")
    assert charge.list_cost is None or charge.list_cost >= 0
