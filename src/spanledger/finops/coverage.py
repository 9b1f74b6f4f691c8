"""What rules do to a ledger: what each owns, which are shadowed, unused or stale, and who gains when they change."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Final, NamedTuple

from spanledger._types import COLUMNS
from spanledger.errors import PlanError
from spanledger.finops import _sql
from spanledger.finops._cells import COST
from spanledger.finops._conditions import derived
from spanledger.finops._exact import to_decimal
from spanledger.finops._periods import Given, Period, read_period
from spanledger.finops._views import View
from spanledger.finops.allocation import Asked
from spanledger.finops.plan import GivenPlan, Plan, Sample, as_plan
from spanledger.finops.rules import Rule, Rules, VirtualTag

DEFAULT: Final = "(default)"


def coverage(ledger: Asked, plan: GivenPlan, period: Given, *, as_of: date | None = None) -> View:
    """How much cost each rule owns in a period, in the order of the plan.

    Columns: `tag`, `rule`, `version`, `charges` and `cost` that it owns, `shadowed` (charges that it would own if
    earlier rules did not), and `state`: `owns`, `shadowed` (it applies, and never wins), `unused` (it applies to
    nothing), with `stale` before it where `review_by` has passed on the day `as_of` (today, UTC). The row `(default)`
    of a tag is what no rule matched.
    """
    plan, within = as_plan(plan), read_period(period)
    day = as_of or datetime.now(timezone.utc).date()
    rows = [row for number in range(len(plan.rules.tags)) for row in _of_tag(ledger, plan, within, number, day)]
    return View.of(rows)


def _of_tag(ledger: Asked, plan: Plan, period: Period, number: int, day: date) -> list[dict[str, Any]]:
    tag, before = plan.rules.tags[number], Rules(plan.rules.tags[:number])
    applies = [f"{_sql.charges(rule.sql())} AS r{index}" for index, rule in enumerate(tag.rules)]
    source = before.sql(f"(SELECT * FROM charges WHERE {_sql.within(*period)})")
    cost = f"coalesce({_sql.femtos(f'sum({COST[plan.basis]})')}, 0) AS cost"
    query = (
        f"SELECT winner, {', '.join([f'{_sql.charges()} AS charges', cost, *applies])} "
        f"FROM (SELECT *, {tag.winner_sql()} AS winner FROM {source}) GROUP BY winner"
    )
    found = {
        row["winner"]: row for row in ledger.sql(query, since=period.start, until=period.end, rolled="include").rows()
    }
    rules = [_row(tag, rule, index, found, day) for index, rule in enumerate(tag.rules)]
    unmatched = found.get(-1, {})
    return [*rules, _line(tag.name, DEFAULT, "", unmatched, 0, "default" if unmatched else "unused")]


def _row(tag: VirtualTag, rule: Rule, index: int, found: dict[int, dict[str, Any]], day: date) -> dict[str, Any]:
    own = found.get(index, {})
    applies = sum(row[f"r{index}"] for row in found.values())
    shadowed = applies - own.get("charges", 0)
    state = "owns" if own else "shadowed" if shadowed else "unused"
    stale = "stale, " if rule.review_by is not None and rule.review_by < day else ""
    return _line(tag.name, rule.name, rule.version, own, shadowed, stale + state)


def _line(*values: Any) -> dict[str, Any]:
    tag, rule, version, own, shadowed, state = values
    return {
        "tag": tag,
        "rule": rule,
        "version": version,
        "charges": own.get("charges", 0),
        "cost": to_decimal(int(own.get("cost", 0))),
        "shadowed": shadowed,
        "state": state,
    }


class Failure(NamedTuple):
    """A sample of a plan whose owner is not the one that it expects."""

    sample: str
    tag: str
    expected: str
    found: str


def failures(plan: GivenPlan) -> list[Failure]:
    """The samples of a plan (`[[samples]]`) that its rules do not give the owners that they expect."""
    plan = as_plan(plan)
    return [failure for sample in plan.samples for failure in _failures(plan.rules, sample)]


def _failures(rules: Rules, sample: Sample) -> list[Failure]:
    found = rules.resolve(sample.charge)
    return [
        Failure(sample.name, tag, expected, found[tag])
        for tag, expected in sample.expect.items()
        if found[tag] != expected
    ]


def difference(ledger: Asked, old: GivenPlan, new: GivenPlan, period: Given) -> View:
    """What moves when rules change: `tag`, `before`, `after`, `charges`, `cost`, the dearest move first.

    Only virtual tags that both plans have are compared; `gains` says who gains and who loses in sum.
    """
    old, new, within = as_plan(old), as_plan(new), read_period(period)
    both = [tag.name for tag in new.rules.tags if tag.name in {one.name for one in old.rules.tags}]
    if not both:
        msg = f"{new.file}: has no virtual tag that {old.file} has too: there is nothing to compare"
        raise PlanError(msg)
    source = _both(old, new, both, within)
    moves = " UNION ALL ".join(_moves(new, tag, source) for tag in both)
    query = f"SELECT * FROM ({moves}) ORDER BY abs(cost) DESC, tag, before, after"
    return View(ledger.sql(query, since=within.start, until=within.end, rolled="include").to_arrow())


def _both(old: Plan, new: Plan, tags: list[str], period: Period) -> str:
    columns = _sql.names(column.name for column in COLUMNS)
    kept = ", ".join(f"{_sql.name(derived(tag))} AS {_sql.name(f'before.{tag}')}" for tag in tags)
    before = old.rules.sql(f"(SELECT * FROM charges WHERE {_sql.within(*period)})")
    return new.rules.sql(f"(SELECT {columns}, {kept} FROM {before})")


def _moves(plan: Plan, tag: str, source: str) -> str:
    before, after = _sql.name(f"before.{tag}"), _sql.name(derived(tag))
    cost = f"CAST(coalesce(sum({COST[plan.basis]}), 0) AS DECIMAL(38, 15))"
    return (
        f"SELECT {_sql.literal(tag)} AS tag, {before} AS before, {after} AS after, "
        f"{_sql.charges()} AS charges, {cost} AS cost "
        f"FROM {source} WHERE {before} <> {after} GROUP BY ALL"
    )


def gains(moves: View) -> View:
    """Who gains cost and who loses it, from `difference`: `tag`, `owner`, `gains`, in order of the owner."""
    sums: dict[tuple[str, str], Decimal] = {}
    for move in moves:
        for owner, sign in ((move["before"], -1), (move["after"], 1)):
            key = (move["tag"], owner)
            sums[key] = sums.get(key, Decimal(0)) + sign * move["cost"]
    return View.of([{"tag": tag, "owner": owner, "gains": cost} for (tag, owner), cost in sorted(sums.items())])
