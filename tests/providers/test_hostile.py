"""A malformed or hostile response makes a flagged charge, and the application sees what it would see without us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests import _apps

from spanledger import _faults
from spanledger.testing import ProviderServer, Reply, capture_charges

USAGES: dict[str, Any] = {
    "missing": None,
    "empty": {},
    "text": "a lot",
    "list": [1, 2],
    "nulls": {"prompt_tokens": None, "completion_tokens": None, "input_tokens": None, "output_tokens": None},
    "numbers as text": {"prompt_tokens": "12", "completion_tokens": "8", "input_tokens": "12", "output_tokens": "8"},
    "negative": {"prompt_tokens": 5, "completion_tokens": -9, "input_tokens": 5, "output_tokens": -9},
    "huge": {"prompt_tokens": 10**30, "completion_tokens": 1, "input_tokens": 10**30, "output_tokens": 1},
    "fractions": {"prompt_tokens": 1.5, "completion_tokens": 8, "input_tokens": 1.5, "output_tokens": 8},
    "details as text": {
        "prompt_tokens": 5,
        "completion_tokens": 5,
        "input_tokens": 5,
        "output_tokens": 5,
        "prompt_tokens_details": "none",
        "cache_creation": 7,
    },
}

PRICEABLE = {"details as text"}
"""The one usage above that is sound where it counts."""

APPS: dict[str, Callable[[str], Any]] = {
    "chat": _apps.chat,
    "chat raw": _apps.chat_raw,
    "responses": _apps.responses,
    "messages": _apps.messages,
    "embeddings": _apps.embeddings,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def amended(usage: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def amend(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "usage": usage}

    return amend


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, when the application dumps what the provider sent
@pytest.mark.parametrize("usage", USAGES)
@pytest.mark.parametrize("app", APPS)
def test_a_hostile_usage_is_flagged(server: ProviderServer, app: str, usage: str) -> None:
    reply = Reply(response_id="same", amend=amended(USAGES[usage]))
    server.reply(reply)
    bare = _apps.outcome(APPS[app], server.base_url)
    server.reply(reply)
    with capture_charges() as charges:
        metered = _apps.outcome(APPS[app], server.base_url)
    assert metered[0] == bare[0]
    assert len(charges) == 1
    charge = charges[0]
    if usage not in PRICEABLE:
        assert charge.list_cost is None
        assert charge.cost_status == "unknown"
        assert charge.cost_reason
    assert _faults.snapshot()["faults"] == {}


BODIES = {
    "a list": lambda _: [1, 2, 3],
    "text": lambda _: "hello",
    "null": lambda _: None,
    "a number": lambda _: 7,
    "names of other types": lambda body: {**body, "model": 7, "id": [], "choices": "x", "output": 3, "content": 9},
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # as above
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("app", APPS)
def test_a_body_of_another_shape_is_no_fault_of_ours(server: ProviderServer, app: str, body: str) -> None:
    reply = Reply(response_id="same", amend=BODIES[body])
    server.reply(reply)
    bare = _apps.outcome(APPS[app], server.base_url)
    server.reply(reply)
    with capture_charges() as charges:
        metered = _apps.outcome(APPS[app], server.base_url)
    assert metered[0] == bare[0]
    assert metered[1] == bare[1] or bare[0] == "returned"
    assert len(charges) == 1
    assert _faults.snapshot()["faults"] == {}


@pytest.fixture(autouse=True)
def _no_faults_from_elsewhere() -> None:
    _faults.reset()
