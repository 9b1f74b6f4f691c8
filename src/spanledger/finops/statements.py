"""The statement: who owns what of a period, why, and the proof that nothing was lost on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanledger._units import FEMTO
from spanledger.finops import showback as views
from spanledger.finops._cells import KEPT
from spanledger.finops._exact import half_up, to_decimal, to_femto
from spanledger.finops._periods import Period
from spanledger.finops._reading import require_levels
from spanledger.finops._views import View, grouped
from spanledger.finops.commitments import Division
from spanledger.finops.plan import UNALLOCATED, Plan
from spanledger.finops.pots import IDLE, Filled

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


STATEMENT: Final = "the statement"
SOURCES: Final = ("source", "kind", "method")
"""What lines have beside the levels of the plan."""


class Check(NamedTuple):
    """One thing that must tie: what it is, what it must come to, and what it came to, in integers of 1e-15."""

    name: str
    expected: int
    found: int

    @property
    def ok(self) -> bool:
        """Whether it ties to the last stored digit."""
        return self.expected == self.found


class Utilisation(NamedTuple):
    """A commitment in a period. Quantities are unit-hours; amounts are exact.

    `on_demand` is what the charges that it covers would have cost at the plan's basis, `None` where none were seen.
    `break_even` is the utilisation at which the commitment costs as much as that.
    """

    name: str
    cost: Decimal
    idle: Decimal
    policy: str
    capacity: Decimal
    used: Decimal
    utilisation: Decimal
    on_demand: Decimal | None
    break_even: Decimal | None


class Service(NamedTuple):
    """A pool that serves pools: its own cost, its cost with what others passed to it, and what went to owners."""

    pool: str
    method: str
    own: Decimal
    gross: Decimal
    to_owners: Decimal


@dataclass(frozen=True)
class Statement:
    """Who owns the cost of a period. Immutable; `lines` and `drivers` are its evidence.

    `lines` has one row for every source in every cell: `source`, `kind` (`direct`, `seats`, `shared`, `used`, `idle`,
    `correction`), `method`, the levels of the plan, `exact` (15 places), `amount` (rounded once to the plan's
    `round_to`), `charges`, and `unpriced`: charges without a known cost, or only a lower bound, which no sum has.
    `drivers` has the snapshot: whose weight of what total got which part of each pot. `rules` are the versions that
    were in force.
    """

    plan: str
    version: str
    digest: str
    period: Period
    currency: str
    basis: str
    round_to: Decimal
    hierarchy: tuple[str, ...]
    dimensions: tuple[str, ...]
    rules: tuple[str, ...]
    lines: View
    drivers: View
    checks: tuple[Check, ...]
    commitments: tuple[Utilisation, ...] = ()
    services: tuple[Service, ...] = ()
    sequence: int = 0
    source: str = field(default="", repr=False)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of the hierarchy, then the other dimensions."""
        return (*self.hierarchy, *self.dimensions)

    @property
    def ok(self) -> bool:
        """Whether every check ties."""
        return all(check.ok for check in self.checks)

    @property
    def nothing(self) -> Decimal:
        """Zero, at the scale of published amounts."""
        return Decimal(0).quantize(min(self.round_to, Decimal(1)))

    @cached_property
    def total(self) -> Decimal:
        """The published total: the sum of `amount`, at every level alike."""
        return self.lines.sum("amount") or self.nothing

    @cached_property
    def exact_total(self) -> Decimal:
        """The total to 15 places."""
        return self.lines.sum("exact")

    @cached_property
    def unallocated(self) -> Decimal:
        """What nobody owns at the top of the hierarchy."""
        return self.unallocated_by(self.hierarchy[0])

    def unallocated_by(self, level: str) -> Decimal:
        """What nobody owns at one level, such as `customer`."""
        require_levels([level], self.levels, STATEMENT)
        owners = grouped(self.lines, [level], ["amount"])
        return next((row["amount"] for row in owners if row[level] == UNALLOCATED), self.nothing)

    @property
    def methods(self) -> tuple[str, ...]:
        """The ids of the methods that were applied, once each."""
        return tuple(sorted({row["method"] for row in grouped(self.lines, ["method"], ["amount"])}))

    @cached_property
    def idle(self) -> Decimal:
        """What commitments cost while they lay idle, whoever pays it."""
        kinds = grouped(self.lines, ["kind"], ["amount"])
        return next((row["amount"] for row in kinds if row["kind"] == IDLE), self.nothing)

    def by(self, *levels: str) -> View:
        """Owners with published and exact amounts; by levels of the plan, `source`, `kind` or `method`.

        This and what follows raise `PlanError` for a level that the statement does not have.
        """
        require_levels(levels, (*self.levels, *SOURCES), STATEMENT)
        rows = grouped(self.lines, list(levels), ["amount", "exact"])
        return View.of(rows, total="amount", columns=(*levels, "amount", "exact"))

    def owner(self, **owner: str) -> Decimal:
        """The published amount of one owner: `statement.owner(team="search")`."""
        require_levels(owner, (*self.levels, *SOURCES), STATEMENT)
        rows = grouped(self.lines, list(owner), ["amount"])
        return next((row["amount"] for row in rows if all(row[k] == v for k, v in owner.items())), self.nothing)

    def showback(self, *levels: str) -> View:
        """A memo of owners by source of cost, with total and share; it moves nothing in any book."""
        require_levels(levels, self.levels, STATEMENT)
        return views.showback(self, levels or self.hierarchy)

    def chargeback(self, *levels: str, invoice: Decimal | str | None = None) -> views.Journal:
        """A balanced journal: credits the sources of cost, debits their owners.

        Raises `PlanError` where `invoice` is given and the journal does not tie to it to the last published digit.
        """
        require_levels(levels, self.levels, STATEMENT)
        return views.chargeback(self, levels or self.hierarchy[:1], invoice)

    def to_arrow(self) -> pa.Table:
        """The lines as an Arrow table; money is decimal."""
        return self.lines.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """The lines as a pandas frame; money stays exact."""
        return self.lines.to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """The lines as a polars frame; money is `Decimal`."""
        return self.lines.to_polars()

    def to_csv(self, path: str | Path | None = None) -> str:
        """The lines as comma-separated text; written to `path` too where it is given."""
        text = self.lines.to_csv()
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_parquet(self, path: str | Path) -> None:
        """The lines as a Parquet file."""
        import pyarrow.parquet as pq

        pq.write_table(self.to_arrow(), path, compression="zstd")

    def __str__(self) -> str:
        return views.to_text(self)

    def _repr_html_(self) -> str:
        return views.to_html(self)


