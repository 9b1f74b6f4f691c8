"""`capture_charges` gives the charges of a block and leaves nothing behind."""

from __future__ import annotations

import openai
import pytest

from spanledger import _meter
from spanledger.testing import ProviderServer, Reply, Tokens, capture_charges


def _ask(server: ProviderServer) -> None:
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any") as client:
        client.responses.create(model="gpt-5-mini", input="hello")


def test_a_block_collects_its_own_charges() -> None:
    with ProviderServer() as server:
        server.reply(Reply(usage=Tokens(input_tokens=1000, output_tokens=50, cache_read_tokens=600)))
        with capture_charges(tags={"team": "growth"}) as charges:
            _ask(server)
        _ask(server)
    (charge,) = charges
    assert (charge.input_tokens, charge.output_tokens, charge.cache_read_tokens) == (1000, 50, 600)
    assert charge.team == "growth"


def test_nothing_is_left_behind() -> None:
    original = openai._base_client.SyncAPIClient.request
    with capture_charges():
        assert openai._base_client.SyncAPIClient.request is not original
    assert openai._base_client.SyncAPIClient.request is original
    assert _meter.describe()["metering"] is False


def test_an_error_leaves_nothing_behind_either() -> None:
    with pytest.raises(ZeroDivisionError), capture_charges():
        raise ZeroDivisionError
    assert _meter.describe()["sinks"] == []


def test_blocks_nest() -> None:
    with ProviderServer() as server, capture_charges() as outer:
        with capture_charges() as inner:
            _ask(server)
        _ask(server)
    assert (len(inner), len(outer)) == (1, 2)
