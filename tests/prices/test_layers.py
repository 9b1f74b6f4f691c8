"""What a user puts over the book: rows, contracts, names; a wrong field is refused and named."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

import spanledger
from spanledger import prices
from spanledger.errors import ConfigurationError

AT = "2026-11-16T12:00:00Z"


def price(model="claude-opus-5-5", at=AT, **context):
    usage = {"input_tokens": 1_000_000, "output_tokens": 100_000, "server_tool_use": {"web_search_requests": 10}}
    body = {"type": "message", "model": model, "usage": usage}
    return spanledger.price(body, provider="anthropic", api="messages", at=at, context=context)


def test_one_line_adds_a_model():
    prices.add("claude-next", provider="anthropic", input="3", output="12", web_search="10")
    assert price("claude-next-20270101").list_cost == Decimal("4.3")


def test_a_row_of_yours_beats_the_book():
    prices.add("claude-opus-5-5", provider="anthropic", input="1")
    assert price().costs == {"input": Decimal(1), "output": Decimal(2), "web_search": Decimal("0.1")}


def test_a_row_of_yours_that_is_silent_on_a_tier_makes_it_an_estimate():
    prices.add("claude-opus-5-5", provider="anthropic", input="1", output="2")
    charge = price(speed="warp")
    assert charge.cost_status == "estimated"


def test_a_row_holds_only_between_its_days():
    prices.add("claude-opus-5-5", provider="anthropic", input="1", valid_from="2026-12-01", valid_to="2027-01-01")
    assert price().costs["input"] == 4
    assert price(at="2026-12-01T00:00:00Z").costs["input"] == 1
    assert price(at="2027-01-01T00:00:00Z").costs["input"] == 4


def test_a_discount_is_for_all_units_but_those_it_excludes():
    prices.contract("2026", provider="anthropic", discount="0.12", excludes=["web_search"])
    charge = price()
    assert (charge.list_cost, charge.contracted_cost, charge.effective_cost) == (
        Decimal("6.1"),
        Decimal("5.38"),
        Decimal("5.38"),
    )
    assert "contract 2026" in charge.price_ref


def test_an_invoice_wins_over_every_contract_whichever_came_first(tmp_path):
    terms = {"provider": "anthropic", "models": ["claude-opus-5-5"], "rates": {"input": "1", "output": "1"}}
    prices.contract("2026", provider="anthropic", discount="0.12")
    prices.invoice("INV-7", **terms, valid_from="2026-11-01", valid_to="2026-12-01")
    assert (price().list_cost, price().effective_cost) == (Decimal("6.1"), Decimal("1.2"))
    assert "contract INV-7" in price().price_ref
    assert price(at="2026-12-01T00:00:00Z").contracted_cost == Decimal("5.368")
    prices.reset()
    file = tmp_path / "prices.toml"
    file.write_text(
        '[[contract]]\nname = "2026"\ndiscount = 0.12\n'
        '[[invoice]]\nname = "INV-7"\nprovider = "anthropic"\nmodels = ["claude-opus-5-5"]\n'
        'rates = { input = "1", output = "1" }\n'
    )
    prices.load(file)
    assert price().effective_cost == Decimal("1.2")


def test_committed_rates_leave_list_cost_as_it_is():
    prices.contract("2026", provider="anthropic", models=["claude-opus-5-5"], rates={"input": "3"}, discount="0.5")
    charge = price()
    assert (charge.list_cost, charge.contracted_cost) == (Decimal("6.1"), Decimal("2.55"))


def test_a_contract_is_for_its_days_its_provider_and_its_account():
    prices.contract("later", provider="anthropic", discount="0.5", valid_from="2026-12-01")
    prices.contract("others", provider="openai", discount="0.5")
    prices.contract("theirs", provider="anthropic", discount="0.5", account="emea")
    assert price().contracted_cost == price().list_cost
    assert price(account="emea").contracted_cost == Decimal("3.05")
    assert price(at="2026-12-01").contracted_cost == Decimal("3.05")


def test_a_name_leads_to_the_model_behind_it():
    prices.alias("prod-reasoning", "claude-opus-5-5")
    assert price("prod-reasoning").billed_model == "claude-opus-5-5"


def azure(deployment, **context):
    body = {"model": "gpt-5.4-2026-03-05", "choices": [], "usage": {"prompt_tokens": 100_000, "completion_tokens": 0}}
    return spanledger.price(body, provider="azure", requested_model=deployment, context=context, at=AT)


def test_a_deployment_is_known_to_run_in_a_data_zone():
    assert azure("chat").cost_status == "estimated"
    prices.alias("chat", deployment_type="DataZoneStandard", region="eastus2")
    assert (azure("chat").cost_status, azure("chat").list_cost) == ("exact", Decimal("0.275"))
    assert azure("other").cost_status == "estimated"


def test_a_providers_calls_are_assumed_to_run_as_they_do_unless_one_says_otherwise():
    prices.assume("azure.ai.openai", deployment_type="GlobalStandard")
    assert (azure("any").cost_status, azure("any").list_cost) == ("exact", Decimal("0.25"))
    zoned = azure("any", deployment_type="DataZoneStandard", region="eastus2")
    assert zoned.list_cost == Decimal("0.275")


def test_a_contract_of_an_account_holds_for_the_names_of_that_account():
    prices.contract("theirs", provider="azure", discount="0.5", account="emea")
    prices.alias("emea-chat", deployment_type="GlobalStandard", account="emea")
    assert azure("emea-chat").contracted_cost == Decimal("0.125")
    assert azure("other").contracted_cost == Decimal("0.25")


def test_a_fact_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="no such field: tier"):
        prices.alias("chat", tier="flex")


FILE = """
[[price]]
model = "claude-next"
provider = "anthropic"
input = "3"
output = 12.5
web_search = "10"

