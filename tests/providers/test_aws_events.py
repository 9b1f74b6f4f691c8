"""Event streams of Bedrock that the application of the anthropic SDK reads as bytes, however they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger._types import Charge
from spanledger.providers._aws_events import FrameReader
from spanledger.testing import Fault, ProviderServer, Reply, Tokens

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: Reply("one two three four", TOKENS)) as running:
        yield running


BEDROCK: Any = {
    "model": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
}
KEYS: Any = {"aws_access_key": "a", "aws_secret_key": "s", "aws_region": "us-east-1"}


def bedrock(server: ProviderServer) -> anthropic.AnthropicBedrock:
    return anthropic.AnthropicBedrock(base_url=server.base_url, max_retries=0, **KEYS)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_of_bedrock_that_is_read_as_bytes(size: int, server: ProviderServer, charges: list[Charge]) -> None:
    with bedrock(server) as client, client.messages.with_streaming_response.create(**BEDROCK) as response:
        assert b"".join(response.iter_bytes(size))
    assert [(charge.status, charge.input_tokens, charge.output_tokens) for charge in charges] == [("ok", 100, 40)]


@pytest.mark.parametrize(("kind", "status"), [("cut", "error"), ("error", "error"), ("malformed", "aborted")])
def test_a_stream_of_bedrock_that_breaks_as_bytes(
    kind: Any, status: str, server: ProviderServer, charges: list[Charge]
) -> None:
    server.reply(Reply("one two three four", TOKENS, fault=Fault(kind, 4)))
    with (
        bedrock(server) as client,
        nullcontext() if kind != "cut" else pytest.raises(Exception, match=r"(?i)peer closed|connection"),
        client.messages.with_streaming_response.create(**BEDROCK) as response,
    ):
        assert b"".join(response.iter_bytes())
    (charge,) = charges
    assert (charge.status, charge.usage_source, charge.input_tokens) == (status, "partial", 100)


def test_one_that_is_parsed_after_all(server: ProviderServer, charges: list[Charge]) -> None:
    with bedrock(server) as client:
        assert len(list(client.messages.with_raw_response.create(**BEDROCK).parse())) > 4
    assert [(charge.status, charge.usage_source, charge.cache_read_tokens) for charge in charges] == [
        ("ok", "reported", 30)
    ]


class Taker:
    """Stands where a tally would, and keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def observe(self, event: Any) -> None:
        self.seen.append(event)


@given(st.lists(st.binary(max_size=80) | st.just(b"\x00\x00\x00\x14\x00\x00\x00\x03"), max_size=8))
def test_bytes_that_are_no_frames_harm_nothing(pieces: list[bytes]) -> None:
    taker: Any = Taker()
    reader = FrameReader(taker)
    for piece in pieces:
        reader.feed(piece)
    assert sum(map(len, pieces)) >= 16 * len(taker.seen)
