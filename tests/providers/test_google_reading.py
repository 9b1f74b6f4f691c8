"""What Google's bodies say they are billed for. The numbers of each body are small and of our own making."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.providers import google_genai as google
from spanledger.providers._reading import Request


def read(api, *events, model="gemini-2.5-flash", **request):
    state = {}
    for event in events:
        api.fold(state, event)
    return api.read(state, Request(model, **request))


def generated(usage, **rest):
    return read(google.GENERATE, {"usageMetadata": usage, **rest})


def details(**counts):
    return [{"modality": kind.upper(), "tokenCount": count} for kind, count in counts.items()]


def test_thoughts_stand_outside_the_candidates_and_tool_prompts_beside_the_prompt():
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 30,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 157,
    }
    found = generated(usage, modelVersion="gemini-2.5-flash", responseId="r1").usage
    assert found.units == {"input": 40, "cache_read": 60, "tool_use_input": 30, "output": 20, "reasoning": 7}
    assert (found.input_tokens, found.output_tokens, found.flaw) == (130, 27, None)


def test_modalities_are_split_and_what_the_cache_served_of_each_is_taken_out():
    usage = {
        "promptTokenCount": 1000,
        "promptTokensDetails": details(text=400, audio=300, image=200, video=100),
        "cachedContentTokenCount": 250,
        "cacheTokensDetails": details(text=100, audio=120, image=30),
        "candidatesTokenCount": 90,
        "candidatesTokensDetails": details(text=40, audio=50),
        "totalTokenCount": 1090,
    }
    assert generated(usage).usage.units == {
        "input": 300,
        "input_audio": 180,
        "input_image": 170,
        "input_video": 100,
        "cache_read": 100,
        "cache_read_audio": 120,
        "cache_read_image": 30,
        "output": 40,
        "output_audio": 50,
    }


def test_a_document_is_cached_as_the_images_of_its_pages():
    usage = {
        "promptTokenCount": 1344,
        "promptTokensDetails": details(text=54, document=1290),
        "cachedContentTokenCount": 1274,
        "cacheTokensDetails": details(text=51, image=1223),
    }
    found = generated(usage).usage
    assert found.units == {"input": 3, "input_image": 67, "cache_read": 51, "cache_read_image": 1223}


def test_modalities_that_do_not_fit_are_left_out_and_flagged():
    usage = {
        "promptTokenCount": 10,
        "promptTokensDetails": details(audio=4),
        "cachedContentTokenCount": 8,
        "cacheTokensDetails": details(audio=8),
    }
    found = generated(usage).usage
    assert found.units == {"input": 2, "cache_read": 8}
    assert "modalities" in found.flaw
    assert found.usable


def test_a_total_that_is_not_the_sum_is_flagged_and_not_corrected():
    found = generated({"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 11}).usage
    assert found.units == {"input": 5, "output": 3}
    assert "11" in found.flaw


def test_the_last_usage_of_a_stream_counts_though_it_is_lower():
    found = read(
        google.GENERATE,
        {"usageMetadata": {"promptTokenCount": 169, "thoughtsTokenCount": 419, "totalTokenCount": 588}},
        {"usageMetadata": {"promptTokenCount": 79, "thoughtsTokenCount": 28, "totalTokenCount": 107}},
        {"usageMetadata": {"trafficType": "ON_DEMAND"}},
    )
    assert found.usage.units == {"input": 79, "reasoning": 28}
    assert found.context == {"traffic_type": "on_demand"}


def test_a_response_without_counts_has_no_usage():
    assert generated({"trafficType": "ON_DEMAND"}).usage is None


@pytest.mark.parametrize(
    ("body", "header", "asked", "tier"),
    [
        ("flex", "priority", "standard", "flex"),
        (None, "PRIORITY", "flex", "priority"),
        (None, None, "flex", "flex"),
        (None, None, None, None),
    ],
)
def test_the_tier_is_the_bodys_else_the_headers_else_what_was_asked_for(body, header, asked, tier):
    state = {}
    google.GENERATE.fold(state, {"usageMetadata": {"promptTokenCount": 1, "serviceTier": body}})
    headers = {google.TIER_HEADER: header} if header else {}
    reading = google.GENERATE.read(state, Request("m", {"serviceTier": asked}, headers))
    assert reading.context.get("service_tier") == tier


@pytest.mark.parametrize(
    ("model", "units"),
    [
        ("gemini-2.5-flash", {"grounding_prompt": 1}),
        ("models/gemini-2.0-pro", {"grounding_prompt": 1}),
        ("gemini-3.5-flash", {"grounding_query": 2}),
    ],
)
def test_searches_are_billed_by_the_prompt_or_by_the_query(model, units):
    grounded = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "finishReason": "STOP"}
    reading = generated(
        {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        modelVersion=model,
        candidates=[grounded],
    )
    assert reading.usage == ({"input": 3, "output": 4, **units}, None, True)
    assert reading.finish_reasons == ("STOP",)


def test_an_interaction_counts_thoughts_outside_and_searches_beside():
    usage = {
        "total_tokens": 327,
        "total_input_tokens": 267,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 9}, {"modality": "audio", "tokens": 258}],
        "total_cached_tokens": 0,
        "total_output_tokens": 3,
        "total_thought_tokens": 57,
        "grounding_tool_count": [{"type": "google_search", "count": 2}, {"type": "google_maps", "count": 1}],
    }
    reading = read(
        google.INTERACTION,
        {"event_type": "interaction.created", "interaction": {"id": "v1", "status": "in_progress"}},
        {"event_type": "interaction.completed", "interaction": {"status": "completed", "usage": usage}},
    )
    assert reading.usage.units == {
        "input": 9,
        "input_audio": 258,
        "output": 3,
        "reasoning": 57,
        "grounding_query": 2,
    }
    assert (reading.response_id, reading.finish_reasons) == ("v1", ("completed",))


def test_predict_counts_texts_that_were_embedded_or_images_that_were_made():
    embedded = {"predictions": [{"embeddings": {"statistics": {"token_count": count}}} for count in (22, 14)]}
    assert read(google.PREDICT, embedded).usage.units == {"input": 36}
    made = {"predictions": [{"bytesBase64Encoded": "x"}, {"raiFilteredReason": "unsafe"}]}
    assert read(google.PREDICT, made).usage.units == {"images": 1}
    assert read(google.PREDICT, {"predictions": [{"raiFilteredReason": "unsafe"}]}).usage is None


def test_a_video_is_counted_from_its_request_and_says_so():
    request = {"parameters": {"durationSeconds": 8, "sampleCount": 2}}
    reading = read(google.VIDEO, {"name": "operations/1"}, body=request)
    assert reading.usage.units == {"video_seconds": 16}
    assert (reading.usage_source, reading.awaits) == ("estimated", "operations/1")
    assert read(google.VIDEO, {"name": "operations/1"}).usage is None


def test_cached_content_is_a_cache_write():
    body = {"name": "cachedContents/1", "model": "models/gemini-2.5-flash", "usageMetadata": {"totalTokenCount": 1081}}
    reading = read(google.CACHED_CONTENT, body)
    assert reading.usage.units == {"cache_write": 1081}
    assert reading.response_id == "cachedContents/1"


@pytest.mark.parametrize(
    ("path", "verb", "model"),
    [
        ("models/gemini-2.5-flash:generateContent", "generateContent", "gemini-2.5-flash"),
        ("models/g:streamGenerateContent?alt=sse", "streamGenerateContent", "g"),
        ("tunedModels/mine-1:generateContent", "generateContent", "tunedModels/mine-1"),
        ("projects/p/locations/l/endpoints/12:generateContent", "generateContent", "endpoints/12"),
        ("publishers/google/models/imagen-4.0:predict", "predict", "imagen-4.0"),
        ("cachedContents", "cachedContents", None),
        ("projects/p/locations/l/cachedContents", "cachedContents", None),
    ],
)
def test_the_path_names_the_verb_and_the_model(path, verb, model):
    assert (google.verb_of(path), google.model_of(path)) == (verb, model)


NAMES = [
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "promptTokensDetails",
    "cacheTokensDetails",
    "cachedContentTokenCount",
    "modality",
    "tokenCount",
    "candidates",
    "finishReason",
    "groundingMetadata",
    "webSearchQueries",
    "content",
    "parts",
    "text",
    "promptFeedback",
    "blockReason",
    "interaction",
    "usage",
    "grounding_tool_count",
    "predictions",
    "embeddings",
    "serverContent",
    "serviceTier",
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
EVERY = [*google.VERBS.values(), google.INTERACTION, google.LIVE]


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4), max_size=2), st.sampled_from(EVERY))
def test_no_body_makes_a_reader_raise(events, api):
    reading = read(api, *events)
    assert reading.usage is None or all(isinstance(unit, str) for unit in reading.usage.units)
