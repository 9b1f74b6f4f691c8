"""Cells and pots to the lines of a statement, as queries over small tables that any engine can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spanledger.finops import _sql
from spanledger.finops._cells import KEPT, level, levels
from spanledger.finops.drivers import Measure
from spanledger.finops.plan import SHARED, UNALLOCATED, Plan
from spanledger.finops.pots import Candidate, Pot


class Family(NamedTuple):
    """Pots that differ only in their days: the same source, kind and drivers, so that one query weighs them all."""

    number: int
    pots: tuple[tuple[int, Pot], ...]

    @property
    def first(self) -> Pot:
        """One of them."""
        return self.pots[0][1]


def families(pots: Sequence[Pot]) -> list[Family]:
    """The pots by what they ask of the ledger."""
    found: dict[tuple[object, ...], list[tuple[int, Pot]]] = {}
    for number, pot in enumerate(pots):
        asked = tuple((one.driver, one.to, one.measure) for one in pot.candidates)
        found.setdefault((pot.source, pot.kind, asked, pot.within, pot.daily), []).append((number, pot))
    return [Family(number, tuple(group)) for number, group in enumerate(found.values())]


class Queries:
    """The queries of one plan; `integers` are the columns of `cells` that are whole numbers."""

    def __init__(self, plan: Plan, measures: Sequence[Measure], *, by_day: bool) -> None:
        self.plan = plan
        self.measures = list(measures)
        self.by_day = by_day
        self.levels = levels(plan)
        self.owners = [f"owner.{name}" for name in plan.levels]

    @property
    def cells(self) -> str:
        """`cells` with its integers wide enough to multiply."""
        wide = ["cost", *(f"m{number}" for number in range(len(self.measures)))]
        columns = ["route", *map(_sql.name, self.levels), "charges", "unpriced", *(["day"] if self.by_day else [])]
        return f"(SELECT {', '.join([*columns, *(f'CAST({name} AS HUGEINT) AS {name}' for name in wide)])} FROM cells)"

    def _as_levels(self, kept: Sequence[str]) -> str:
        """Every level: as the cell has it where it is kept, else shared."""
        return ", ".join(
            f"cell.{level(name)}" if name in kept else f"{_sql.literal(SHARED)} AS {level(name)}"
            for name in self.plan.levels
        )

    def shares(self, found: Sequence[Family]) -> str:
        """Each owner's part of each pot, by the first driver that anyone has any of.

        Reads `cells`, `pots` (pot, family, first_day, end_day, amount) and `stated` (pot, place, levels, weight).
        """
        stated = f"SELECT pot, place, {_sql.names(self.levels)}, CAST(weight AS HUGEINT) AS weight FROM stated"
        weighed = " UNION ALL ".join([stated, *(query for family in found for query in self._weighed(family))])
        keep = _sql.names(self.levels)
        source = (
            f"(SELECT pot, place, {keep}, CAST(amount AS HUGEINT) AS amount, weight "
            "FROM positive JOIN chosen USING (pot, place) JOIN pots USING (pot))"
        )
        return (
            f"WITH weighed AS ({weighed}), positive AS (SELECT * FROM weighed WHERE weight > 0), "
            f"chosen AS (SELECT pot, min(place) AS place FROM positive GROUP BY pot) "
            f"{_sql.shared(source, ['pot', 'place'], self.levels)}"
        )

    def _weighed(self, family: Family) -> Iterator[str]:
        for place, candidate in enumerate(family.first.candidates):
            if candidate.weights is None:
                yield self._asked(family, place, candidate)

    def _asked(self, family: Family, place: int, candidate: Candidate) -> str:
        kept = self.plan.kept(candidate.to)
        weight = f"CAST(sum(cell.m{self.measures.index(candidate.measure)}) AS HUGEINT)" if candidate.measure else "1"
        groups = ", ".join(["pots.pot", *(f"cell.{level(name)}" for name in kept)])
        known = "" if candidate.measure else f"WHERE {self._is_known(candidate.to)}"
        return (
            f"SELECT pots.pot, {place} AS place, {self._as_levels(kept)}, {weight} AS weight "
            f"FROM {self.cells} cell JOIN pots ON {self._days(family)} {known} GROUP BY {groups}"
        )

    def _is_known(self, to: str) -> str:
        owner = level(to or self.plan.hierarchy[-1])
        return f"cell.{owner} <> {_sql.literal(UNALLOCATED)}"

    def _days(self, family: Family) -> str:
        days = " AND cell.day >= pots.first_day AND cell.day < pots.end_day" if self.by_day else ""
        return f"pots.family = {family.number}{days}"

    def spread(self, family: Family, place: int, candidate: Candidate) -> str:
        """The parts of owners spread over the cells below them. Reads `cells`, `pots` and `shares`."""
        kept, within = self.plan.kept(candidate.to), family.first.within
        if within is None:
            raise AssertionError
        days = self._days(family) if family.first.daily else f"pots.family = {family.number}"
        same = " AND ".join(f"cell.{level(name)} = shares.{level(name)}" for name in kept)
        columns = ", ".join(f"cell.{_sql.name(name)}" for name in self.levels)
        owners = ", ".join(
            f"shares.{_sql.name(name)} AS {_sql.name(owner)}"
            for name, owner in zip(self.levels, self.owners, strict=True)
        )
        source = (
            f"(SELECT shares.pot, shares.place, {owners}, {columns}, CAST(shares.part_amount AS HUGEINT) AS amount, "
            f"CAST(sum(cell.m{self.measures.index(within)}) AS HUGEINT) AS weight "
            f"FROM shares JOIN pots USING (pot) JOIN {self.cells} cell ON {days} AND {same} "
            f"WHERE shares.place = {place} GROUP BY ALL HAVING sum(cell.m{self.measures.index(within)}) > 0)"
        )
        return _sql.shared(source, ["pot", "place", *self.owners], self.levels)

    def parts(self) -> str:
        """The parts that are final: those that were spread, and those that could not be or need not.

        Reads `pots`, `candidates`, `shares` and `spread` (pot, place, owners, levels, part_amount).
        """
        keep = _sql.names(self.levels)
        same = " AND ".join(
            f"spread.{_sql.name(owner)} = shares.{_sql.name(name)}"
            for name, owner in zip(self.levels, self.owners, strict=True)
        )
        whole = (
            f"SELECT pot, place, {keep}, part_amount FROM shares WHERE NOT EXISTS "
            f"(SELECT 1 FROM spread WHERE spread.pot = shares.pot AND spread.place = shares.place AND {same})"
        )
        return (
            f"SELECT source, kind, method, {keep}, CAST(sum(CAST(part_amount AS HUGEINT)) AS HUGEINT) AS part_amount "
            f"FROM ({whole} UNION ALL SELECT pot, place, {keep}, part_amount FROM spread) "
            f"JOIN candidates USING (pot, place) JOIN pots USING (pot) GROUP BY source, kind, method, {keep}"
        )

    def drivers(self) -> str:
        """The snapshot: for every pot the driver that divided it, each owner's weight, the total, and the part."""
        shown = ", ".join(f"{level(name)} AS {_sql.name(name)}" for name in self.plan.levels)
        amounts = (
            f"{_sql.money('CAST(divided.amount AS HUGEINT)')} AS pot_amount, weight, total, "
            f"{_sql.money('CAST(part_amount AS HUGEINT)')} AS part"
        )
        return " UNION ALL ".join(
            f"SELECT source, kind, method, {driver} AS driver, first_day, end_day, {shown}, {amounts} "
            f"FROM {table} divided JOIN candidates USING (pot, place) JOIN pots USING (pot)"
            for table, driver in (("shares", "driver"), ("spread", "within"))
        )

    def lines(self) -> str:
        """The statement: every source in every cell, exact and published.

        Reads `cells` and `parts` (source, kind, method, levels, part_amount).
        """
        keep, kept = _sql.names(self.levels), ", ".join(_sql.literal(route) for route in KEPT)
        direct = (
            f"SELECT route AS source, route AS kind, 'spanledger/' || route || '@' || "
            f"{_sql.literal(self.plan.version)} AS method, {keep}, cost AS exact, charges, unpriced "
            f"FROM {self.cells} WHERE route IN ({kept})"
        )
        parts = (
            f"SELECT source, kind, method, {keep}, CAST(part_amount AS HUGEINT) AS exact, "
            "0 AS charges, 0 AS unpriced FROM parts"
        )
        exact = (
            f"SELECT source, kind, method, {keep}, CAST(sum(exact) AS HUGEINT) AS exact, "
            "CAST(sum(charges) AS BIGINT) AS charges, CAST(sum(unpriced) AS BIGINT) AS unpriced "
            f"FROM ({direct} UNION ALL {parts}) GROUP BY source, kind, method, {keep}"
        )
        return self._published(exact)

    def _published(self, exact: str) -> str:
        """Rounds from the top down: each level is within one unit of its exact value, and sums to the one above."""
        steps = ["source", "kind", "method", *(f"level.{name}" for name in self.plan.hierarchy)]
        rest = [f"level.{name}" for name in self.plan.dimensions]
        groups = [[step] for step in steps] + [rest] * bool(rest)
        above: list[str] = []
        unit, ctes = self.plan.round_to, [f"exact AS ({exact})"]
        for number, group in enumerate(groups):
            ctes.append(f"step_{number} AS ({self._step(number, above, group, unit)})")
            above = above + group
        last = f"step_{len(groups) - 1}"
        shown = ", ".join(f"{level(name)} AS {_sql.name(name)}" for name in self.plan.levels)
        order = _sql.names(above)
        return (
            f"WITH {', '.join(ctes)} SELECT source, kind, method, {shown}, {_sql.money('x.exact')} AS exact, "
            f"{_sql.money('published')} AS amount, charges, unpriced FROM exact x "
            f"JOIN (SELECT {order}, published FROM {last}) USING ({order}) ORDER BY {order}"
        )

    @staticmethod
    def _step(number: int, above: Sequence[str], group: Sequence[str], unit: int) -> str:
        keys = _sql.names([*above, *group])
        sums = f"SELECT {keys}, CAST(sum(exact) AS HUGEINT) AS exact FROM exact GROUP BY {keys}"
        if not above:
            total = _sql.half_up("(SELECT CAST(sum(exact) AS HUGEINT) FROM exact)", unit)
            source = f"(SELECT *, {total} AS above FROM ({sums}))"
        else:
            fixed = f"(SELECT {_sql.names(above)}, published AS above FROM step_{number - 1})"
            source = f"(SELECT * FROM ({sums}) JOIN {fixed} USING ({_sql.names(above)}))"
        return _sql.rounded(source, above, group, unit)
