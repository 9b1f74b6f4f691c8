"""Hosts that speak the wire format of OpenAI, through the openai SDK: each call is its host's, whatever it states."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

from spanledger.testing import ProviderServer, Reply, Tokens, capture_charges

TOKENS = Tokens(input_tokens=1000, output_tokens=400)
MODEL = "openai/gpt-4o-mini"
CHAT: Any = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
OPENROUTER = "http://openrouter.ai/api/v1"
STATED = 0.00037


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: Reply("one two", TOKENS)) as running, running.environment():
        yield running


@pytest.mark.parametrize(
    ("base_url", "provider_name"),
    [
        (OPENROUTER, "openrouter"),
        ("http://api.deepseek.com/v1", "deepseek"),
        ("http://api.mistral.ai/v1", "mistral_ai"),
        ("http://api.x.ai/v1", "x_ai"),
        ("http://api.groq.com/openai/v1", "groq"),
        ("http://localhost:8000/v1", "openai_compatible"),
        ("http://localhost:11434/v1", "openai_compatible"),
        ("http://llm.internal/v1", "openai_compatible"),
    ],
)
def test_a_call_is_of_its_host(base_url: str, provider_name: str, server: ProviderServer) -> None:
    with openai.OpenAI(base_url=base_url) as client, capture_charges() as charges:
        client.chat.completions.create(**CHAT)
    (charge,) = charges
    assert (charge.provider_name, charge.input_tokens, charge.output_tokens) == (provider_name, 1000, 400)
    assert charge.server_address == base_url.split("/")[2].partition(":")[0]
    assert (charge.list_cost is None) == (provider_name != "openrouter")
    assert len(server.requests) == 1


def stating(body: dict[str, Any]) -> dict[str, Any]:
    """What OpenRouter adds to a usage: what it charges itself."""
    if isinstance(usage := body.get("usage"), dict):
        usage["cost"] = STATED
    return body


@pytest.mark.parametrize("streamed", [False, True])
def test_what_openrouter_charges_is_kept_beside_our_own_figure(streamed: bool, server: ProviderServer) -> None:  # noqa: FBT001
    server.reply(Reply("one two", TOKENS, amend=stating))
    asked: Any = {"stream": True, "extra_body": {"stream_options": {"include_usage": True}}} if streamed else {}
    with openai.OpenAI(base_url=OPENROUTER) as client, capture_charges() as charges:
        answer = client.chat.completions.create(**CHAT, **asked)
        seen = list(answer)[-1].usage if streamed else answer.usage
    assert seen.cost == STATED
    (charge,) = charges
    assert (charge.provider_cost, charge.cost_source) == (Decimal("0.00037"), "provider")
    assert (charge.cost_status, charge.list_cost) == (
        "exact",
        Decimal("0.00039"),
    )  # 1000 at 0.15, 400 at 0.60 a million


def test_nothing_is_kept_where_nothing_is_stated(server: ProviderServer) -> None:
    with openai.OpenAI(base_url=OPENROUTER) as client, capture_charges() as charges:
        client.chat.completions.create(**CHAT)
    assert (charges[0].provider_cost, charges[0].cost_source) == (None, None)
    assert charges[0].list_cost == Decimal("0.00039")
    assert len(server.requests) == 1
