"""`spanledger.meter`: costs that no model call makes, priced as given or from the book."""

import copy
import pickle
from decimal import Decimal, FloatOperation, Inexact, Rounded, localcontext

import pytest

import spanledger
from spanledger import prices
from spanledger.testing import capture_charges


@pytest.fixture
def book():
    prices.add("query", provider="pinecone", read_units="0.000016")
    yield
    prices.reset()


def test_a_given_cost_is_booked_under_the_tags_in_force():
    with capture_charges() as charges, spanledger.tag(team="search", index="docs"):
        spanledger.meter("pinecone.query", quantity=12, unit="read_units", cost="0.0001920", feature="chat", shard=3)
    (charge,) = charges
    assert (charge.provider_name, charge.operation, charge.status) == ("pinecone", "query", "ok")
    assert (charge.list_cost, charge.effective_cost, charge.cost_status) == (Decimal("0.000192"),) * 2 + ("exact",)
    assert charge.usage == {"read_units": 12}
    assert (charge.team, charge.feature, dict(charge.tags)) == ("search", "chat", {"index": "docs", "shard": "3"})


@pytest.mark.usefixtures("book")
def test_the_book_prices_what_it_knows():
    with capture_charges() as charges:
        spanledger.meter("pinecone.query", quantity="2.5", unit="read_units")
    assert (charges[0].list_cost, charges[0].cost_status) == (Decimal("0.00004"), "exact")
    assert "pinecone/query" in charges[0].price_ref


def test_what_has_no_price_is_unknown_and_not_zero():
    charge = spanledger.meter("self.gpu", quantity=90, unit="gpu_seconds")
    assert (charge.cost_status, charge.list_cost) == ("unknown", None)
    assert charge.usage == {"gpu_seconds": 90}


def test_a_model_of_the_book_is_priced_by_its_tokens():
    charge = spanledger.meter("openai.text-embedding-3-small", quantity=5000, unit="input")
    assert (charge.list_cost, charge.input_tokens, charge.cost_status) == (Decimal("0.0001"), 5000, "exact")


def test_a_float_is_the_decimal_that_it_prints():
    assert spanledger.meter("tool.search", cost=0.1).list_cost == Decimal("0.1")
    assert spanledger.meter("tool.search", cost="1e-16").list_cost == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"cost": "a lot"}, "cost is 'a lot'"),
        ({"cost": True}, "cost is True"),
        ({"cost": "nan"}, "cost is 'nan'"),
        ({"cost": "1e99"}, "cost is '1e99'"),
        ({"quantity": [1]}, "quantity is [1]"),
        ({"unit": ["x"]}, "unhashable"),
    ],
)
def test_what_cannot_be_read_never_raises(given, reason):
    charge = spanledger.meter("tool.search", **given)
    assert charge.list_cost is None
    assert charge.cost_status == "unknown"
    assert reason in charge.cost_reason


def test_a_metered_cost_counts_in_its_workflow():
    with spanledger.workflow("agent") as run:
        spanledger.meter("tool.search", cost="0.25")
        spanledger.meter("tool.search", cost="0.50")
    assert run.cost == Decimal("0.75")


def test_a_cost_in_another_currency_is_in_no_sum_of_dollars():
    with capture_charges() as charges, spanledger.workflow("agent") as run:
        spanledger.meter("tool.search", cost="0.25")
        spanledger.meter("tool.search", cost="3", currency="eur")
    assert [(charge.list_cost, charge.currency) for charge in charges] == [(Decimal("0.25"), "USD"), (3, "EUR")]
    assert (run.cost, run.charges, run.unpriced) == (Decimal("0.25"), 2, 1)


@pytest.fixture
def coarse():
    """The arithmetic of an application that counts with four digits, and wants to know of every rounding."""
    with localcontext() as context:
        context.prec = 4
        context.traps[Inexact] = context.traps[Rounded] = context.traps[FloatOperation] = True
        yield


@pytest.mark.usefixtures("coarse", "book")
def test_how_an_application_rounds_changes_no_amount():
    with capture_charges() as charges, spanledger.workflow("agent") as run:
        spanledger.meter("tool.search", quantity="12345.678", cost="1234.56789")
        spanledger.meter("pinecone.query", quantity="1234567.5", unit="read_units")
    assert [dict(charge.usage) for charge in charges] == [
        {"requests": Decimal("12345.678")},
        {"read_units": Decimal("1234567.5")},
    ]
    assert [str(charge.list_cost) for charge in charges] == ["1234.56789", "19.75308"]
    assert str(run.cost) == "1254.32097"


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(("stated", "kept"), [("0.123456789", "0.123456789"), (1.5e-7, "1.5E-7")])
def test_nor_the_cost_that_a_provider_states(stated, kept):
    body = {"model": "gpt-5", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": stated}}
    assert str(spanledger.price(body, provider="openrouter", api="chat.completions").provider_cost) == kept


def test_a_charge_is_copied_and_sent_to_another_process_whole():
    charge = spanledger.meter("tool.search", cost="0.25")
    assert pickle.loads(pickle.dumps(charge)) == copy.deepcopy(charge) == copy.copy(charge) == charge  # noqa: S301 -- ours
