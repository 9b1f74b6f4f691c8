"""Which model was billed: exactly the one that is named, or none."""

from __future__ import annotations

import pytest

from spanledger.prices._engine import ENGINE
from spanledger.prices._identity import geography, platform_of, resolve

RESOLVED = [
    ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
    ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
    ("openai", "gpt-4o-20240806", "gpt-4o"),
    ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", "ft:gpt-4o-mini"),
    ("azure.ai.openai", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
    ("azure.ai.openai", "gpt-35-turbo", "gpt-35-turbo"),
    ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
    ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
    ("gcp.gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
    ("gcp.gemini", "gemini-2.0-flash-001", "gemini-2.0-flash"),
    ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
    ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
    ("gcp.vertex_ai", "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
    ("aws.bedrock", "us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
    ("aws.bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0:48k", "anthropic.claude-3-haiku-20240307-v1:0"),
    (
        "aws.bedrock",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
    ),
    (
        "aws.bedrock",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
        "amazon.titan-embed-text-v2:0",
    ),
    ("mistral_ai", "mistral-large-2411", "mistral-large"),
    ("z_ai", "glm-4.6", "glm-4.6"),
]

UNRESOLVED = [
    ("azure", "not-o4-mini-at-all"),
    ("azure", "prod-reasoning"),
    ("openai", "gpt-4o-ultra"),
    ("gcp.gemini", "gemini-3.8-flash-cyber"),
    ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/k3x9"),
    ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/amazon.nova-pro-v1:0"),
    ("openai", "claude-opus-5-5"),
]


def model_of(provider, name):
    return resolve(ENGINE.platform(platform_of(provider)).names, name)


@pytest.mark.parametrize(("provider", "name", "model"), RESOLVED)
def test_an_id_leads_to_its_model(provider, name, model):
    assert model_of(provider, name) == model


@pytest.mark.parametrize(("provider", "name"), UNRESOLVED)
def test_what_is_no_models_name_leads_nowhere(provider, name):
    assert model_of(provider, name) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("us.amazon.nova-pro-v1:0", "us"),
        ("us-gov.anthropic.claude-sonnet-5-5", "us-gov"),
        ("global.anthropic.claude-sonnet-5-5", "global"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0", "eu"),
        ("amazon.nova-pro-v1:0", None),
        (None, None),
    ],
)
def test_the_geography_of_a_bedrock_id(name, place):
    assert geography(name) == place
