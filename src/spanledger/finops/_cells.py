"""The one pass over charges: rules, routes and every measure of a plan, summed by the finest cell of its statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from spanledger._types import COLUMNS
from spanledger.finops import _sql
from spanledger.finops._periods import Period
from spanledger.finops.drivers import SEAT, Measure
from spanledger.finops.plan import UNALLOCATED, Plan
from spanledger.finops.pots import DIRECT, SEATS

KEPT: Final = (DIRECT, SEATS)
"""The routes of charges that stay with their owner; every other route is the name of a pool or a commitment."""
COUNTS: Final = ("charges", "unpriced", "foreign")
LOOK_BACK: Final = timedelta(days=1)
"""How long before a period the root of a trace in it may have begun."""
UNPRICED: Final = "basis IS NULL OR cost_status = 'partial'"
COST: Final = {
    "list_cost": "list_cost",
    "contracted_cost": "coalesce(contracted_cost, list_cost)",
    "effective_cost": "coalesce(effective_cost, contracted_cost, list_cost)",
}


def level(name: str) -> str:
    """The column of a level of the statement, quoted."""
    return _sql.name(f"level.{name}")


def levels(plan: Plan) -> list[str]:
    """The columns of all levels, not quoted."""
    return [f"level.{name}" for name in plan.levels]


def cells_query(plan: Plan, period: Period, measures: Sequence[Measure], *, by_day: bool) -> str:
    """`route`, the levels, `day` if asked for, `cost`, counts, and `m0`, `m1`, ... for each measure.

    Sums are decimals, which every engine adds exactly; `whole` makes integers of them.
    """
    keys = _keys(plan, by_day=by_day)
    sums = [f"{measure.sql('direct')} AS m{number}" for number, measure in enumerate(measures)]
    foreign = (
        f"basis IS NOT NULL AND coalesce(currency, {_sql.literal(plan.currency)}) <> {_sql.literal(plan.currency)}"
    )
    counts = [
        "coalesce(sum(basis), 0) AS cost",
        f"{_sql.charges()} AS charges",
        f"{_sql.charges(UNPRICED)} AS unpriced",
        f"{_sql.charges(foreign)} AS foreign",
    ]
    groups = ", ".join(keys)
    return f"SELECT {', '.join([groups, *counts, *sums])} FROM {routed(plan, period)} GROUP BY {groups}"


def whole(plan: Plan, measures: Sequence[Measure], *, by_day: bool) -> str:
    """The answer to `cells_query`, as the table `cells`, with every amount as an integer of its last place."""
    counts = [f'CAST("{name}" AS BIGINT) AS "{name}"' for name in COUNTS]
    places = {"cost": 15, **{f"m{number}": one.places for number, one in enumerate(measures)}}
    sums = [f"{_scaled(column, digits)} AS {column}" for column, digits in places.items()]
    keys = [*_keys(plan, by_day=False), *(["CAST(day AS DATE) AS day"] if by_day else [])]
    return f"SELECT {', '.join([*keys, *counts, *sums])} FROM cells"


def _scaled(column: str, places: int) -> str:
    return _sql.scaled(f"CAST({column} AS DECIMAL(38, {places}))", places)


def _keys(plan: Plan, *, by_day: bool) -> list[str]:
    return ["route", *(level(name) for name in plan.levels), *(["day"] if by_day else [])]


def routed(plan: Plan, period: Period) -> str:
    """Charges with their tags, levels, `route`, `day`, and `basis`, which is `direct` too where they keep it."""
    owners = ", ".join(
        f"coalesce({field.sql}, {_sql.literal(UNALLOCATED)}) AS {level(name)}" for name, field in plan.fields.items()
    )
    kept = ", ".join(_sql.literal(route) for route in KEPT)
    tagged = plan.rules.sql(charges_of(plan, period))
    return (
        f"(SELECT *, CASE WHEN route IN ({kept}) THEN basis END AS direct FROM (SELECT *, {owners}, "
        f"{route(plan)} AS route, {_sql.day_of()} AS day, {COST[plan.basis]} AS basis FROM {tagged}))"
    )


def reach(plan: Plan, period: Period) -> dict[str, Any]:
    """The days that a question about a period reads, and that it knows that rows may be sums of charges."""
    since = period.start - LOOK_BACK if plan.inherit else period.start
    return {"since": since, "until": period.end, "rolled": "include"}


def charges_of(plan: Plan, period: Period) -> str:
    """The charges of a period, with the owners that their trace passes on where they have none of their own."""
    charges = f"(SELECT * FROM charges WHERE {_sql.within(*period)})"
    if not plan.inherit:
        return charges
    columns = [_inherited(column.name) if column.name in plan.inherit else f"c.{column.name}" for column in COLUMNS]
    firsts = ", ".join(f"{_sql.first(name, 'started_at')} AS {name}" for name in plan.inherit)
    before = _sql.within(period.start - LOOK_BACK, period.end)
    roots = f"(SELECT trace_id, {firsts} FROM charges WHERE trace_id IS NOT NULL AND {before} GROUP BY trace_id)"
    return f"(SELECT {', '.join(columns)} FROM {charges} c LEFT JOIN {roots} root ON c.trace_id = root.trace_id)"


def _inherited(name: str) -> str:
    return f"coalesce(c.{name}, root.{name}) AS {name}"


def route(plan: Plan) -> str:
    """Where the cost of a charge goes: to a commitment that covers it, to a pool that takes it, or it stays."""
    taken = [(one.covers.sql(), one.name) for one in plan.commitments if one.covers.alternatives]
    taken += [
        (f"({pool.cost.take.sql()}) AND {_sql.within(pool.start, pool.until)}", pool.name)
        for pool in plan.pools
        if pool.cost.take is not None
    ]
    taken.append((f"operation = {_sql.literal(SEAT)}", SEATS))
    whens = " ".join(f"WHEN {condition} THEN {_sql.literal(name)}" for condition, name in taken)
    return f"CASE {whens} ELSE {_sql.literal(DIRECT)} END"