def assemble(  # noqa: PLR0913, PLR0917 - the parts of a statement
    plan: Plan, period: Period, filled: Filled, costs: Mapping[str, int], lines: pa.Table, drivers: pa.Table
) -> Statement:
    """A statement from what the engine divided."""
    round_to = to_decimal(plan.round_to).normalize()
    shown = View(_at(lines, round_to), total="amount")
    return Statement(
        plan=plan.name,
        version=plan.version,
        digest=plan.digest,
        period=period,
        currency=plan.currency,
        basis=plan.basis,
        round_to=round_to,
        hierarchy=plan.hierarchy,
        dimensions=plan.dimensions,
        rules=_rules(plan, period),
        lines=shown,
        drivers=View(drivers),
        checks=tuple(_checks(plan, filled, costs, shown)),
        commitments=tuple(_utilisation(name, one, costs) for name, one in filled.divisions.items()),
        services=_services(filled),
        source=plan.source,
    )


def _at(lines: pa.Table, round_to: Decimal) -> pa.Table:
    """The published column at the scale that it is rounded to."""
    import pyarrow as pa

    exponent = round_to.as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    index = lines.schema.get_field_index("amount")
    return lines.set_column(index, "amount", lines["amount"].cast(pa.decimal128(38, places)))


def _rules(plan: Plan, period: Period) -> tuple[str, ...]:
    return tuple(
        rule.identity for tag in plan.rules.tags for rule in tag.rules if period.overlap(rule.start, rule.until)
    )


def _checks(plan: Plan, filled: Filled, costs: Mapping[str, int], lines: View) -> Iterator[Check]:
    found = {(row["source"], row["kind"]): row for row in grouped(lines, ["source", "kind"], ["exact", "amount"])}
    exact = {key: to_femto(row["exact"]) for key, row in found.items()}
    for (source, kind), amount in _sources(filled, costs).items():
        yield Check(f"{source}: {kind}", amount, exact.get((source, kind), 0))
    yield Check("every charge has a route", sum(costs.values()), sum(map(costs.__getitem__, _routes(plan, costs))))
    if (services := filled.distribution) is not None:
        yield Check("services between pools", sum(services.own.values()), sum(services.to_owners.values()))
    total = sum(exact.values())
    published = sum(to_femto(row["amount"]) for row in found.values())
    sign = -1 if total < 0 else 1
    yield Check("published total", sign * half_up(abs(total), plan.round_to), published)


def _sources(filled: Filled, costs: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """What the lines of each source and kind must come to: the charges that stay where they are, and the pots."""
    found = {(route, route): cost for route, cost in costs.items() if route in KEPT}
    pots: dict[tuple[str, str], int] = {}
    for pot in filled.pots:
        pots[pot.source, pot.kind] = pots.get((pot.source, pot.kind), 0) + pot.amount
    return found | pots


def _routes(plan: Plan, costs: Mapping[str, int]) -> list[str]:
    """The routes of charges that a plan knows."""
    taken = {pool.name for pool in plan.pools if pool.cost.take is not None}
    covered = {one.name for one in plan.commitments}
    return [name for name in costs if name in KEPT or name in taken or name in covered]


def _utilisation(name: str, division: Division, costs: Mapping[str, int]) -> Utilisation:
    on_demand = costs.get(name)
    used = sum(division.use.values())
    break_even = division.break_even(on_demand) if on_demand else None
    return Utilisation(
        name,
        to_decimal(division.cost),
        to_decimal(division.idle),
        division.policy,
        _decimal(division.capacity),
        _decimal(used),
        _decimal(division.utilisation),
        None if on_demand is None else to_decimal(on_demand),
        None if break_even is None else _decimal(break_even),
    )


def _decimal(number: Any) -> Decimal:
    """A fraction to nine places: for people; amounts are never made this way."""
    return Decimal(round(number * 10**9)).scaleb(-9).normalize()


def _services(filled: Filled) -> tuple[Service, ...]:
    if filled.distribution is None:
        return ()
    one = filled.distribution
    return tuple(
        Service(pool, one.method, to_decimal(one.own[pool]), _decimal(one.gross[pool] / FEMTO), to_decimal(out))
        for pool, out in one.to_owners.items()
    )
