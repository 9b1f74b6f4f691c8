"""`spanledger.price`: bodies, streams, headers, failures and meters of every provider."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal

import pytest

import spanledger
from spanledger.errors import ConfigurationError

AT = "2026-11-16T12:00:00Z"


def responses(tokens_in, tokens_out, cached=0, written=0, **more):
    usage = {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    return {"model": "gpt-6.1-sol", "usage": usage, **more}


def chat(tokens_in, tokens_out, model="gpt-4o-2024-08-06"):
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    return {"model": model, "choices": [], "usage": usage}


def message(model="claude-opus-5-5", **usage):
    return {"type": "message", "model": model, "usage": {"input_tokens": 10_000, "output_tokens": 2000, **usage}}


def gemini(tokens_in, tokens_out, model="gemini-2.5-flash", **usage):
    counts = {"promptTokenCount": tokens_in, "candidatesTokenCount": tokens_out, **usage}
    return {"modelVersion": model, "usageMetadata": {"totalTokenCount": tokens_in + tokens_out, **counts}}


def converse(tokens_in, tokens_out, **more):
    usage = {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out}
    return {"usage": {**usage, **more}}


SEARCH = {"type": "web_search_call", "action": {"type": "search"}}
READ = {"type": "web_search_call", "action": {"type": "open_page"}}

EXACT = [
    ("openai", "responses", responses(6000, 1000, cached=1000), {}, "0.0201"),
    ("openai", "responses", responses(10_000, 0, service_tier="flex"), {}, "0.01"),
    ("openai", "responses", responses(1000, 0, service_tier="default"), {"requested_service_tier": "flex"}, "0.002"),
    ("openai", "batch:/v1/responses", responses(10_000, 0, service_tier="default"), {}, "0.01"),
    ("openai", "responses", responses(10_000, 0), {"base_url": "https://eu.api.openai.com/v1"}, "0.022"),
    ("openai", "chat.completions", chat(10_000, 0), {"base_url": "https://eu.api.openai.com/v1"}, "0.025"),
    ("openai", "responses", responses(0, 0, output=[SEARCH, READ, SEARCH]), {}, "0.02"),
    (
        "openai",
        "responses",
        responses(0, 0, output=[SEARCH, SEARCH], tool_usage={"web_search": {"num_requests": 1}}),
        {},
        "0.01",
    ),
    ("openai", "responses", responses(0, 0, output=[SEARCH], tools=[{"type": "web_search_preview"}]), {}, "0.01"),
    ("openai", "responses", responses(0, 0, output=[{"type": "file_search_call"}] * 2), {}, "0.005"),
    (
        "openai",
        "responses",
        responses(0, 0, output=[{"type": "code_interpreter_call", "container_id": "c"}]),
        {"containers": {"c": {"memory_limit": "4g", "active_minutes": 2}}},
        "0.03",
    ),
    (
        "openai",
        "responses",
        responses(
            *(0, 0),
            output=[{"type": "image_generation_call", "model": "gpt-image-1.5"}],
            tool_usage={"image_gen": {"input_tokens": 50, "output_tokens": 1000}},
        ),
        {},
        "0.03225",
    ),
    ("openai", "audio.speech", {"request": {"model": "tts-1", "input_length_chars": 1000}}, {}, "0.015"),
    ("azure", "chat.completions", chat(100_000, 0), {"deployment_type": "GlobalStandard"}, "0.25"),
    ("azure", "chat.completions", chat(100_000, 0), {"deployment_type": "Standard", "region": "northeurope"}, "0.33"),
    ("azure", "chat.completions", chat(100_000, 0), {"deployment_type": "GlobalBatch"}, "0.125"),
    (
        *("azure", "chat.completions", chat(100_000, 0)),
        *({"requested_model": "model-router", "deployment_type": "GlobalStandard"}, "0.264"),
    ),
    ("azure", "ptu-meter", {"ptus": 100, "hours": 730}, {"deployment_type": "GlobalProvisionedManaged"}, "73000"),
    ("anthropic", "messages", message(cache_creation_input_tokens=1000), {}, "0.085"),
    ("anthropic", "messages", message(speed="fast", inference_geo="us"), {}, "0.176"),
    ("anthropic", "messages", message(service_tier="batch", server_tool_use={"web_search_requests": 3}), {}, "0.07"),
    ("anthropic", "messages.batches", message(), {}, "0.04"),
    (
        "anthropic",
        "messages",
        message(
            cache_creation_input_tokens=3000,
            cache_creation={"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
        ),
        {},
        "0.101",
    ),
    ("aws", "converse", converse(10_000, 0), {"model_id": "global.anthropic.claude-sonnet-5-5"}, "0.02"),
    ("aws", "converse", converse(10_000, 0), {"model_id": "us.anthropic.claude-sonnet-5-5"}, "0.022"),
    ("aws", "messages", message("claude-sonnet-5-5"), {"model_id": "global.anthropic.claude-sonnet-5-5"}, "0.04"),
    ("aws", "converse", converse(10_000, 0), {"model_id": "us-gov.anthropic.claude-sonnet-5-5"}, "0.024"),
    (
        "aws",
        "converse",
        {**converse(100_000, 0), "serviceTier": {"type": "flex"}},
        {"model_id": "amazon.nova-pro-v1:0"},
        "0.04",
    ),
    (
        "aws",
        "invoke_model",
        {"headers": {"X-Amzn-Bedrock-Input-Token-Count": "500", "X-Amzn-Bedrock-Output-Token-Count": "100"}},
        {"model_id": "us.amazon.nova-lite-v1:0"},
        "0.000054",
    ),
    (
        "aws",
        "invoke_model",
        {"body": {"generation": "x", "prompt_token_count": 1000, "generation_token_count": 200}},
        {"model_id": "us.meta.llama3-3-70b-instruct-v1:0"},
        "0.000864",
    ),
    ("google", "generateContent", gemini(1000, 200, thoughtsTokenCount=800, totalTokenCount=2000), {}, "0.0028"),
    ("google", "batch", gemini(100_000, 0, "gemini-2.5-pro", cachedContentTokenCount=20_000), {}, "0.0525"),
    (
        "google",
        "generateContent",
        gemini(10_000, 0, "gemini-3.1-pro-preview"),
        {"headers": {"x-gemini-service-tier": "priority"}},
        "0.036",
    ),
    ("google", "cachedContents", {"usageMetadata": {"totalTokenCount": 1_000_000}, "ttl_seconds": 3600},
     {"requested_model": "gemini-3.8-flash"}, "0.5"),
    ("vertex", "messages", message(), {"region": "europe-west1"}, "0.088"),
    ("vertex", "messages", message(), {"region": "global"}, "0.08"),
    ("vertex", "generateContent", gemini(8000, 0, "gemini-3.5-flash", trafficType="ON_DEMAND_FLEX"), {}, "0.006"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "api", "body", "context", "cost"), EXACT)
def test_it_costs_exactly(provider, api, body, context, cost):
    charge = spanledger.price(body, provider=provider, api=api, context=context, at=AT)
    assert (charge.cost_status, charge.list_cost) == ("exact", Decimal(cost)), charge.cost_reason
    assert sum(charge.costs.values()) == charge.list_cost


NOT_BILLED = [
    ("openai", "moderations", {"model": "omni-moderation-latest", "results": []}, {}),
    ("openai", "responses", {"error": {"type": "rate_limit_error"}, "status_code": 429}, {}),
    ("google", "generateContent", {"error": {"code": 500, "status": "INTERNAL"}}, {}),
    ("google", "generateContent", gemini(10, 10), {"free_tier": True}),
    ("azure", "chat.completions", chat(10, 10), {"deployment_type": "ProvisionedManaged"}),
    ("vertex", "generateContent", gemini(10, 10, trafficType="PROVISIONED_THROUGHPUT"), {}),
]


@pytest.mark.parametrize(("provider", "api", "body", "context"), NOT_BILLED)
def test_it_is_not_billed(provider, api, body, context):
    charge = spanledger.price(body, provider=provider, api=api, context=context, at=AT)
    assert (charge.cost_status, charge.list_cost) == ("not_billed", 0)


UNSURE = [
    ("partial", "anthropic", "messages.stream", {
        "events": [{"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": {"input_tokens": 5}}}],
        "closed_by": "client",
    }, {}, "a lower bound"),
    ("partial", "openai", "responses", {
        "attempts": [{"outcome": "ReadTimeout", "usage": None}, {"outcome": "ok", **responses(10, 10)}]
    }, {}, "1 unobserved attempts"),
    ("partial", "aws", "converse", {
        **converse(10, 10), "trace": {"promptRouter": {"invokedModelId": "us.amazon.nova-lite-v1:0"}}
    }, {}, "no price for router_tokens"),
    ("estimated", "azure", "chat.completions", chat(10, 10), {}, "no deployment stated"),
    ("estimated", "openai", "responses", responses(10, 10, service_tier="warp"), {}, "tier=warp"),
    ("estimated", "openai", "chat.completions", chat(10, 10, "gpt-4"), {"service_tier": "flex"}, "tier=flex"),
    ("estimated", "perplexity", "chat.completions", chat(10, 10, "sonar"), {}, "search context"),
    ("unknown", "azure", "responses", {**responses(10, 10), "model": "prod"}, {}, "no price for prod on azure"),
    ("unknown", "azure", "responses", {**responses(10, 10), "model": "prod"}, {
        "requested_model": "model-router"
    }, "no price for prod on azure"),
    ("unknown", "aws", "converse", converse(1, 1), {
        "model_id": "arn:aws:bedrock:us-east-1:1:application-inference-profile/k3x9"
    }, "hides its model"),
    ("unknown", "openai", "chat.completions.stream", {
        "events": [{"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "a"}}]}], "closed_by": "client"
    }, {}, "no usage"),
    ("unknown", "azure", "ptu-meter", {"hours": 3}, {}, "its quantity is not in what was given"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "provider", "api", "body", "context", "reason"), UNSURE)
def test_it_says_why_it_is_not_sure(  # noqa: PLR0913, PLR0917 - the columns of the table
    status, provider, api, body, context, reason
):
    charge = spanledger.price(body, provider=provider, api=api, context=context, at=AT)
    assert charge.cost_status == status
    assert reason in charge.cost_reason
    assert (charge.list_cost is None) == (status == "unknown")


def test_a_stream_ends_in_the_usage_of_its_last_event():
    events = [
        {
            "type": "message_start",
            "message": {"model": "claude-opus-5-5", "usage": {"input_tokens": 10, "output_tokens": 1}},
        },
        {"type": "message_delta", "usage": {"input_tokens": 10_000, "output_tokens": 2000}},
    ]
    charge = spanledger.price({"events": events}, provider="anthropic", api="messages.stream", at=AT)
    assert (charge.cost_status, charge.list_cost) == ("exact", Decimal("0.08"))


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("openai", chat(10, 10)),
        ("openai", responses(10, 10)),
        ("anthropic", message()),
        ("google", gemini(10, 10)),
        ("aws", {**converse(10, 10)}),
    ],
)
def test_the_endpoint_is_told_by_the_body(provider, body):
    charge = spanledger.price(body, provider=provider, requested_model="amazon.nova-lite-v1:0", at=AT)
    assert charge.cost_status == "exact"


def test_an_argument_that_cannot_be_read_is_named():
    with pytest.raises(ConfigurationError, match="response is a str: give the decoded JSON body"):
        spanledger.price("{}", provider="openai")
    with pytest.raises(ConfigurationError, match=r"at is '16\.11\.2026': write 2026-11-16"):
        spanledger.price({"model": "gpt-5", "usage": {}}, provider="openai", at="16.11.2026")


def test_an_endpoint_that_nobody_reads_is_refused():
    with pytest.raises(ConfigurationError, match=r"api='assistants' is none .* chat\.completions"):
        spanledger.price(chat(1, 1), provider="openai", api="assistants")


@pytest.mark.parametrize(
    "at", [AT, "2026-11-16T13:00:00+01:00", datetime(2026, 11, 16, 12, tzinfo=timezone.utc), "2026-11-16T12:00:00"]
)
def test_a_charge_has_the_start_of_its_call_in_utc(at):
    charge = spanledger.price(chat(1, 1), provider="openai", at=at)
    assert charge.row["started_at"] == "2026-11-16T12:00:00.000000Z"


def test_it_has_the_columns_that_a_ledger_stores():
    charge = spanledger.price({**responses(10, 10, service_tier="flex"), "id": "resp_1"}, provider="openai", at=AT)
    assert (charge.provider_name, charge.operation, charge.response_id) == ("openai", "chat", "resp_1")
    assert charge.usage == {"input": 10, "output": 10}
    assert charge.price_context == {"service_tier": "flex"}
    assert charge.price_ref.endswith(": openai/gpt-6.1-sol?tier=flex")


def test_equal_responses_are_priced_each_by_itself():
    charge = spanledger.price({**responses(200_000, 0), "repeat": 3}, provider="openai", api="responses", at=AT)
    assert (charge.list_cost, charge.usage["input"]) == (Decimal("1.2"), 600_000)


def test_searches_that_are_still_free_are_not_billed():
    body = {**gemini(0, 0, "gemini-3.5-flash"), "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}
    charge = spanledger.price(body, provider="google", context={"free_grounding_remaining": 1}, at=AT)
    assert charge.list_cost == Decimal("0.014")


def image_tool(**more):
    return responses(0, 0, tool_usage={"image_gen": {"input_tokens": 0, "output_tokens": 1000}}, **more)


@pytest.mark.parametrize(
    ("body", "context"),
    [
        (image_tool(tools=[{"type": "image_generation", "model": "gpt-image-1.5"}]), {}),
        (image_tool(), {"image_model": "gpt-image-1.5"}),
    ],
)
def test_an_image_tool_is_priced_at_its_own_model(body, context):
    charge = spanledger.price(body, provider="openai", api="responses", context=context, at=AT)
    assert (charge.cost_status, charge.list_cost) == ("exact", Decimal("0.032"))


def test_an_image_tool_without_a_model_is_an_estimate():
    charge = spanledger.price(image_tool(), provider="openai", api="responses", at=AT)
    assert (charge.cost_status, charge.list_cost) == ("estimated", Decimal("0.04"))
    assert "the image model is not named" in charge.cost_reason


@pytest.mark.parametrize(
    ("body", "context"),
    [
        ({"embeddings": [{"values": []}]}, {"input_tokens": 2048}),
        ({"embeddings": [{"statistics": {"tokenCount": 2000}}, {"statistics": {"tokenCount": 48}}]}, {}),
    ],
)
def test_an_embedding_that_reports_no_usage_is_priced_as_counted(body, context):
    charge = spanledger.price(body, provider="google", requested_model="gemini-embedding-001", context=context, at=AT)
    assert charge.list_cost == Decimal("0.0003072")


REFUSALS = [
    ("bio", "2026-11-16", "0.04"),
    ("frontier_llm", "2026-11-16", "0.04"),
    ("reasoning_extraction", "2026-11-16", "0.04"),
    ("cyber", "2026-11-16", "0"),
    (None, "2026-11-16", "0"),
    ("bio", "2026-09-23", "0"),
    ("cyber", "2026-06-01", "0.04"),
]


@pytest.mark.parametrize(("category", "at", "cost"), REFUSALS)
def test_a_refusal_before_any_output_is_billed_by_its_category(category, at, cost):
    body = {
        **message(output_tokens=0),
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": category},
    }
    charge = spanledger.price(body, provider="anthropic", at=at)
    assert (charge.cost_status, charge.list_cost) == ("exact", Decimal(cost))


def test_a_refusal_after_output_is_billed_as_any_other():
    body = {**message(), "stop_reason": "refusal", "stop_details": {"category": "cyber"}}
    assert spanledger.price(body, provider="anthropic", at=AT).list_cost == Decimal("0.08")


def test_a_start_that_is_no_moment_is_refused():
    with pytest.raises(ConfigurationError, match="at is 'yesterday': write 2026"):
        spanledger.price(chat(1, 1), provider="openai", at="yesterday")
