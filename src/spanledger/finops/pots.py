"""A plan over one period as pots: amounts to divide, each with the drivers that may divide it, in order.

Everything that is not direct becomes pots here: shared pools, commitments, pools that serve each other, days and
versions of drivers. What is left to do, `spanledger.finops.allocation` does in the engine for all pots alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from spanledger.finops import commitments, services
from spanledger.finops._conditions import ALWAYS
from spanledger.finops._exact import Number, largest_remainder
from spanledger.finops._periods import Period
from spanledger.finops.commitments import Commitment, Division
from spanledger.finops.costs import by_days, cut
from spanledger.finops.drivers import EVEN, Basis, Measure
from spanledger.finops.plan import FIXED, UNALLOCATED, Component, Plan, Pool

SHARED_KIND, USED, IDLE, DIRECT, SEATS, CORRECTION = "shared", "used", "idle", "direct", "seats", "correction"
LAST_RESORT: Final = "unallocated"


class Candidate(NamedTuple):
    """One way to divide a pot: by a measure of the ledger, by stated weights, or evenly over the owners of a level.

    `to` is the level of the owners, empty for the finest cell. `measure` and `weights` are both `None` for an even
    division over whoever the ledger knows.
    """

    driver: str
    method: str
    to: str
    measure: Measure | None = None
    weights: Mapping[str, Number] | None = None


@dataclass(frozen=True, slots=True)
class Pot:
    """One amount to divide, in integers of 1e-15, for the days of `segment`.

    `within` spreads it below the owner, by what was measured in the whole period, or on that day where it is `daily`.
    """

    source: str
    kind: str
    amount: int
    segment: Period
    candidates: tuple[Candidate, ...]
    within: Measure | None = None
    daily: bool = False


class Measured(NamedTuple):
    """What the ledger was asked before pots can be filled.

    `taken` has the cost of the charges that a pool takes, by pool and segment. `use` has, for a commitment, each
    measured driver by owner.
    """

    taken: Callable[[str, Period], int]
    use: Callable[[Commitment], Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Filled:
    """The pots of a plan, and what was decided on the way that a statement reports."""

    pots: tuple[Pot, ...]
    divisions: Mapping[str, Division]
    distribution: services.Distribution | None


def fill(plan: Plan, period: Period, measured: Measured) -> Filled:
    """The pots of a plan in a period."""
    parts = {pool.name: segments(plan, pool, period) for pool in plan.pools}
    amounts = {pool.name: _own_costs(pool, parts[pool.name], measured) for pool in plan.pools if parts[pool.name]}
    distribution = _distribution(plan, amounts)
    pots: list[Pot] = []
    for pool in plan.pools:
        if pool.name in amounts:
            final = _after_services(pool, amounts[pool.name], parts[pool.name], distribution)
            pots += _pool_pots(plan, pool, final, parts[pool.name])
    divisions = {one.name: commitments.divide(one, period, one.use(measured.use(one))) for one in plan.commitments}
    for commitment in plan.commitments:
        pots += _commitment_pots(plan, commitment, divisions[commitment.name], period)
    return Filled(tuple(pots), divisions, distribution)


def segments(plan: Plan, pool: Pool, period: Period) -> list[Period]:
    """A period in the stretches over which nothing about a pool changes: days, or versions of its drivers."""
    valid = period.overlap(pool.start, pool.until)
    if valid is None:
        return []
    if pool.per_day:
        return cut(valid, set(valid.each_day()))
    return cut(valid, {day for basis in _stated(plan, pool) for day in (basis.start, basis.until) if day})


def needs_days(plan: Plan, pool: Pool, period: Period) -> bool:
    """Whether a pool asks the ledger for something by day: its drivers, or its cost, differ between segments."""
    if len(segments(plan, pool, period)) < 2:  # noqa: PLR2004 - one segment is the period
        return False
    drivers = {name for component in pool.components for name in component.drivers}
    measured = any(name not in plan.drivers and name != FIXED for name in drivers)
    return measured or pool.cost.take is not None or (pool.per_day and bool(pool.within))


def _stated(plan: Plan, pool: Pool) -> list[Basis]:
    names = {name for component in pool.components for name in component.drivers}
    return [basis for name in names for basis in plan.drivers.get(name, ())]


def _own_costs(pool: Pool, parts: Sequence[Period], measured: Measured) -> list[int]:
    if pool.cost.take is not None:
        return [measured.taken(pool.name, segment) for segment in parts]
    return pool.cost.within(parts)


def _distribution(plan: Plan, amounts: Mapping[str, Sequence[int]]) -> services.Distribution | None:
    """Pools that serve each other, settled; `None` where no pool serves another."""
    involved = {pool.name for pool in plan.pools if pool.serves} | {name for pool in plan.pools for name in pool.serves}
    own = {name: sum(parts) for name, parts in amounts.items() if name in involved}
    if not own:
        return None
    serves = {pool.name: {to: share for to, share in pool.serves.items() if to in own} for pool in plan.pools}
    order = [name for name in plan.order if name in own]
    return services.distribute(own, {name: serves[name] for name in own}, plan.services, order)


def _after_services(
    pool: Pool, own: list[int], parts: list[Period], distribution: services.Distribution | None
) -> list[int]:
    """What a pool passes to owners in each segment; what services add or take is spread over the days."""
    if distribution is None or pool.name not in distribution.own:
        return own
    change = distribution.to_owners[pool.name] - sum(own)
    spread = largest_remainder(change, by_days(parts))
    return [amount + spread[number] for number, amount in enumerate(own)]


def _pool_pots(plan: Plan, pool: Pool, amounts: Sequence[int], parts: Sequence[Period]) -> Iterable[Pot]:
    within = Measure(pool.within, pool.among) if pool.within else None
    for amount, segment in zip(amounts, parts, strict=True):
        shares = largest_remainder(amount, {number: one.part for number, one in enumerate(pool.components)})
        for number, component in enumerate(pool.components):
            found = tuple(_candidates(plan, pool, component, segment))
            yield Pot(pool.name, SHARED_KIND, shares[number], segment, found, within, pool.per_day)


def _candidates(plan: Plan, pool: Pool, component: Component, segment: Period) -> Iterable[Candidate]:
    for driver in component.drivers:
        basis = pool.fixed if driver == FIXED else _in_force(plan.drivers.get(driver, ()), segment)
        if basis is not None:
            method = method_id(plan, pool.name, driver, basis.start or pool.start)
            yield Candidate(driver, method, basis.to, weights=basis.weights(*segment))
        elif driver == EVEN:
            weights = dict.fromkeys(pool.owners, 1) if pool.owners else None
            yield Candidate(driver, method_id(plan, pool.name, driver, pool.start), pool.to, weights=weights)
        elif driver not in plan.drivers:
            method = method_id(plan, pool.name, driver, pool.start)
            yield Candidate(driver, method, pool.to, Measure(driver, pool.among))
    yield unallocated(plan, pool.name, pool.start)


def _in_force(versions: Sequence[Basis], segment: Period) -> Basis | None:
    return next((one for one in versions if segment.overlap(one.start, one.until) == segment), None)


def unallocated(plan: Plan, source: str, start: date | None = None) -> Candidate:
    """The last resort: nobody has any of any driver, so nobody owns the cost, and the statement shows that."""
    level = plan.hierarchy[0]
    return Candidate(LAST_RESORT, method_id(plan, source, LAST_RESORT, start), level, weights={UNALLOCATED: 1})


def method_id(plan: Plan, source: str, driver: str, start: date | None) -> str:
    """`spanledger/gateway/headcount@2026-11-11`: which source by which driver since when, or by which plan."""
    return f"spanledger/{source}/{driver}@{start or plan.version}"


def _commitment_pots(plan: Plan, one: Commitment, division: Division, period: Period) -> Iterable[Pot]:
    within = Measure(one.within, one.covers) if one.within else None
    if division.used:
        used = Candidate("use", method_id(plan, one.name, "use", None), one.to, weights=division.use)
        yield Pot(one.name, USED, division.used, period, (used,), within)
    if division.idle:
        driver = f"idle-{division.policy}"
        idle = Candidate(driver, method_id(plan, one.name, driver, None), one.to, weights=division.idle_by)
        yield Pot(one.name, IDLE, division.idle, period, (idle,))


def measures(plan: Plan) -> list[Measure]:
    """Everything that a plan asks the ledger to sum, each once."""
    asked = [measure for pool in plan.pools for measure in pool.measures()]
    asked += [measure for commitment in plan.commitments for measure in commitment.measures()]
    return list(dict.fromkeys([Measure("direct_cost", ALWAYS), *asked]))
