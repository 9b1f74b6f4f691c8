"""`Ledger.reprice` and `Ledger.what_if` on a real ledger: corrections are appended, questions show them."""

from __future__ import annotations

import resource
from decimal import Decimal

import pytest

import spanledger
from spanledger import Ledger, prices
from spanledger.errors import ConfigurationError, LedgerError
from spanledger.sinks.ledger import LedgerSink

AT = "2026-11-16T12:00:00Z"


def charge(model, tokens=1_000_000):
    body = {"model": model, "usage": {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}}
    made = spanledger.price(body, provider="openai", api="responses", at=AT)
    made.row.update(team="growth", tags={"region": "emea"})
    return made


@pytest.fixture
def ledger(tmp_path):
    sink = LedgerSink(tmp_path / "spend.ledger")
    for model in ("gpt-4o", "gpt-4o", "gpt-next"):
        sink.book(charge(model))
    sink.close()
    return Ledger(tmp_path / "spend.ledger")


def cost(ledger):
    (row,) = ledger.cost(by="team")
    return row["charges"], row["list_cost"], row["unpriced"]


def test_what_the_book_has_learned_is_priced_once(ledger):
    assert cost(ledger) == (3, Decimal(5), 1)
    prices.add("gpt-next", provider="openai", input="3")
    (row,) = ledger.reprice()
    assert (row["billed_model"], row["cause"], row["charges"], row["difference"]) == ("gpt-next", "priced", 1, 3)
    assert cost(ledger) == (3, Decimal(8), 0)
    assert len(ledger.reprice()) == 0
    assert len(ledger.charges(history=True)) == 4


def test_a_correction_keeps_all_but_the_money(ledger):
    prices.add("gpt-next", provider="openai", input="3")
    ledger.reprice()
    before, after = ledger.charges(where="response_model = 'gpt-next'", history=True)
    kept = [
        name for name in before if name not in {"charge_id", "corrects"} and not name.startswith(("cost", "price_ref"))
    ]
    money = {"currency", "list_cost", "contracted_cost", "effective_cost", "billed_model"}
    assert {name: before[name] for name in kept if name not in money} == {
        name: after[name] for name in kept if name not in money
    }
    assert after["corrects"] == before["charge_id"]


def test_a_question_bounds_what_is_priced_again(ledger):
    prices.add("gpt-next", provider="openai", input="3")
    assert len(ledger.reprice(where="team = 'sales'")) == 0
    assert len(ledger.reprice(until="2026-11-16T00:00:00Z")) == 0


def test_an_answer_without_writing_changes_nothing(ledger):
    (row,) = ledger.reprice(contract={"provider": "openai", "discount": "0.1"}, write=False)
    assert (row["cause"], row["difference"]) == ("contract", Decimal("-0.5"))
    assert len(ledger.charges(history=True)) == 3


def test_a_contract_found_late_is_applied_once(ledger):
    terms = {"provider": "openai", "discount": "0.1"}
    ledger.reprice(contract=terms)
    (row,) = ledger.cost(by="team")
    assert (row["list_cost"], row["effective_cost"]) == (Decimal(5), Decimal("4.5"))
    assert len(ledger.reprice(contract=terms)) == 0


def test_terms_that_are_none_are_named(ledger):
    with pytest.raises(ConfigurationError, match=r"contract is 'x': write its terms, such as \{'provider'"):
        ledger.reprice(contract="x", write=False)
    with pytest.raises(ConfigurationError, match="as_of is 'yesterday': write a day"):
        ledger.reprice(as_of="yesterday", write=False)


def test_what_has_no_price_under_a_choice_has_no_amounts(ledger):
    for row in ledger.what_if(model="nobody-knows"):
        assert (row["charges"], row["before"], row["after"], row["difference"]) == (0, None, None, None)
        assert row["unpriced"] > 0


def test_other_choices_are_computed_and_not_written(ledger):
    rows = {row["billed_model"]: row for row in ledger.what_if(model="gpt-4o-mini")}
    assert (rows["gpt-4o"]["before"], rows["gpt-4o"]["after"]) == (Decimal(5), Decimal("0.3"))
    assert rows[None]["unpriced"] == 1
    assert len(ledger.charges(history=True)) == 3


def test_corrections_that_cannot_be_written_are_an_error(ledger):
    prices.add("gpt-next", provider="openai", input="3")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(LedgerError, match="1 of 1 rows could not be written"):
            ledger.reprice()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cost(ledger) == (3, Decimal(5), 1)
