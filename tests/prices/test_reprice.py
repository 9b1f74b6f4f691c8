"""History priced again: corrections replace, never edit; twice is once; other choices are only computed."""

from __future__ import annotations

from decimal import Decimal

import pytest

import spanledger
from spanledger import prices
from spanledger._types import Charge
from spanledger.errors import ConfigurationError

AT = "2026-11-16T12:00:00Z"


def charge(model="gpt-6.1-sol", provider="openai", **usage) -> Charge:
    counts = {"input_tokens": 10_000, "output_tokens": 1000, "total_tokens": 11_000, **usage}
    return spanledger.price({"model": model, "usage": counts}, provider=provider, api="responses", at=AT)


def corrected(charges, corrections):
    gone = {correction.row["corrects"] for correction in corrections}
    kept = [one for one in charges if one.charge_id not in gone]
    return kept + [Charge(correction.row) for correction in corrections]


def test_what_has_not_changed_is_not_corrected():
    assert list(prices.reprice([charge(), charge("gpt-4o"), charge("gpt-9-unheard-of")])) == []


def test_a_model_that_the_book_has_learned_gets_its_price():
    unknown = charge("gpt-9-unheard-of")
    assert unknown.list_cost is None
    prices.add("gpt-9-unheard-of", provider="openai", input="3", output="12")
    (correction,) = prices.reprice([unknown])
    row = Charge(correction.row)
    assert (row.corrects, row.cost_status, row.list_cost) == (unknown.charge_id, "exact", Decimal("0.042"))
    assert (row.started_at, row.usage, row.request_model) == (unknown.started_at, unknown.usage, unknown.request_model)
    assert correction.cause == "priced"
    assert unknown.row["cost_status"] == "unknown"


def test_pricing_again_what_was_corrected_changes_nothing():
    charges = [charge("gpt-9-unheard-of"), charge()]
    prices.add("gpt-9-unheard-of", provider="openai", input="3", output="12")
    corrections = list(prices.reprice(charges))
    assert len(corrections) == 1
    assert list(prices.reprice(corrected(charges, corrections))) == []


def test_a_correction_of_a_correction_names_that_one():
    first = charge()
    prices.add("gpt-6.1-sol", provider="openai", input="3", output="12")
    (second,) = prices.reprice([first])
    prices.add("gpt-6.1-sol", provider="openai", input="4", output="12")
    (third,) = prices.reprice([Charge(second.row)])
    assert (second.row["corrects"], third.row["corrects"]) == (first.charge_id, second.row["charge_id"])


def test_a_contract_moves_contracted_cost_and_leaves_list_cost():
    contract = prices.contract_of({"name": "2026", "provider": "openai", "discount": "0.1"}, "a test")
    (correction,) = prices.reprice([charge()], contract=contract)
    row = Charge(correction.row)
    assert (row.list_cost, row.contracted_cost, row.effective_cost) == (
        Decimal("0.03"),
        Decimal("0.027"),
        Decimal("0.027"),
    )
    assert correction.cause == "contract"
    assert list(prices.reprice([row], contract=contract)) == []


def test_as_of_another_day_its_prices_hold():
    (correction,) = prices.reprice([charge("gpt-5.6-luna")], as_of="2026-07-01")
    assert Charge(correction.row).list_cost == charge("gpt-5.6-luna").list_cost * 5


def test_differences_are_summed_by_model_and_cause():
    charges = [charge(), charge(), charge("gpt-9-unheard-of")]
    prices.add("gpt-6.1-sol", provider="openai", input="4", output="20")
    prices.add("gpt-9-unheard-of", provider="openai", input="3", output="12")
    found = {(row.billed_model, row.cause): row for row in prices.differences(prices.reprice(charges))}
    assert found["gpt-6.1-sol", "price"].charges == 2
    assert found["gpt-6.1-sol", "price"].difference == Decimal("0.06")
    assert found["gpt-9-unheard-of", "priced"].before == 0


def test_a_lower_bound_stays_one():
    broken = spanledger.price(
        {"events": [{"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": {"input_tokens": 10}}}]}
        | {"closed_by": "client"},
        provider="anthropic",
        api="messages",
        at=AT,
    )
    broken.row["usage_source"] = "partial"
    prices.add("claude-opus-5-5", provider="anthropic", input="8", output="40")
    (correction,) = prices.reprice([broken])
    assert correction.row["cost_status"] == "partial"


def test_a_directory_without_a_book_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"index\.json"):
        list(prices.reprice([charge()], book=tmp_path))


def test_what_another_model_would_have_cost():
    (alternative,) = prices.what_if([charge("gpt-6.1-sol")], model="gpt-6.1-terra")
    assert alternative.priced.list_cost * 2 == 3 * 10**13
    assert prices.saved([alternative])["difference"] == Decimal("-0.015")


def test_what_a_batch_would_have_cost():
    (alternative,) = prices.what_if([charge()], processing="batch")
    assert alternative.priced.list_cost * 2 == 3 * 10**13


def test_what_a_warm_cache_would_have_cost():
    (alternative,) = prices.what_if([charge()], cache_hit_rate="0.8")
    assert alternative.priced.costs["cache_read"] == 8000 * 10**8
    assert alternative.priced.costs["input"] == 2000 * 2 * 10**9


CHOICES = [
    {"processing": "slow"},
    *({"cache_hit_rate": rate} for rate in ("1.2", 0.5, "most", "nan")),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_that_is_none_is_refused(choice):
    with pytest.raises(ConfigurationError, match=next(iter(choice))):
        list(prices.what_if([charge()], **choice))


def test_a_day_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="as_of is 'soon': write a day"):
        list(prices.reprice([charge()], as_of="soon"))
