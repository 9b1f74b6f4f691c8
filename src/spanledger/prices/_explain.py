"""How a price came about: for each unit the row and layer that price it, and the arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from spanledger._types import Priced, Quantity, Usage
from spanledger._units import UNITS, money_text
from spanledger.prices._book import EVER, LAYERS, PER, Multiplier, Row, day_of, load_platform
from spanledger.prices._calculate import INPUT, Choice, factors_of, multiplied, rank, stand_in
from spanledger.prices._engine import Engine, Ingredients, Names


class Component(NamedTuple):
    """One unit of a usage: what prices it, `None` where nothing does."""

    unit: str
    quantity: Quantity
    row: Row | None
    rate: str
    factors: tuple[Multiplier, ...]
    amount: int | None

    def __str__(self) -> str:
        name = self.unit.partition("@")[0]
        per = PER.get(UNITS[name].per, 1) if name in UNITS else 1
        if self.row is None:
            return f"{self.unit}: {self.quantity} at no known price"
        factors = "".join(f" x {one.factor(name)} ({one.name})" for one in self.factors)
        amount = "?" if self.amount is None else money_text(self.amount)
        rate = f"{self.rate} / {per:,}" if per > 1 else self.rate
        where = f"[{LAYERS[self.row.layer]}] {self.row.id}: {self.row.source}"
        return f"{self.unit}: {self.quantity} x {rate}{factors} = {amount}   {where}"


class Explanation(NamedTuple):
    """A price with the arithmetic behind it."""

    priced: Priced
    dims: Mapping[str, str]
    components: tuple[Component, ...]
    version: str

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self.dims.items()) or "nothing but the model"
        lines = [f"{self.priced.billed_model or 'unknown model'}, priced by {said}; book {self.version}"]
        lines += [f"  {component}" for component in self.components]
        total = "unknown" if self.priced.list_cost is None else f"{money_text(self.priced.list_cost)} USD"
        lines.append(f"  = {total} ({self.priced.status}{': ' + self.priced.reason if self.priced.reason else ''})")
        if self.priced.contracted_cost not in {None, self.priced.list_cost}:
            lines.append(f"  contracted {money_text(self.priced.contracted_cost or 0)}   {self.priced.price_ref}")
        return "\n".join(lines)


def explain(engine: Engine, usage: Usage, names: Names, context: Mapping[str, str], at_ns: int) -> Explanation:
    """Prices a usage and says how."""
    priced = engine.rate(usage, names, context, at_ns)
    found = engine.ingredients(names, context)
    components = []
    for unit, quantity in usage.units.items():
        name, _, model = unit.partition("@")
        part = engine.ingredients((names[0], model, None), context) if model else found
        row, rate, factors = _chosen(part, name, _sent(usage, model), at_ns)
        components.append(Component(unit, quantity, row, rate, factors, (priced.costs or {}).get(unit)))
    return Explanation(priced, found.dims, tuple(components), engine.version)


def _sent(usage: Usage, model: str) -> int:
    """The input tokens that decide the context band of a model's part."""
    parts = ((*unit.partition("@")[::2], quantity) for unit, quantity in usage.units.items())
    return sum(int(quantity) for name, of, quantity in parts if of == model and name in INPUT)


def _chosen(found: Ingredients, unit: str, sent: int, at_ns: int) -> tuple[Row | None, str, tuple[Multiplier, ...]]:
    for dims in (found.dims, {**found.dims, **found.book.needs}):
        factors = factors_of(found.model or "", found.book, dims, at_ns)
        held = sorted((row for row in found.rows if row.holds(dims, at_ns) and _in_band(row, sent)), key=rank)
        name = unit
        while name:
            row = next((row for row in reversed(held) if name in row.rates), None)
            if row is not None:
                choice = Choice(row, row.rates[name])
                return row, choice.rate, tuple(multiplied(name, choice, factors, dims)[3])
            name = stand_in(name)
    return None, "", ()


def _in_band(row: Row, sent: int) -> bool:
    return not row.above or sent > row.above


def rows_named(engine: Engine, model: str, provider: str | None = None) -> Iterator[Row]:
    """Every row, in every layer, of a model by any of its names, on one provider or on all."""
    from spanledger.prices._book import index
    from spanledger.prices._identity import platform_of, resolve

    for platform in [platform_of(provider)] if provider else index(engine.home)["platforms"]:
        book = engine.platform(platform)
        yours = engine.layers.names.get(platform, {})
        name = resolve(yours, model) or resolve(book.names, model)
        if name is not None:
            yield from book.rows.get(name, ())
            yield from engine.layers.rows.get(platform, {}).get(name, ())


def in_force(rows: Iterable[Row], at_ns: int) -> list[Row]:
    """Those rows that hold at an instant."""
    return [row for row in rows if row.start <= at_ns < row.end]


def lines_of(row: Row) -> str:
    """A row for people."""
    rates = ", ".join(f"{unit} {rate}" for unit, rate in row.rates.items())
    since = day_of(row.start) if row.start else "always"
    until = f" until {day_of(row.end)}" if row.end < EVER else ""
    return f"{row.id}: {rates}  ({since}{until}; {LAYERS[row.layer]}: {row.source})"


class Change(NamedTuple):
    """A rate that two books do not agree on: `None` where a book does not have it."""

    row: str
    unit: str
    before: str | None
    after: str | None


def changes(before: Engine, after: Engine) -> Iterator[Change]:
    """What differs between two books, row by row."""
    from spanledger.prices._book import index

    for platform in sorted({*index(before.home)["platforms"], *index(after.home)["platforms"]}):
        old, new = (_rates(load_platform(platform, engine.home).rows.values()) for engine in (before, after))
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield Change(*key, old.get(key), new.get(key))


def _rates(models: Iterable[tuple[Row, ...]]) -> dict[tuple[str, str], str]:
    return {(row.id, unit): rate for rows in models for row in rows for unit, rate in row.rates.items()}
