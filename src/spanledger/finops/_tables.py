"""The small tables between plan and engine: what cells came back, and the pots and weights that go in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from spanledger.errors import PlanError
from spanledger.finops._division import Family
from spanledger.finops._exact import integers
from spanledger.finops._periods import Period
from spanledger.finops.commitments import Commitment
from spanledger.finops.drivers import Measure
from spanledger.finops.plan import SHARED, UNALLOCATED, Plan
from spanledger.finops.pots import Candidate, Pot

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST: Final = 1 << 96
"""Weights up to here divide within 127 bits."""


class Cells:
    """The charges of a period, summed by the finest cell."""

    def __init__(self, table: pa.Table, plan: Plan, measures: Sequence[Measure]) -> None:
        self.table = table
        self._plan = plan
        self._measures = list(measures)
        self._parents: dict[str, dict[str, set[tuple[str, ...]]]] = {}

    @cached_property
    def costs(self) -> dict[str, int]:
        """The cost of each route."""
        return {row["route"]: int(row["cost_sum"]) for row in self._grouped(["route"], "cost")}

    @cached_property
    def foreign(self) -> int:
        """How many charges are in another currency than the plan's."""
        import pyarrow.compute as pc

        return int(pc.sum(self.table["foreign"]).as_py() or 0)

    def taken(self, pool: str, segment: Period) -> int:
        """The cost that a pool takes, in those days."""
        if "day" not in self.table.column_names:
            return self.costs.get(pool, 0)
        return sum(
            int(row["cost_sum"])
            for row in self._grouped(["route", "day"], "cost")
            if row["route"] == pool and segment.start <= row["day"] < segment.end
        )

    def use(self, commitment: Commitment) -> dict[str, dict[str, int]]:
        """Each driver that a commitment measures, by owner."""
        owner = f"level.{commitment.to}"
        return {
            driver: {row[owner]: int(row[f"{name}_sum"]) for row in self._grouped([owner], name)}
            for driver in commitment.rates
            for name in [f"m{self._measures.index(Measure(driver, commitment.covers))}"]
        }

    def above(self, to: str, owner: str) -> Mapping[str, str]:
        """What is above an owner: where the ledger has it under one only, that; else what the rules say."""
        above = [name for name in self._plan.kept(to) if name != to]
        seen = self._parents_of(to, above).get(owner, set())
        if len(seen) == 1:
            return dict(zip(above, next(iter(seen)), strict=True))
        return self._plan.rules.resolve({to: owner}, known={to: owner})

    def _parents_of(self, to: str, above: Sequence[str]) -> dict[str, set[tuple[str, ...]]]:
        if to not in self._parents:
            found = self._parents.setdefault(to, {})
            for row in self._grouped([f"level.{name}" for name in (to, *above)]):
                found.setdefault(row[f"level.{to}"], set()).add(tuple(row[f"level.{name}"] for name in above))
        return self._parents[to]

    def _grouped(self, keys: Sequence[str], total: str = "") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (
            self.table.group_by(list(keys)).aggregate([(total, "sum")] if total else []).to_pylist()
        )
        return rows


def pots_table(families: Iterable[Family]) -> pa.Table:
    """`pot`, `family`, `source`, `kind`, `first_day`, `end_day`, `amount`."""
    import pyarrow as pa

    rows = [
        (number, family.number, pot.source, pot.kind, pot.segment.start, pot.segment.end, pot.amount)
        for family in families
        for number, pot in family.pots
    ]
    kinds = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.date32(), pa.date32(), pa.decimal128(38, 0))
    return _table(rows, ("pot", "family", "source", "kind", "first_day", "end_day", "amount"), kinds)


def candidates_table(pots: Sequence[Pot]) -> pa.Table:
    """`pot`, `place`, `driver`, `method`, `within`."""
    import pyarrow as pa

    rows = [
        (number, place, one.driver, one.method, pot.within.driver if pot.within else None)
        for number, pot in enumerate(pots)
        for place, one in enumerate(pot.candidates)
    ]
    kinds = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.string())
    return _table(rows, ("pot", "place", "driver", "method", "within"), kinds)


def stated_table(plan: Plan, cells: Cells, pots: Sequence[Pot]) -> pa.Table:
    """Weights that stand in the plan: `pot`, `place` in the order of fallbacks, the levels, `weight`."""
    import pyarrow as pa

    rows = [
        (number, place, *_cell_of(plan, cells, candidate.to, owner), weight)
        for number, pot in enumerate(pots)
        for place, candidate in enumerate(pot.candidates)
        for owner, weight in _whole(plan, pot, candidate).items()
    ]
    names = ("pot", "place", *(f"level.{name}" for name in plan.levels), "weight")
    kinds = (pa.int64(), pa.int64(), *(pa.string() for _ in plan.levels), pa.decimal128(38, 0))
    return _table(rows, names, kinds)


def nothing_spread(plan: Plan) -> pa.Table:
    """The table of what was spread below its owner, where nothing was."""
    import pyarrow as pa

    text = [f"{prefix}.{name}" for prefix in ("owner", "level") for name in plan.levels]
    whole = ("amount", "weight", "total", "part_amount")
    kinds = [pa.int64()] * 2 + [pa.string()] * len(text) + [pa.decimal128(38, 0)] * len(whole)
    return _table([], ("pot", "place", *text, *whole), kinds)


def _table(rows: Sequence[tuple[Any, ...]], names: Sequence[str], kinds: Sequence[Any]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            name: pa.array([row[n] for row in rows], kind)
            for n, (name, kind) in enumerate(zip(names, kinds, strict=True))
        }
    )


def _whole(plan: Plan, pot: Pot, candidate: Candidate) -> dict[str, int]:
    if not candidate.weights:
        return {}
    weights = integers(candidate.weights)
    if sum(weights.values()) >= LARGEST:
        msg = f"{plan.file}: {pot.source!r}: the weights of {candidate.driver!r} have too many digits: round them"
        raise PlanError(msg)
    return weights


def _cell_of(plan: Plan, cells: Cells, to: str, owner: str) -> tuple[str, ...]:
    """The cell of an owner that the plan names: what is above it is known, what is below it shared."""
    if owner == UNALLOCATED:
        return (UNALLOCATED,) * len(plan.levels)
    known, kept = {**cells.above(to, owner), to: owner}, plan.kept(to)
    return tuple(known.get(name, UNALLOCATED) if name in kept else SHARED for name in plan.levels)
