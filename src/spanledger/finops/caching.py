"""What prompt caching brings: its hit rate, what it saves, and what writing to it costs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from spanledger.finops import _sql
from spanledger.finops._cells import level, reach, routed
from spanledger.finops._exact import to_decimal
from spanledger.finops._periods import Given, read_period
from spanledger.finops._reading import require_levels
from spanledger.finops.allocation import Asked
from spanledger.finops.plan import GivenPlan, as_plan


class Cache(NamedTuple):
    """What a cache did. Amounts are exact to 15 places; `None` where no price of uncached input is known.

    `hit_rate` is cached input over all input. `saved` is what the cached tokens would have cost more without it;
    `premium` what writing cost above plain input; `gain` is what is left.
    """

    owner: str
    hit_rate: Decimal | None
    saved: Decimal | None
    premium: Decimal | None
    gain: Decimal | None


CACHED: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_30m",
    "cache_write_1h",
    "cache_write_12h",
)
WRITES: Final = CACHED[2:]


def cache(ledger: Asked, plan: GivenPlan, period: Given, *, by: str) -> list[Cache]:
    """The hit rate and the return of prompt caching, for each owner of one level.

    The price of plain input is that of the same model at the same price row in the same period. Raises `PlanError`
    for a level that the plan does not have.
    """
    plan, within = as_plan(plan), read_period(period)
    require_levels([by], plan.levels, "the plan")
    sums = [f"coalesce(sum({_sql.entry('usage', unit)}), 0) AS {unit}, {_cost_of(unit)}" for unit in CACHED]
    keys = f"{level(by)}, billed_model, price_ref"
    query = (
        f"SELECT {level(by)} AS owner, billed_model, price_ref, {', '.join(sums)}, "
        f"CAST(coalesce(sum(input_tokens), 0) AS BIGINT) AS sent FROM {routed(plan, within)} GROUP BY {keys}"
    )
    rows = ledger.sql(query, **reach(plan, within)).rows()
    prices = _input_prices(rows)
    owners = sorted({row["owner"] for row in rows})
    return [_cache(owner, [row for row in rows if row["owner"] == owner], prices) for owner in owners]


def _cost_of(unit: str) -> str:
    total = f"sum({_sql.entry('costs', unit)})"
    return f"coalesce({_sql.femtos(total)}, 0) AS {unit}_cost"


Priced = Mapping[tuple[str | None, str | None], Fraction]


def _input_prices(rows: list[dict[str, Any]]) -> dict[tuple[str | None, str | None], Fraction]:
    """What one uncached input token costs, by model and price row."""
    sums: dict[tuple[str | None, str | None], list[Fraction]] = {}
    for row in rows:
        both = sums.setdefault((row["billed_model"], row["price_ref"]), [Fraction(0), Fraction(0)])
        both[0] += int(row["input_cost"])
        both[1] += Fraction(row["input"])
    return {key: cost / tokens for key, (cost, tokens) in sums.items() if tokens}


def _cache(owner: str, rows: list[dict[str, Any]], prices: Priced) -> Cache:
    read, sent = sum(row["cache_read"] for row in rows), sum(row["sent"] for row in rows)
    rate = Decimal(round(Fraction(read) / sent * 10**6)).scaleb(-6).normalize() if sent else None
    used = [row for row in rows if any(row[unit] for unit in CACHED[1:])]
    if any((row["billed_model"], row["price_ref"]) not in prices for row in used):
        return Cache(owner, rate, None, None, None)
    saved = sum((_above(row, ["cache_read"], prices) for row in used), Fraction(0))
    premium = -sum((_above(row, WRITES, prices) for row in used), Fraction(0))
    return Cache(owner, rate, *(to_decimal(round(part)) for part in (saved, premium, saved - premium)))


def _above(row: Mapping[str, Any], units: list[str] | tuple[str, ...], prices: Priced) -> Fraction:
    """What those tokens would have cost more as plain input."""
    price = prices[row["billed_model"], row["price_ref"]]
    return sum((Fraction(row[unit]) * price - int(row[f"{unit}_cost"]) for unit in units), Fraction(0))
