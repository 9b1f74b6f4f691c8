"""The allocation plan: a TOML file that a FinOps analyst writes, reads out and defends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from spanledger import _toml
from spanledger.errors import PlanError
from spanledger.finops import services
from spanledger.finops._conditions import ALWAYS, Field, Fields, When, read_when
from spanledger.finops._reading import Section
from spanledger.finops._waste import waste_sql
from spanledger.finops.commitments import Commitment, read_commitments
from spanledger.finops.costs import Cost, read_cost
from spanledger.finops.drivers import Bases, Basis, Measure, is_measured, read_bases, require
from spanledger.finops.rules import Rules, read_rules

UNALLOCATED: Final = "(unallocated)"
"""The owner of what no rule and no tag assigns. It is never spread unless a pool says so."""
SHARED: Final = "(shared)"
"""What stands below the level that a cost was shared to: the team owns it, no one feature does."""
BASES: Final = ("list_cost", "contracted_cost", "effective_cost")
FIXED: Final = "fixed"
RESERVED: Final = (
    *("source", "kind", "method", "exact", "amount", "charges", "unpriced"),
    *("driver", "first_day", "end_day", "pot_amount", "weight", "total", "part"),
)
"""Columns of every statement and its drivers: no level may have such a name."""
HUNDRED: Final = 100
WASTE_LEVEL: Final = "waste"
"""A level that every plan may have: whether a charge was paid for nothing, see `spanledger.finops.chains.waste`."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a pool, from 0 to 1, and the drivers to share it by: the first that anyone has any of."""

    part: Fraction
    drivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """A cost that many owners share. Fields as in the plan: `docs/reference/allocation.md`."""

    name: str
    cost: Cost
    components: tuple[Component, ...]
    to: str = ""
    within: str = ""
    among: When = ALWAYS
    per_day: bool = False
    owners: tuple[str, ...] = ()
    fixed: Basis | None = None
    start: date | None = None
    until: date | None = None
    serves: Mapping[str, Fraction] = field(default_factory=dict)
    note: str = ""

    def measures(self) -> list[Measure]:
        """What the ledger must be asked for."""
        drivers = [*chain.from_iterable(component.drivers for component in self.components), self.within]
        return [Measure(driver, self.among) for driver in drivers if is_measured(driver)]


