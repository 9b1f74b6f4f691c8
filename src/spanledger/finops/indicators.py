"""The KPIs of FinOps for AI that a ledger and a plan can tell."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from spanledger.finops._cells import COST, level, reach, routed
from spanledger.finops._exact import to_decimal, to_femto
from spanledger.finops._periods import Given, Period, read_period
from spanledger.finops.allocation import Asked, allocate
from spanledger.finops.caching import cache
from spanledger.finops.plan import UNALLOCATED, GivenPlan, Plan, as_plan
from spanledger.finops.statements import Statement
from spanledger.finops.unit_costs import MILLION, quantities, ratio


class Indicator(NamedTuple):
    """One KPI: its FinOps name, its value (`None` where it is not known), what it is measured in."""

    name: str
    value: Decimal | None
    unit: str


def indicators(
    ledger: Asked,
    plan: GivenPlan,
    period: Given,
    *,
    outcomes: int | None = None,
) -> list[Indicator]:
    """The KPIs of FinOps for AI that a ledger and a plan can tell; `outcomes` is the number of successful ones."""
    plan, within = as_plan(plan), read_period(period)
    statement = allocate(ledger, plan, within)
    (found,) = quantities(ledger, plan, within, None)
    total, currency = to_femto(statement.total), statement.currency
    unallocated = _percent(statement.unallocated, statement.total)
    return [
        Indicator("cost", statement.total, currency),
        Indicator("API calls", Decimal(found["requests"] or 0), "requests"),
        Indicator("token consumption", Decimal(found["tokens"] or 0), "tokens"),
        Indicator("cost per inference", ratio(total, found["requests"] or 0), currency),
        Indicator("cost per million tokens", ratio(total, found["tokens"] or 0, MILLION), currency),
        Indicator("cost per successful outcome", None if outcomes is None else ratio(total, outcomes), currency),
        Indicator("allocated", None if unallocated is None else 100 - unallocated, "%"),
        Indicator("unallocated", unallocated, "%"),
        Indicator("tag coverage", _coverage(ledger, plan, within), "%"),
        *_cache_indicators(ledger, plan, within, currency),
        *_commitment_indicators(statement),
        Indicator("charges without a price", statement.lines.sum("unpriced"), "charges"),
    ]


def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return Decimal(round(Fraction(part) / Fraction(whole) * 10**4)).scaleb(-2) if whole else None


def _coverage(ledger: Asked, plan: Plan, period: Period) -> Decimal | None:
    """How much of the cost of charges has an owner at every level of the hierarchy, before anything is shared."""
    owned = " AND ".join(f"{level(name)} <> '{UNALLOCATED}'" for name in plan.hierarchy)
    query = (
        f"SELECT sum(CASE WHEN {owned} THEN {COST[plan.basis]} ELSE 0 END) AS owned, "
        f"sum({COST[plan.basis]}) AS whole FROM {routed(plan, period)}"
    )
    (row,) = ledger.sql(query, **reach(plan, period)).rows()
    return None if row["whole"] is None else _percent(row["owned"], row["whole"])


def _cache_indicators(ledger: Asked, plan: Plan, period: Period, currency: str) -> list[Indicator]:
    found = cache(ledger, plan, period, by=plan.hierarchy[0])
    gains = [one.gain for one in found]
    known = [gain for gain in gains if gain is not None]
    gain = to_decimal(sum(to_femto(one) for one in known)) if len(known) == len(gains) else None
    return [
        *(
            Indicator(f"cache hit rate of {one.owner}", one.hit_rate, "of input")
            for one in found
            if one.hit_rate is not None
        ),
        Indicator("return of caching", gain, currency),
    ]


def _commitment_indicators(statement: Statement) -> list[Indicator]:
    found = []
    for one in statement.commitments:
        found.append(Indicator(f"utilisation of {one.name}", 100 * one.utilisation, "%"))
        found.append(Indicator(f"idle part of {one.name}", _percent(one.idle, one.cost), "%"))
    return found
