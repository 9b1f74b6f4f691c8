"""How long it takes to price a usage, beside genai-prices where that is installed, in one run.

    python benchmarks/prices.py

Times are CPU microseconds of the fastest of many batches: what the work takes, with the least of other load in it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from spanledger import Usage, prices
from spanledger._units import money_text
from spanledger.prices._book import HOME, index, load_platform
from spanledger.prices._calculate import compile_plan, quick
from spanledger.prices._engine import Engine

AT = 1_795_000_000 * 10**9
USAGE = Usage({"input": 6000, "cache_read": 4000, "output": 700, "reasoning": 300})
CALL: dict[str, Any] = {
    "provider_name": "openai",
    "response_model": "gpt-6.1-sol",
    "request_model": "gpt-6.1-sol",
    "context": {"service_tier": "default", "server_address": "api.openai.com"},
    "at_ns": AT,
}


def fastest(work: Callable[[], object], calls: int, batches: int = 40) -> float:
    """CPU microseconds of one call, in the fastest batch."""
    best = float("inf")
    for _ in range(batches):
        start = time.process_time_ns()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time_ns() - start) / calls / 1000)
    return best


def ours() -> None:
    """Prints what each step of ours takes."""
    prices.rate(USAGE, **CALL)
    platform = load_platform("openai")
    rows = (*platform.rows["*"], *platform.rows["gpt-6.1-sol"])
    plan = compile_plan("gpt-6.1-sol", rows, platform, {}, AT)
    engine = Engine()
    names = (CALL["provider_name"], CALL["response_model"], CALL["request_model"])
    engine.rate(USAGE, names, CALL["context"], AT)
    warm = engine._plans[names, tuple(CALL["context"].items())][0]
    empty = fastest(lambda: None, 20_000)
    unknown = {**CALL, "response_model": "gpt-9", "request_model": None}
    for label, work, calls in (
        ("arithmetic of a compiled plan, warm", lambda: quick(warm, USAGE.units), 20_000),
        ("prices.rate, all of it, warm", lambda: prices.rate(USAGE, **CALL), 20_000),
        ("prices.rate of an unknown model, warm", lambda: prices.rate(USAGE, **unknown), 20_000),
        ("compiling a plan", lambda: compile_plan("gpt-6.1-sol", rows, platform, {}, AT), 200),
        ("decoding a platform of the book", lambda: load_platform("openai"), 20),
    ):
        print(f"{label:44} {fastest(work, calls) - empty:10.2f} us")
    assert plan.model == warm.model
    size = sum(path.stat().st_size for path in HOME.iterdir())
    print(f"{'the book ' + str(index()['version']):44} {size:10,} bytes")


def theirs() -> None:
    """Prints what genai-prices takes for the same."""
    try:
        import genai_prices
    except ImportError:
        print("genai-prices is not installed: pip install genai-prices")
        return
    usage = genai_prices.Usage(input_tokens=10_000, cache_read_tokens=4000, output_tokens=1000)
    work = lambda: genai_prices.calc_price(usage, "gpt-6.1-sol", provider_id="openai")  # noqa: E731 -- one expression
    priced = work()
    mine = prices.rate(USAGE, **CALL)
    print(f"{'genai-prices calc_price, warm':44} {fastest(work, 200, 10):10.2f} us")
    print(f"{'the same amount':44} {priced.total_price == Decimal(money_text(mine.list_cost or 0))!s:>10}")


def main() -> int:
    """Prints both."""
    ours()
    theirs()
    return 0


if __name__ == "__main__":
    sys.exit(main())
