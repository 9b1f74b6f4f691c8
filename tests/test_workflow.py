"""`workflow`: an agentic chain as one run, with one id, one trace and a cost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

import spanledger
from spanledger.testing import ProviderServer, Reply, Tokens, capture_charges


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with (
        ProviderServer(lambda _: Reply(usage=Tokens(1000, 100))) as server,
        openai.OpenAI(base_url="http://openai.com/v1", api_key="any", http_client=through(server)) as running,
    ):
        yield running


def through(server: ProviderServer) -> Any:
    """An HTTP client that reaches every host by way of the loopback server, so that prices are OpenAI's."""
    return openai.DefaultHttpxClient(proxy=server.base_url)


def ask(client: openai.OpenAI, model: str = "gpt-4o-mini") -> None:
    client.responses.create(model=model, input="hello")


ONE = Decimal(1000) * Decimal("0.15") / 10**6 + Decimal(100) * Decimal("0.60") / 10**6
"""What one call costs: 0.15 and 0.60 dollars for a million tokens."""


def test_calls_of_a_run_share_its_ids_and_it_knows_their_cost(client: openai.OpenAI) -> None:
    with capture_charges() as charges, spanledger.workflow("agent", customer="acme") as run:
        ask(client)
        ask(client)
    assert {(c.workflow, c.workflow_id, c.trace_id, c.parent_span_id, c.customer) for c in charges} == {
        ("agent", run.workflow_id, run.trace_id, run.span_id, "acme")
    }
    assert len({c.span_id for c in charges}) == 2
    assert (run.charges, run.unpriced, run.cost) == (2, 0, 2 * ONE)


def test_a_workflow_inside_another_is_a_step_of_it(client: openai.OpenAI) -> None:
    with capture_charges() as charges, spanledger.workflow("agent") as outer:
        ask(client)
        with spanledger.workflow("search") as search, spanledger.workflow("rank"):
            ask(client)
    assert [(c.workflow, c.workflow_id, c.row.get("tags")) for c in charges] == [
        ("agent", outer.workflow_id, None),
        ("agent", outer.workflow_id, {"step": "search/rank"}),
    ]
    assert (outer.cost, search.cost) == (2 * ONE, ONE)


def test_what_has_no_price_is_counted_apart(client: openai.OpenAI) -> None:
    with capture_charges(), spanledger.workflow("agent") as run:
        ask(client)
        ask(client, "no-such-model")
    assert (run.charges, run.unpriced, run.cost) == (2, 1, ONE)


def test_a_decorated_function_is_a_new_run_each_time(client: openai.OpenAI) -> None:
    @spanledger.workflow("agent", customer=lambda name: name)
    def work(name: str) -> str:
        ask(client)
        return name

    with capture_charges() as charges:
        assert [work("a"), work("b")] == ["a", "b"]
    assert [c.customer for c in charges] == ["a", "b"]
    assert len({c.workflow_id for c in charges}) == 2


async def test_async_functions_and_generators_are_runs(client: openai.OpenAI) -> None:
    @spanledger.workflow("agent")
    async def work() -> None:
        ask(client)

    @spanledger.workflow("agent")
    def steps() -> Iterator[int]:
        for step in range(2):
            ask(client)
            yield step

    with capture_charges() as charges:
        await work()
        for _ in steps():
            ask(client)
    assert [c.workflow for c in charges] == ["agent", "agent", None, "agent", None]
    assert len({c.workflow_id for c in charges if c.workflow}) == 2


def test_a_run_that_fails_is_over(client: openai.OpenAI) -> None:
    failing = spanledger.workflow("agent", customer="acme")
    run = failing.__enter__()
    with capture_charges() as charges:
        ask(client)
        failing.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        ask(client)
    assert [c.customer for c in charges] == ["acme", None]
    assert (run.charges, spanledger.current_tags()) == (1, {})


def test_it_says_what_it_is() -> None:
    with spanledger.workflow("agent") as run:
        assert repr(run) == f"Run('agent', workflow_id='{run.workflow_id}', charges=0, unpriced=0, cost=0)"


@pytest.mark.parametrize("kind", [spanledger.workflow, spanledger.tool])
def test_a_decorator_without_a_name_is_refused_where_it_stands(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__} takes a name: @{kind.__name__}\('search'\)"):

        @kind
        def search() -> None: ...


def test_a_name_is_text_whatever_it_was(client: openai.OpenAI) -> None:
    with capture_charges() as charges, spanledger.workflow(7):  # type: ignore[arg-type]
        ask(client)
    assert [c.workflow for c in charges] == ["7"]
