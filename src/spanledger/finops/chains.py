"""Agentic chains: what a run costs, who caused it, and what was paid for nothing.

A chain is a run of a workflow, or a trace where there is no workflow. With `inherit` in the plan, every charge of a
trace, in whatever service, counts for the feature and the customer that it began with.
"""

from __future__ import annotations

from typing import Any, Final

from spanledger.errors import PlanError
from spanledger.finops import _sql
from spanledger.finops._cells import UNPRICED, level, reach, routed
from spanledger.finops._exact import to_decimal
from spanledger.finops._periods import Given, read_period
from spanledger.finops._views import View
from spanledger.finops._waste import USEFUL, waste_sql
from spanledger.finops.allocation import Asked
from spanledger.finops.plan import GivenPlan, Plan, as_plan
from spanledger.finops.unit_costs import ratio

KEY: Final = "coalesce(workflow_id, trace_id)"
RUN: Final = ("runs", "charges", "services", "cost", "cost_per_run", "dearest", "wasted")
NO_WORKFLOW: Final = "(no workflow)"


def runs(ledger: Asked, plan: GivenPlan, period: Given, *, by: str = "workflow") -> View:
    """What the runs of a period cost, by workflow or by a level of the plan, the dearest first.

    Columns: `by`, `runs`, `charges`, `services` (the most that one run went through), `cost`, `cost_per_run` (15
    places), `dearest` (the cost of the dearest run), `wasted` (see `waste`). Amounts are direct cost, not rounded.
    """
    plan, within = as_plan(plan), read_period(period)
    one_run = (
        f"SELECT {_owner(plan, by)} AS owner, {KEY} AS run, {_sql.charges()} AS charges, sum(basis) AS cost, "
        "count(DISTINCT service_name) AS services, "
        f"sum(CASE WHEN {waste_sql()} <> '{USEFUL}' THEN basis END) AS wasted "
        f"FROM {routed(plan, within)} WHERE {KEY} IS NOT NULL GROUP BY 1, 2"
    )
    query = (
        "SELECT owner, count(*) AS runs, CAST(sum(charges) AS BIGINT) AS charges, max(services) AS services, "
        f"coalesce({_sql.femtos('sum(cost)')}, 0) AS cost, coalesce({_sql.femtos('max(cost)')}, 0) AS dearest, "
        f"coalesce({_sql.femtos('sum(wasted)')}, 0) AS wasted FROM ({one_run}) GROUP BY owner ORDER BY 5 DESC, 1"
    )
    found = [_run(by, row) for row in ledger.sql(query, **reach(plan, within)).rows()]
    return View.of(found, total="cost", columns=(by, *RUN))


def _owner(plan: Plan, by: str) -> str:
    if by == "workflow":
        return f"coalesce(workflow, {_sql.literal(NO_WORKFLOW)})"
    if by not in plan.levels:
        msg = f"by: {by!r} is neither workflow nor a level of the plan: {', '.join(plan.levels)}"
        raise PlanError(msg)
    return level(by)


def _run(by: str, row: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: int(row[name]) for name in ("cost", "dearest", "wasted")}
    return {
        by: row["owner"],
        "runs": row["runs"],
        "charges": row["charges"],
        "services": row["services"],
        "cost": to_decimal(amounts["cost"]),
        "cost_per_run": ratio(amounts["cost"], row["runs"]),
        "dearest": to_decimal(amounts["dearest"]),
        "wasted": to_decimal(amounts["wasted"]),
    }


def waste(ledger: Asked, plan: GivenPlan, period: Given, *, by: str = "workflow") -> View:
    """What was paid for nothing, by workflow or by a level of the plan, the dearest first.

    Columns: `by`, `waste`, `charges`, `cost`, `unpriced`. `waste` is `retried` (a billed response that a later try of
    the same call replaced), `failed`, `aborted` (a stream that nobody read to its end) or `truncated` (the answer ran
    into its limit); a charge counts once, as the first of these that it is.
    """
    plan, within = as_plan(plan), read_period(period)
    query = (
        f"SELECT {_owner(plan, by)} AS {_sql.name(by)}, {waste_sql()} AS waste, {_sql.charges()} AS charges, "
        "CAST(coalesce(sum(basis), 0) AS DECIMAL(38, 15)) AS cost, "
        f"{_sql.charges(UNPRICED)} AS unpriced "
        f"FROM {routed(plan, within)} WHERE {waste_sql()} <> '{USEFUL}' GROUP BY 1, 2 ORDER BY cost DESC, 1, 2"
    )
    return View(ledger.sql(query, **reach(plan, within)).to_arrow(), total="cost")