@dataclass(frozen=True, slots=True)
class Sample:
    """A charge, and the owners that the rules must give it."""

    name: str
    charge: Mapping[str, Any]
    expect: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who owns what: virtual tags, drivers, pools, commitments, and the shape and rounding of the statement.

    Make one with `Plan.load("plan.toml")` or `Plan.from_dict({...})`; both raise `PlanError` that names file, place and
    field.
    """

    name: str
    version: str
    currency: str
    basis: str
    hierarchy: tuple[str, ...]
    dimensions: tuple[str, ...]
    round_to: int
    rules: Rules
    fields: Mapping[str, Field]
    drivers: Bases
    pools: tuple[Pool, ...]
    commitments: tuple[Commitment, ...]
    services: str
    order: tuple[str, ...]
    inherit: tuple[str, ...]
    samples: tuple[Sample, ...]
    file: str
    digest: str
    source: str = ""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Plan:
        """A plan from a TOML file; other files that it names stand beside it."""
        file = Path(path)
        return _read(_toml.load(file, PlanError), file.name, file.parent, file.read_text(encoding="utf-8"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, file: str = "plan", folder: str | Path = ".") -> Plan:
        """A plan from the tables that the TOML file would have."""
        return _read(data, file, Path(folder), repr(data))

    @property
    def levels(self) -> tuple[str, ...]:
        """Every dimension of a statement, the hierarchy first."""
        return (*self.hierarchy, *self.dimensions)

    def kept(self, to: str) -> tuple[str, ...]:
        """The dimensions that a cost shared to `to` has: itself and what is above it; all of them where it is empty."""
        if not to:
            return self.levels
        return self.hierarchy[: self.hierarchy.index(to) + 1] if to in self.hierarchy else (to,)


GivenPlan: TypeAlias = "Plan | str | PathLike[str] | Mapping[str, Any]"
"""A plan, its file, or its tables."""


def as_plan(plan: GivenPlan) -> Plan:
    """A plan, given as one, as its file or as its tables."""
    if isinstance(plan, Plan):
        return plan
    return Plan.from_dict(plan) if isinstance(plan, Mapping) else Plan.load(plan)


def _read(data: Mapping[str, Any], file: str, folder: Path, source: str) -> Plan:
    top, fields = Section(file, "", data), Fields()
    head = top.inner("plan", top.take("plan", dict, "a table [plan]"))
    rules = read_rules(top, fields, folder)
    hierarchy, dimensions = _read_levels(head)
    levels = {name: _level(head, "hierarchy", name, fields) for name in hierarchy}
    levels |= {name: _level(head, "dimensions", name, fields) for name in dimensions}
    drivers = _read_drivers(top, folder, levels)
    pools = tuple(_read_pool(section, fields, drivers, levels, folder) for section in top.sections("pools", "pool"))
    commitments = read_commitments(top, fields, drivers, list(levels))
    method, order = _read_services(top, pools)
    plan = Plan(
        name=head.text("name"),
        version=str(head.take("version", (str, int, date), "a version, such as 2026-11-01")),
        currency=head.text("currency", "USD"),
        basis=head.choice("basis", BASES, "effective_cost"),
        hierarchy=hierarchy,
        dimensions=dimensions,
        round_to=head.money("round_to", 10**13),
        rules=rules,
        fields=levels,
        drivers=drivers,
        pools=pools,
        commitments=commitments,
        services=method,
        order=order,
        inherit=_read_inherit(head),
        samples=tuple(_read_sample(section, rules) for section in top.sections("samples", "sample")),
        file=file,
        digest=hashlib.sha256(source.encode()).hexdigest(),
        source=source,
    )
    head.done()
    top.done()
    _refuse_twins(top, plan)
    return plan


def _read_levels(head: Section) -> tuple[tuple[str, ...], tuple[str, ...]]:
    hierarchy, dimensions = head.texts("hierarchy"), head.texts("dimensions", [])
    levels = [*hierarchy, *dimensions]
    if not hierarchy or len(set(levels)) < len(levels):
        raise head.error("hierarchy", "takes at least one level, the highest first, and each once")
    return hierarchy, dimensions


def _level(head: Section, where: str, name: str, fields: Fields) -> Field:
    if name in RESERVED:
        raise head.error(where, f"has {name!r}, which is a column of every statement: choose another name")
    if name == WASTE_LEVEL and name not in fields.derived:
        return Field(name, "text", waste_sql(), lambda _: None)
    field = fields.find(head, where, name)
    if field.kind != "text":
        raise head.error(where, f"has {name!r}, which is no text: make a virtual tag of it")
    return field


def _read_inherit(head: Section) -> tuple[str, ...]:
    inherit = head.texts("inherit", [])
    for name in inherit:
        if name not in ("team", "feature", "customer", "environment", "user_id", "session_id"):
            raise head.error("inherit", f"has {name!r}: a trace passes on team, feature, customer, environment, ...")
    return inherit


def _read_drivers(top: Section, folder: Path, levels: Mapping[str, Field]) -> dict[str, tuple[Basis, ...]]:
    drivers = read_bases(top, folder)
    for name, versions in drivers.items():
        for basis in versions:
            if basis.to not in levels:
                what = f"is {basis.to!r}, and must be a level of the plan: {', '.join(levels)}"
                raise top.error(f"driver {name!r}: to", what)
    return drivers


def _read_pool(section: Section, fields: Fields, drivers: Bases, levels: Mapping[str, Field], folder: Path) -> Pool:
    name, to = section.text("name"), section.choice("to", levels, "")
    fixed, serves = _read_percent(section, to)
    pool = Pool(
        name=name,
        cost=read_cost(section, fields, folder),
        components=_read_components(section, drivers, fixed),
        to=to,
        within=section.text("within", ""),
        among=read_when(section, fields, "among"),
        per_day=section.choice("per", ("day", "period"), "period") == "day",
        owners=section.texts("owners", []),
        fixed=fixed,
        start=section.day("from"),
        until=section.day("until"),
        serves=serves,
        note=section.text("note", ""),
    )
    section.done()
    _check_targets(section, pool, drivers)
    return pool


def _read_percent(section: Section, to: str) -> tuple[Basis | None, dict[str, Fraction]]:
    """`percent` is who pays and `serves` which pools use it, both in percent; together they are all of the pool."""
    percent, serves = section.numbers("percent", None), section.numbers("serves", {})
    total = sum([*(percent or {}).values(), *serves.values()], Decimal(0))
    passed = {pool: Fraction(share) / HUNDRED for pool, share in serves.items()}
    if total > HUNDRED or (percent is not None and total != HUNDRED):
        raise section.error(
            "percent" if percent else "serves", f"comes to {total}: percent and serves make 100 together"
        )
    if percent is None:
        return None, passed
    if not to:
        raise section.error("to", "is missing: which level are the owners under percent?")
    return Basis(FIXED, to, percent), passed


def _read_components(section: Section, drivers: Bases, fixed: Basis | None) -> tuple[Component, ...]:
    """`driver` is one name, or a table of names to weights; `fallback` comes after each of them."""
    if fixed is not None:
        return (Component(Fraction(1), (FIXED,)),)
    given = section.take("driver", (str, dict), "a driver, or a table such as { tokens = 0.5, requests = 0.5 }")
    mix = section.weights("driver", given) if isinstance(given, dict) else {given: Decimal(1)}
    fallback = section.texts("fallback", [])
    for where, names in (("driver", mix), ("fallback", fallback)):
        for name in names:
            require(section, where, name, drivers)
    total = sum(Fraction(weight) for weight in mix.values())
    if not total:
        raise section.error("driver", "has no weight above zero")
    return tuple(Component(Fraction(weight) / total, (name, *fallback)) for name, weight in mix.items())


def _check_targets(section: Section, pool: Pool, drivers: Bases) -> None:
    for name in chain.from_iterable(component.drivers for component in pool.components):
        basis = drivers.get(name)
        if basis and pool.to and basis[0].to != pool.to:
            raise section.error("to", f"is {pool.to!r}, but driver {name!r} is by {basis[0].to!r}")
    if pool.within and not is_measured(pool.within):
        raise section.error("within", f"is {pool.within!r}, which is no driver that the ledger measures")
    if pool.owners and not pool.to:
        raise section.error("owners", "needs to: which level are they?")


def _read_services(top: Section, pools: tuple[Pool, ...]) -> tuple[str, tuple[str, ...]]:
    section = top.inner("services", top.take("services", dict, "a table [services]", {}))
    names = [pool.name for pool in pools]
    method = section.choice("method", services.METHODS, services.DIRECT)
    order = section.texts("order", [])
    section.done()
    for pool in pools:
        for other in pool.serves:
            if other not in names or other == pool.name:
                raise top.error(f"pool {pool.name!r}: serves", f"names {other!r}, which is no other pool")
    serving = sorted({pool.name for pool in pools if pool.serves} | {name for pool in pools for name in pool.serves})
    if method == services.STEP_DOWN and sorted(order) != serving:
        raise section.error("order", f"takes every pool that serves or is served, once: {', '.join(serving)}")
    return method, order


def _read_sample(section: Section, rules: Rules) -> Sample:
    sample = Sample(
        section.text("name"),
        section.take("charge", dict, "the columns of a charge"),
        section.take("expect", dict, "a table of virtual tag to owner"),
    )
    section.done()
    tags = [tag.name for tag in rules.tags]
    for name in sample.expect:
        if name not in tags:
            raise section.error("expect", f"names {name!r}, which is no virtual tag: {', '.join(tags)}")
    return sample


def _refuse_twins(top: Section, plan: Plan) -> None:
    seen = {"direct", "seats"}
    for name in [*(pool.name for pool in plan.pools), *(commitment.name for commitment in plan.commitments)]:
        if name in seen:
            raise top.error(f"{name!r}", "is the name of two sources of cost, or reserved: rename one")
        seen.add(name)
