"""The bundled book: small, lazy, dated, read by nothing but the standard library and a JSON decoder."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from spanledger import Usage, prices
from spanledger.prices._book import HOME, index, instant, load_platform, per_unit
from spanledger.prices._engine import Engine

LARGEST = 250_000
AT = 1_795_000_000 * 10**9


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_is_small():
    assert sum(path.stat().st_size for path in HOME.iterdir()) <= LARGEST


def test_importing_spanledger_decodes_no_platform():
    assert run("import spanledger; print(spanledger.prices.ENGINE._platforms)") == "{}"


def test_pricing_decodes_one_platform_and_imports_no_price_library():
    code = (
        "import sys, spanledger\n"
        "body = {'model': 'gpt-4o', 'choices': [], 'usage': {'prompt_tokens': 1, 'completion_tokens': 1}}\n"
        "spanledger.price(body, provider='openai')\n"
        "heavy = {'genai_prices', 'litellm', 'pydantic', 'duckdb', 'pyarrow'} & sys.modules.keys()\n"
        "print(sorted(spanledger.prices.ENGINE._platforms), sorted(heavy))\n"
    )
    assert run(code) == "['openai'] []"


def test_its_index_names_version_and_sources():
    assert instant(index()["version"], 0) > 0
    assert set(index()["sources"]) == {"genai-prices", "azure-genai-prices", "litellm"}
    assert {"openai", "anthropic", "aws", "azure", "google", "vertex"} <= set(index()["platforms"])


@pytest.mark.parametrize("name", ["openai", "aws", "azure", "google", "vertex", "anthropic"])
def test_every_row_says_where_it_comes_from(name):
    assert all(row.source for rows in load_platform(name).rows.values() for row in rows)
    assert all(multiplier.source for multiplier in load_platform(name).multipliers)


def test_a_platform_that_is_not_there_is_empty():
    assert load_platform("nobody").rows == {}
    assert Engine().rate(Usage({"input": 1}), ("nobody", "x", None), {}, AT).status == "unknown"


def test_threads_come_to_the_same_amounts():
    engine = Engine()
    models = ["gpt-6.1-sol", "gpt-4o", "gpt-9-imagined", "gpt-5.4"] * 50

    def price(model):
        return engine.rate(Usage({"input": 1000}), ("openai", model, None), {"service_tier": "flex"}, AT).list_cost

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(price, models))
    assert found == found[:4] * 50


def test_the_cache_of_plans_is_bounded(monkeypatch):
    monkeypatch.setattr("spanledger.prices._engine.LARGEST_CACHE", 10)
    engine = Engine()
    for number in range(50):
        engine.rate(Usage({"input": 1}), ("openai", f"model-{number}", None), {}, AT)
    assert len(engine._plans) <= 10


@pytest.mark.parametrize("hour", [0, 1, 3, 4, 5, 6, 9, 10, 23])
def test_hours_of_the_day_have_prices_of_their_own(hour):
    midnight = AT - AT % (86_400 * 10**9)
    cost = prices.rate(
        Usage({"input": 1_000_000}),
        provider_name="deepseek",
        response_model="deepseek-v4-flash",
        request_model=None,
        context={},
        at_ns=midnight + hour * 3600 * 10**9,
    ).list_cost
    assert cost == (3 if 1 <= hour < 4 or 6 <= hour < 10 else 1.5) * 10**14


@pytest.mark.parametrize(
    ("rate", "unit", "fraction"),
    [
        ("2.5", "input", (2_500_000_000, 1)),
        ("10", "web_search", (10**13, 1)),
        ("0.03/20", "container_1g", (15 * 10**11, 1)),
    ],
)
def test_a_rate_is_a_whole_number_of_femtos_for_one_unit(rate, unit, fraction):
    numerator, denominator = per_unit(rate, unit)
    assert numerator * fraction[1] == fraction[0] * denominator


def test_a_rate_that_is_not_whole_rounds_its_one_amount_half_to_even():
    prices.add("odd", provider="openai", audio_seconds="0.01/3600")
    one = prices.rate(
        Usage({"audio_seconds": 7}),
        provider_name="openai",
        response_model="odd",
        request_model=None,
        context={},
        at_ns=AT,
    )
    assert one.list_cost == 19_444_444_444