[[contract]]
name = "2026"
provider = "anthropic"
discount = "0.10"
valid_from = 2026-09-01

[models]
prod = "claude-next"
chat = { model = "gpt-5.4", deployment_type = "DataZoneStandard", region = "eastus2" }

[assume.azure]
deployment_type = "GlobalStandard"
"""


def test_a_file_adds_rows_contracts_and_names(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    prices.load(path)
    charge = price("prod")
    assert (charge.list_cost, charge.contracted_cost) == (Decimal("4.35"), Decimal("3.915"))
    assert (azure("chat").list_cost, azure("any").list_cost) == (Decimal("0.275"), Decimal("0.25"))


def test_a_file_that_is_loaded_twice_counts_once(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    prices.load(path)
    prices.load(path)
    assert len(prices.ENGINE.layers.contracts) == 1


def test_the_setting_prices_names_a_file(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    try:
        spanledger.configure(prices=path, ledger=tmp_path / "spend.ledger")
        assert price("prod").contracted_cost == Decimal("3.915")
    finally:
        spanledger.uninstrument()


WRONG = [
    ('[[price]]\nmodel = "x"\nprovider = "openai"\ninputs = "1"', "price 1: inputs is no unit: did you mean input?"),
    ('[[price]]\nmodel = "x"\nprovider = "openai"', "price 1: no rate"),
    (
        '[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nwhen = { teir = "flex" }',
        "price 1: when: teir is no dimension: did you mean tier?",
    ),
    (
        '[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nwhen = { service_tier = "flex" }',
        "price 1: when: service_tier is no dimension: did you mean tier?",
    ),
    ('[[price]]\nmodel = "x"\ninput = "1"', "price 1: provider is missing"),
    ('[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "-1"', "price 1: input is '-1'"),
    ('[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nvalid_from = "soon"', "price 1: valid_from is 'soon'"),
    ('[[contract]]\ndiscount = "12"', "contract 1: discount is '12'"),
    ('[[contract]]\ndiscount = "much"', "contract 1: discount is 'much': write a part of one as text"),
    ('[[contract]]\ndiscount = "0.1"\nreason = "x"', "contract 1: no such field: reason"),
    ('[[contract]]\nrates = {input = "1"}', "contract 1: rates are for certain models"),
    ('[[contract]]\ndiscount = "0.1"\nmodels = "gpt-5"', "contract 1: models is 'gpt-5': write a list"),
    ('[[contract]]\ndiscount = "0.1"\nexcludes = ["web_serach"]', "web_serach is no unit: did you mean web_search?"),
    ('[[contract]]\ndiscount = "0.1"\nrates = "1"', "contract 1: rates is '1': write a table"),
    (
        '[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nnames = "xyz"',
        "price 1: names is 'xyz': write a list",
    ),
    ('[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nabove = "many"', "price 1: above is 'many'"),
    ('[[price]]\nmodel = "x"\nprovider = "openai"\ninput = "1"\nwhen = "flex"', "price 1: when is 'flex'"),
    ("[[prices]]", "no such table: prices"),
    ("[[price", "not TOML"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_wrong_field_is_named_and_nothing_is_added(tmp_path, content, message):
    path = tmp_path / "prices.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"prices\.toml") as raised:
        prices.load(path)
    assert message in str(raised.value)
    assert not prices.ENGINE.layers.rows
    assert not prices.ENGINE.layers.contracts


def test_a_discount_that_is_a_float_is_refused():
    with pytest.raises(ConfigurationError, match=r"contract a: discount is 0\.12: write a part of one as text"):
        prices.contract("a", provider="openai", discount=0.12)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        prices.load(tmp_path / "none.toml")


def test_money_as_a_float_is_refused():
    with pytest.raises(ConfigurationError, match="write the price as text"):
        prices.add("x", provider="openai", input=2.5)
    with pytest.raises(ConfigurationError, match="write a part of one as text"):
        prices.contract("2026", provider="openai", discount=0.12)


def test_another_currency_has_its_rate_and_day():
    rates = prices.Rates({"EUR": {"2026-11-01": "0.86", "2026-11-16": "0.8642"}})
    converted = rates.convert(Decimal("3.5"), "EUR", price().started_at)
    assert str(converted) == "3.0247 EUR (at 0.8642 of 2026-11-16)"


@pytest.mark.parametrize("rate", [0.86, "0", "-1", "0,86", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ConfigurationError, match="the rate of EUR"):
        prices.Rates({"EUR": {"2026-11-16": rate}})


def test_a_day_of_a_rate_that_is_none_is_named():
    with pytest.raises(ConfigurationError, match=r"a rate's day is '16\.11\.2026': write a day such as 2026-11-16"):
        prices.Rates({"EUR": {"16.11.2026": "0.86"}})


def test_a_day_before_the_first_rate_has_none():
    with pytest.raises(ConfigurationError, match="no rate of USD to EUR"):
        prices.Rates({"EUR": {"2026-11-17": "0.86"}}).convert(Decimal(1), "EUR", price().started_at)


def test_an_amount_in_another_currency_is_not_rounded():
    amount, rate = Decimal("123456789.123456789012345"), Decimal("0.864213")
    exact = prices.Rates({"EUR": {"2026-11-16": rate}}).convert(amount, "EUR", None).amount
    assert exact == Fraction(amount) * Fraction(rate)


def test_contracts_of_one_name_have_their_own_rates():
    for provider, model, rate in (("openai", "gpt-5", "1"), ("anthropic", "claude-opus-5-5", "3")):
        prices.contract("2026", provider=provider, models=[model], rates={"input": rate, "output": rate})
    spanledger.price({"model": "gpt-5", "choices": [], "usage": {"prompt_tokens": 1}}, provider="openai", at=AT)
    assert price().contracted_cost == Decimal("3.4")


def test_a_file_that_has_changed_replaces_what_it_said_before(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[contract]]\nname = "2026"\nprovider = "anthropic"\ndiscount = "0.1"\n'
        '[[price]]\nmodel = "ours"\nprovider = "anthropic"\nnames = ["claude-opus-5-5"]\ninput = "1"\noutput = "1"\n'
        '[models]\nprod = "ours"\n[assume.anthropic]\naccount = "emea"\n'
    )
    prices.load(path)
    assert (price().billed_model, price("prod").contracted_cost) == ("ours", Decimal("1.08"))
    path.write_text('[[contract]]\nname = "2026"\nprovider = "anthropic"\ndiscount = "0.2"\n')
    prices.load(path)
    assert (price().billed_model, price().contracted_cost) == ("claude-opus-5-5", Decimal("4.88"))
    assert price("prod").cost_status == "unknown"
    assert not prices.ENGINE.layers.facts
