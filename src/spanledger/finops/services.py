"""Pools that serve each other: direct, step-down and reciprocal distribution, exact in fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from spanledger.errors import PlanError
from spanledger.finops._exact import tied

DIRECT, STEP_DOWN, RECIPROCAL = "direct", "step_down", "reciprocal"
METHODS: Final = (DIRECT, STEP_DOWN, RECIPROCAL)

Serves = Mapping[str, Mapping[str, Fraction]]
"""For each pool the share of it, up to 1, that each other pool uses."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What each pool passes to owners in the end: integers that sum to the pools' own costs.

    `gross` is what a pool costs with everything that others charged to it; `method` is stored with the statement.
    """

    method: str
    own: Mapping[str, int]
    gross: Mapping[str, Fraction]
    to_owners: Mapping[str, int]


def distribute(own: Mapping[str, int], serves: Serves, method: str, order: Sequence[str] = ()) -> Distribution:
    """Passes the costs of pools through the services that they give each other.

    Args:
        own: what each pool costs by itself, in integers of 1e-15.
        serves: see `Serves`; the rest of each pool goes to owners.
        method: `direct` ignores services between pools. `step_down` closes the pools in `order`: what a closed pool
            used is not charged back to it. `reciprocal` solves x = b + A x, so that every service is counted.
        order: all pools, for `step_down`.

    Raises:
        PlanError: shares above 1, an order that leaves out a pool, or pools that only serve each other, for which
            x = b + A x has no finite answer (its spectral radius is 1).
    """
    for pool, shares in serves.items():
        if sum(shares.values()) > 1:
            msg = f"pool {pool!r}: serves gives away more than 100 %"
            raise PlanError(msg)
    gross, kept = _METHODS[method](own, serves, order)
    return Distribution(
        method, dict(own), gross, tied({pool: gross[pool] * kept[pool] for pool in own}, sum(own.values()))
    )


Solved = tuple[dict[str, Fraction], dict[str, Fraction]]
"""Gross cost of each pool, and the part of it that goes to owners."""


def _direct(own: Mapping[str, int], _serves: Serves, _order: Sequence[str]) -> Solved:
    return {pool: Fraction(cost) for pool, cost in own.items()}, dict.fromkeys(own, Fraction(1))


def _step_down(own: Mapping[str, int], serves: Serves, order: Sequence[str]) -> Solved:
    if sorted(order) != sorted(own):
        msg = f"services: order is {list(order)}: it takes every pool once: {', '.join(sorted(own))}"
        raise PlanError(msg)
    gross, kept = {pool: Fraction(cost) for pool, cost in own.items()}, {}
    for number, pool in enumerate(order):
        shares, later = serves.get(pool, {}), order[number + 1 :]
        closed = sum((shares.get(other, Fraction(0)) for other in order[:number]), Fraction(0))
        open_part = 1 - closed
        if not open_part:
            msg = f"pool {pool!r}: serves only pools that are closed before it: move it up in order"
            raise PlanError(msg)
        passed = {other: shares.get(other, Fraction(0)) / open_part for other in later}
        for other, share in passed.items():
            gross[other] += gross[pool] * share
        kept[pool] = 1 - sum(passed.values(), Fraction(0))
    return gross, kept


def _reciprocal(own: Mapping[str, int], serves: Serves, _order: Sequence[str]) -> Solved:
    pools = list(own)
    rows = [
        [Fraction(int(to == source)) - serves.get(source, {}).get(to, Fraction(0)) for source in pools]
        + [Fraction(own[to])]
        for to in pools
    ]
    kept = {pool: 1 - sum(serves.get(pool, {}).values(), Fraction(0)) for pool in pools}
    return dict(zip(pools, _solved(rows, pools), strict=True)), kept


def _solved(rows: list[list[Fraction]], pools: Sequence[str]) -> list[Fraction]:
    """Gauss and Jordan; with shares of at most 1 it is singular just where the series diverges."""
    for column in range(len(rows)):
        pivot = next((row for row in range(column, len(rows)) if rows[row][column]), None)
        if pivot is None:
            msg = f"services: {', '.join(pools)} pass cost round for ever: let one of them serve an owner"
            raise PlanError(msg)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(len(rows)):
            if row != column and rows[row][column]:
                factor = rows[row][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [row[-1] for row in rows]


_METHODS: Final = {DIRECT: _direct, STEP_DOWN: _step_down, RECIPROCAL: _reciprocal}
