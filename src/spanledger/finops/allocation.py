"""Allocation: a ledger and a plan to a statement in which every amount has an owner.

One pass over the charges sums them by the finest cell (`_cells`); the plan becomes pots (`pots`); the engine divides
pots among cells and rounds once (`_division`). Python sees small tables only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spanledger.errors import PlanError
from spanledger.finops._cells import cells_query, reach, whole
from spanledger.finops._division import Family, Queries, families
from spanledger.finops._periods import Given, Period, read_period
from spanledger.finops._tables import Cells, candidates_table, nothing_spread, pots_table, stated_table
from spanledger.finops.closing import close as write_closed
from spanledger.finops.closing import closed
from spanledger.finops.closing import corrections as differences
from spanledger.finops.plan import GivenPlan, Plan, as_plan
from spanledger.finops.pots import Measured, fill, measures, needs_days
from spanledger.finops.statements import Statement, assemble

if TYPE_CHECKING:
    import pyarrow as pa

Ask = Callable[..., "pa.Table"]


class Asked(Protocol):
    """What allocation needs of a ledger: answers to SQL over its `charges`, and over tables that are given."""

    path: Path

    def sql(  # noqa: PLR0913 -- as `Ledger.sql`
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        since: Any = None,
        until: Any = None,
        tables: Any = None,
        rolled: str = "refuse",
    ) -> Any:
        """A result with `to_arrow()`."""


def allocate(ledger: Asked, plan: GivenPlan, period: Given) -> Statement:
    """Who owns the cost of a period, by a plan; where the period is closed, the statement that it was closed with.

    Args:
        ledger: a `spanledger.Ledger`.
        plan: a `Plan`, its file, or its tables.
        period: `"2026-11"`, `"2026-11-01..2026-11-15"` or two dates, UTC, the end not included.

    Raises:
        PlanError: the plan or the period is wrong, or charges are in another currency than the plan.
        LedgerError: the ledger cannot be read.
    """
    plan, period = as_plan(plan), read_period(period)
    before = closed(Path(ledger.path), plan.name, period)
    return before[0] if before else _opened(ledger, plan, period)


def corrections(ledger: Asked, plan: GivenPlan, period: Given) -> Statement:
    """What has changed since a period was closed: a statement of kind `correction`, without lines where nothing has.

    Close it too, and the closed statement and its corrections are together what the ledger says now. Raises
    `PlanError` where the period is open.
    """
    plan, period = as_plan(plan), read_period(period)
    before = closed(Path(ledger.path), plan.name, period)
    if not before:
        msg = f"corrections: {period.label} is open for {plan.name!r}: allocate it, and close that"
        raise PlanError(msg)
    return differences(_opened(ledger, plan, period), before)


def close(ledger: Asked, statement: Statement) -> Path:
    """Closes a period with its statement, or adds a correction to a closed one; returns where it was written.

    Raises `PlanError` where the period is closed already, or the statement does not tie.
    """
    return write_closed(Path(ledger.path), statement)


def _opened(ledger: Asked, plan: Plan, period: Period) -> Statement:
    asked = measures(plan)
    by_day = any(needs_days(plan, pool, period) for pool in plan.pools)
    query = cells_query(plan, period, asked, by_day=by_day)
    ask, summed = asker(ledger), ledger.sql(query, **reach(plan, period)).to_arrow()
    cells = Cells(ask(whole(plan, asked, by_day=by_day), cells=summed), plan, asked)
    _refuse_other_currencies(plan, period, cells)
    return _divided(plan, period, cells, Queries(plan, asked, by_day=by_day), ask)


def asker(ledger: Asked) -> Ask:
    """Asks a ledger over tables given by name."""

    def ask(query: str, **tables: pa.Table) -> pa.Table:
        table: pa.Table = ledger.sql(query, tables=tables).to_arrow()
        return table

    return ask


def _refuse_other_currencies(plan: Plan, period: Period, cells: Cells) -> None:
    if cells.foreign:
        what = f"is {plan.currency!r}, and {cells.foreign} charges of {period.label} are in another"
        msg = f"{plan.file}: plan: currency {what}: convert them, or keep them in a ledger of their own"
        raise PlanError(msg)


def _divided(plan: Plan, period: Period, cells: Cells, queries: Queries, ask: Ask) -> Statement:
    filled = fill(plan, period, Measured(cells.taken, cells.use))
    found = families(filled.pots)
    small = {"pots": pots_table(found), "candidates": candidates_table(filled.pots)}
    stated = stated_table(plan, cells, filled.pots)
    shares = ask(queries.shares(found), cells=cells.table, pots=small["pots"], stated=stated)
    spread = _spread(plan, found, queries, ask, cells=cells.table, pots=small["pots"], shares=shares)
    parts = ask(queries.parts(), **small, shares=shares, spread=spread)
    lines = ask(queries.lines(), cells=cells.table, parts=parts)
    drivers = ask(queries.drivers(), **small, shares=shares, spread=spread)
    return assemble(plan, period, filled, cells.costs, lines, drivers)


def _spread(plan: Plan, found: Sequence[Family], queries: Queries, ask: Ask, **tables: pa.Table) -> pa.Table:
    """What owners of a level got, spread over the cells below them, for the pools that ask for it."""
    asked = [
        f"({queries.spread(family, place, candidate)})"
        for family in found
        if family.first.within is not None
        for place, candidate in enumerate(family.first.candidates)
        if len(plan.kept(candidate.to)) < len(plan.levels)
    ]
    return ask(" UNION ALL ".join(asked), **tables) if asked else nothing_spread(plan)
