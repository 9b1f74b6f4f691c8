"""Unit economics: what a request, a token, a customer, a run or an outcome costs, and what is left of revenue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from spanledger._units import FEMTO
from spanledger.finops import _sql
from spanledger.finops._cells import level, reach, routed
from spanledger.finops._exact import to_decimal, to_femto
from spanledger.finops._given import Given, by_owner
from spanledger.finops._periods import Given as GivenPeriod
from spanledger.finops._periods import read_period
from spanledger.finops._reading import require_levels
from spanledger.finops._views import View, grouped
from spanledger.finops.allocation import Asked, allocate
from spanledger.finops.drivers import MEASURES
from spanledger.finops.plan import GivenPlan, Plan, as_plan
from spanledger.finops.statements import STATEMENT, Statement

MILLION: Final = 1_000_000
QUANTITIES: Final[Mapping[str, str]] = {
    "requests": f"sum({MEASURES['requests']})",
    "tokens": f"sum({MEASURES['tokens']})",
    "customers": "count(DISTINCT customer)",
    "features": "count(DISTINCT feature)",
    "runs": "count(DISTINCT workflow_id)",
}
"""What a cost is divided by, as sums over charges."""


class Unit(NamedTuple):
    """One ratio: its column, and the quantity that it divides by, times `per`."""

    column: str
    quantity: str
    per: int = 1


UNITS: Final = (
    Unit("cost_per_request", "requests"),
    Unit("cost_per_million_tokens", "tokens", MILLION),
    Unit("cost_per_customer", "customers"),
    Unit("cost_per_feature", "features"),
    Unit("cost_per_run", "runs"),
)


def ratio(femtos: int, quantity: int, per: int = 1) -> Decimal | None:
    """An amount over a quantity, to 15 places, halves to even; `None` where there is nothing to divide by."""
    return to_decimal(round(Fraction(femtos * per, quantity))) if quantity else None


def unit_costs(
    ledger: Asked,
    plan: GivenPlan,
    period: GivenPeriod,
    *,
    by: str | None = None,
    outcomes: Given = None,
) -> View:
    """What one of everything cost in a period, with shared costs, by the owners of one level or altogether.

    Columns: the level, `cost` (published), each quantity of `QUANTITIES`, and `cost_per_request`,
    `cost_per_million_tokens`, `cost_per_customer`, `cost_per_feature`, `cost_per_run` to 15 places; `None` where there
    was none. With `outcomes` (owner to number of successful ones: a mapping, a CSV file, or a table with the level and
    `outcomes`) also `outcomes` and `cost_per_outcome`.
    """
    plan = as_plan(plan)
    require_levels([by] if by else [], plan.levels, "the plan")
    statement = allocate(ledger, plan, period)
    costs = {_key(row, by): row["amount"] for row in grouped(statement.lines, [by] if by else [], ["amount"])}
    found = {_key(row, by): row for row in quantities(ledger, plan, period, by)}
    wanted = None if outcomes is None else by_owner(outcomes, by or "owner", "outcomes")
    rows = [_row(by, owner, cost, found.get(owner, {}), wanted) for owner, cost in costs.items()]
    head = ([by] if by else []) + ["cost", *QUANTITIES, *(unit.column for unit in UNITS)]
    return View.of(rows, total="cost", columns=head)


def _key(row: Mapping[str, Any], by: str | None) -> str:
    return str(row[by]) if by else ""


def quantities(ledger: Asked, plan: Plan, period: GivenPeriod, by: str | None) -> list[dict[str, Any]]:
    """Every quantity of `QUANTITIES`, by the owners of a level or altogether."""
    within = read_period(period)
    keys = [f"{level(by)} AS {_sql.name(by)}"] if by else []
    sums = [f"CAST({sql} AS BIGINT) AS {name}" for name, sql in QUANTITIES.items()]
    groups = f" GROUP BY {level(by)}" if by else ""
    query = f"SELECT {', '.join([*keys, *sums])} FROM {routed(plan, within)}{groups}"
    rows: list[dict[str, Any]] = ledger.sql(query, **reach(plan, within)).rows()
    return rows


def _row(
    by: str | None, owner: str, cost: Decimal, found: Mapping[str, Any], outcomes: Mapping[str, int] | None
) -> dict[str, Any]:
    femtos = to_femto(cost)
    row: dict[str, Any] = {by: owner} if by else {}
    row["cost"] = cost
    row.update({name: found.get(name) or 0 for name in QUANTITIES})
    row.update({unit.column: ratio(femtos, row[unit.quantity], unit.per) for unit in UNITS})
    if outcomes is not None:
        row["outcomes"] = outcomes.get(owner, 0) // FEMTO
        row["cost_per_outcome"] = ratio(femtos, row["outcomes"])
    return row


def margin(statement: Statement, revenue: Given, *, by: str = "customer") -> View:
    """Revenue less cost, for each owner of one level: `cost`, `revenue`, `margin`, `margin_percent` (one place).

    `revenue` is a mapping of owner to amount, a CSV file, or a pandas, polars or Arrow table with the level and
    `revenue`. An owner without revenue has `None` for it: that is not known to be zero. Who has revenue and no cost is
    a row too.
    """
    require_levels([by], statement.levels, STATEMENT)
    earned = by_owner(revenue, by, "revenue")
    costs = {row[by]: to_femto(row["amount"]) for row in grouped(statement.lines, [by], ["amount"])}
    rows = [_margin(statement, by, owner, costs.get(owner, 0), earned.get(owner)) for owner in {**earned, **costs}]
    return View.of(rows, total="cost")


def _margin(statement: Statement, by: str, owner: str, cost: int, earned: int | None) -> dict[str, Any]:
    left = None if earned is None else earned - cost
    percent = None if left is None or not earned else Fraction(100 * left, earned)
    return {
        by: owner,
        "cost": to_decimal(cost).quantize(statement.round_to),
        "revenue": None if earned is None else to_decimal(earned),
        "margin": None if left is None else to_decimal(left).quantize(statement.round_to),
        "margin_percent": None if percent is None else Decimal(round(percent * 10)) / 10,
    }
