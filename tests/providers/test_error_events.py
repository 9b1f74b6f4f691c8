"""A provider that says of an answer of status 200 that it failed: what is booked claims no more than is known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from spanledger._types import Charge
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges

TOKENS = Tokens(input_tokens=100, output_tokens=40)
HELLO: Any = [{"role": "user", "content": "hello"}]
FAILED: Mapping[str, Any] = {"error": {"message": "no worker", "type": "server_error", "code": 502}}

OPENAI: Any = {"model": "gpt-5-mini", "messages": HELLO, "stream": True}
CLAUDE: Any = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": HELLO, "stream": True}
RESPONSES: Any = {"model": "gpt-5-mini", "input": "hello", "stream": True}


class Way(NamedTuple):
    """How a stream is read, and what the charge calls its failure."""

    read: Callable[[], object]
    error_type: str


def of_openai(use: Callable[[openai.OpenAI], object]) -> Callable[[], object]:
    """Uses a client of the openai SDK, and closes it."""

    def read() -> object:
        with openai.OpenAI() as client:
            return use(client)

    return read


def of_anthropic(use: Callable[[anthropic.Anthropic], object]) -> Callable[[], object]:
    """The same of the anthropic SDK."""

    def read() -> object:
        with anthropic.Anthropic() as client:
            return use(client)

    return read


def lines(opened: Any) -> None:
    with opened as response:
        for _ in response.iter_lines():
            pass


WAYS: Mapping[str, Way] = {
    "chat": Way(of_openai(lambda client: list(client.chat.completions.create(**OPENAI))), "APIError"),
    "chat lines": Way(
        of_openai(lambda client: lines(client.chat.completions.with_streaming_response.create(**OPENAI))),
        "server_error",
    ),
    "responses": Way(of_openai(lambda client: list(client.responses.create(**RESPONSES))), "server_error"),
    "messages": Way(of_anthropic(lambda client: list(client.messages.create(**CLAUDE))), "APIStatusError"),
    "messages lines": Way(
        of_anthropic(lambda client: lines(client.messages.with_streaming_response.create(**CLAUDE))),
        "overloaded_error",
    ),
}


def booked(read: Callable[[], object], reply: Reply, host: str | None = None) -> Charge:
    """The only charge of a call that may raise."""
    with ProviderServer() as server, server.environment(), pytest.MonkeyPatch.context() as patch:
        if host:
            patch.setenv("OPENAI_BASE_URL", host)
        server.reply(reply)
        with capture_charges() as charges, contextlib.suppress(openai.APIError, anthropic.APIError):
            read()
        (charge,) = charges
        return charge


@pytest.mark.parametrize("way", WAYS)
def test_an_error_in_the_place_of_an_answer_is_not_billed(way: str) -> None:
    charge = booked(WAYS[way].read, Reply(fault=Fault("error", 0)))
    assert (charge.status, charge.error_type) == ("error", WAYS[way].error_type)
    assert (charge.cost_status, charge.usage, charge.list_cost) == ("not_billed", None, 0)


@pytest.mark.parametrize("way", ["chat", "chat lines", "responses"])
def test_an_error_after_the_begin_of_an_answer_may_be_billed(way: str) -> None:
    charge = booked(WAYS[way].read, Reply(fault=Fault("error", 1)))
    assert (charge.status, charge.cost_status, charge.usage) == ("error", "unknown", None)
    assert "before any text" in (charge.cost_reason or "")


def test_an_error_after_some_text_is_a_lower_bound_except_where_the_provider_forgives_it() -> None:
    reply = Reply("one two three four", TOKENS, fault=Fault("error", 3))
    charge = booked(WAYS["chat"].read, reply)
    assert (charge.status, charge.usage_source, charge.cost_status) == ("error", "partial", "partial")
    charge = booked(WAYS["chat"].read, reply, "http://openrouter.ai/api/v1")
    assert (charge.provider_name, charge.cost_status, charge.usage) == ("openrouter", "not_billed", None)


def test_a_connection_that_is_cut_before_the_answer_may_be_billed() -> None:
    def read() -> None:
        with pytest.raises(Exception, match=r"(?i)peer closed|connection|incomplete|reset"):
            WAYS["chat"].read()

    charge = booked(read, Reply(fault=Fault("cut", 0)))
    assert charge.status == "error"
    assert charge.cost_status in ("partial", "unknown")  # the latter where the cut overtakes the response's head


def test_a_body_that_holds_an_error_only_is_not_billed() -> None:
    charge = booked(
        of_openai(lambda client: client.chat.completions.create(model="gpt-5-mini", messages=HELLO)),
        Reply(amend=lambda _: dict(FAILED)),
    )
    assert (charge.status, charge.error_type, charge.cost_status) == ("error", "502", "not_billed")


def failing(event: dict[str, Any]) -> dict[str, Any]:
    """The last event of a Responses stream, as that of one that has failed and says nothing of its usage."""
    if event.get("type") != "response.completed":
        return event
    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    return {
        **event,
        "type": "response.failed",
        "response": {**event["response"], "status": "failed", "usage": None, "error": error},
    }


def test_a_response_that_failed_without_text_or_usage_claims_no_tokens() -> None:
    charge = booked(WAYS["responses"].read, Reply("", TOKENS, amend=failing))
    assert (charge.status, charge.error_type) == ("error", "rate_limit_exceeded")
    assert (charge.cost_status, charge.usage) == ("unknown", None)


def test_the_reasoning_that_some_hosts_show_is_seen() -> None:
    def reasoned(event: dict[str, Any]) -> dict[str, Any]:
        for choice in event.get("choices", ()):
            if "content" in choice.get("delta", {}):
                choice["delta"]["reasoning"] = choice["delta"].pop("content")
        return event

    charge = booked(
        WAYS["chat"].read, Reply("one two three four five", TOKENS, None, amend=reasoned, fault=Fault("error", 4))
    )
    assert charge.usage_source == "partial"
    assert charge.output_tokens
