"""What a user puts over the book: price rows, contracts, and the models behind deployment names and profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from spanledger._nearest import nearest
from spanledger._types import Priced
from spanledger._units import UNITS
from spanledger.errors import ConfigurationError
from spanledger.prices._book import CONTRACT, EVER, HOURS, USER, Row, instant
from spanledger.prices._context import DIMENSION
from spanledger.prices._identity import platform_of
from spanledger.prices._period import number

RATE: Final = re.compile(r"^\d+(\.\d+)?(/[1-9]\d*)?$")
ANY: Final = "*"
DIMENSIONS: Final = tuple(dict.fromkeys((*DIMENSION.values(), "provisioned", HOURS)))


@dataclass(frozen=True, slots=True)
class Contract:
    """What was agreed with a provider: a discount on list prices, committed rates, or both, for a time.

    `discount` is a part of one (`0.12` is 12 %), for all units but those in `excludes`. `models` empty means all.
    `account` restricts it to calls whose context names that account. Dates are UTC days, `end` exclusive.
    """

    name: str
    platform: str = ANY
    discount: Decimal = Decimal(0)
    models: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    account: str | None = None
    start: int = 0
    end: int = EVER
    rows: tuple[Row, ...] = ()

    def holds(self, platform: str, model: str | None, account: str | None, at_ns: int) -> bool:
        """Whether a call is under this contract."""
        return (
            self.platform in {ANY, platform}
            and self.start <= at_ns < self.end
            and (not self.models or model in self.models)
            and self.account in {None, account}
        )

    def applied(self, priced: Priced, committed: Priced) -> Priced:
        """Contracted and effective cost: each unit at its committed rate, else at list, less the discount.

        Each unit is rounded half to even at 1e-15.
        """
        if priced.list_cost is None or committed.costs is None:
            return priced
        kept = 1 - Fraction(self.discount)
        cost = sum(
            amount if unit.partition("@")[0] in self.excludes else round(amount * kept)
            for unit, amount in committed.costs.items()
        )
        reference = f"{priced.price_ref}; contract {self.name}"
        return priced._replace(contracted_cost=cost, effective_cost=cost, price_ref=reference)


@dataclass(slots=True)
class Layers:
    """Everything that stands over the book. A change of it makes the engine forget its plans."""

    rows: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is known of the calls of a name, or of a platform (`azure/`), that their responses do not say."""
    contracts: list[Contract] = field(default_factory=list)

    def add_row(self, row: Row, names: Iterable[str] = ()) -> None:
        """Puts a row over the book."""
        self.rows.setdefault(row.platform, {}).setdefault(row.model, []).append(row)
        known = self.names.setdefault(row.platform, {})
        known.update(dict.fromkeys((row.model, *(name.lower() for name in names)), row.model))

    def remove(self, rows: Iterable[Row], contracts: Iterable[Contract]) -> None:
        """Takes these very rows and contracts away; equal ones that came otherwise stay."""
        for row in rows:
            of_platform = self.rows[row.platform]
            of_platform[row.model] = [one for one in of_platform[row.model] if one is not row]
            if not of_platform[row.model]:
                known = self.names[row.platform]
                self.names[row.platform] = {name: model for name, model in known.items() if model != row.model}
        gone = {id(contract) for contract in contracts}
        self.contracts[:] = [one for one in self.contracts if id(one) not in gone]

    def copy(self) -> Layers:
        """The same layers, to be changed apart."""
        rows = {platform: {model: list(kept) for model, kept in of.items()} for platform, of in self.rows.items()}
        names = {platform: dict(known) for platform, known in self.names.items()}
        facts = {name: dict(known) for name, known in self.facts.items()}
        return Layers(rows, names, dict(self.aliases), facts, list(self.contracts))


FACTS: Final = ("deployment_type", "region", "commitment", "account")


def facts_of(fields: Mapping[str, Any], where: str) -> dict[str, str]:
    """What a user knows of calls, checked: `deployment_type`, `region`, `commitment`, `account`."""
    wrong = sorted(fields.keys() - set(FACTS))
    if wrong:
        msg = f"{where}: no such field: {', '.join(wrong)}; use {', '.join(FACTS)}"
        raise ConfigurationError(msg)
    return {name: str(value) for name, value in fields.items()}


def row_of(fields: Mapping[str, Any], where: str, layer: int = USER) -> tuple[Row, tuple[str, ...]]:
    """A price row and its other names from keywords or a TOML table; `where` is what an error calls it."""
    left = dict(fields)
    model, provider = _text(left, "model", where), _text(left, "provider", where)
    names = _words(left, "names", where)
    when = {_dimension(str(name), where): str(value) for name, value in _mapping(left, "when", where).items()}
    above = _tokens(left, "above", where)
    start, end = _period(left, where)
    source = str(left.pop("source", "yours"))
    rates = {**_mapping(left, "rates", where), **left}
    if not rates:
        msg = f"{where}: no rate: give at least one unit, such as input='2.50' (per million tokens)"
        raise ConfigurationError(msg)
    checked = {unit: _rate(unit, rate, where) for unit, rate in rates.items()}
    return Row(platform_of(provider), model.lower(), checked, when, above, start, end, source, layer), names


def contract_of(fields: Mapping[str, Any], where: str) -> Contract:
    """A contract from keywords or a TOML table."""
    left = dict(fields)
    name = str(left.pop("name", "contract"))
    platform = platform_of(str(left.pop("provider", ANY)))
    start, end = _period(left, where)
    models = frozenset(model.lower() for model in _words(left, "models", where))
    rates = _mapping(left, "rates", where)
    if rates and (platform == ANY or not models):
        msg = f"{where}: rates are for certain models: name provider and models too"
        raise ConfigurationError(msg)
    checked = {unit: _rate(unit, rate, where) for unit, rate in rates.items()}
    rows = [Row(platform, model, checked, {}, 0, start, end, name, CONTRACT) for model in sorted(models) if rates]
    contract = Contract(
        name,
        platform,
        _discount(left.pop("discount", 0), where),
        models,
        frozenset(_unit(unit, where) for unit in _words(left, "excludes", where)),
        left.pop("account", None),
        start,
        end,
        tuple(rows),
    )
    if left:
        msg = f"{where}: no such field: {', '.join(sorted(left))}"
        raise ConfigurationError(msg)
    return contract


def _text(left: dict[str, Any], name: str, where: str) -> str:
    value = left.pop(name, None)
    if not isinstance(value, str) or not value:
        msg = f"{where}: {name} is missing: say whose or which model this is for"
        raise ConfigurationError(msg)
    return value


def _words(left: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    """Several words. A single text is refused: taken for several it would be its letters."""
    value = left.pop(name, ())
    if isinstance(value, str) or not isinstance(value, Iterable):
        msg = f"{where}: {name} is {value!r}: write a list, such as {name}=[{str(value)!r}]"
        raise ConfigurationError(msg)
    return tuple(str(one) for one in value)


def _mapping(left: dict[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = left.pop(name, {})
    if not isinstance(value, Mapping):
        msg = f"{where}: {name} is {value!r}: write a table of names and values"
        raise ConfigurationError(msg)
    return value


def _tokens(left: dict[str, Any], name: str, where: str) -> int:
    value = left.pop(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"{where}: {name} is {value!r}: write a number of tokens, such as 272000"
        raise ConfigurationError(msg)
    return value


def _period(left: dict[str, Any], where: str) -> tuple[int, int]:
    """The days between which something holds: `valid_from` (or `from`), and `valid_to` (or `to`), exclusive."""
    start = left.pop("valid_from", None) or left.pop("from", None)
    end = left.pop("valid_to", None) or left.pop("to", None)
    return _day(start, "valid_from", 0, where), _day(end, "valid_to", EVER, where)


def _day(value: Any, name: str, default: int, where: str) -> int:
    try:
        return instant(value.isoformat() if isinstance(value, date) else value, default)
    except (ValueError, AttributeError):
        msg = f"{where}: {name} is {value!r}: write a day such as 2026-12-01"
        raise ConfigurationError(msg) from None


def _dimension(name: str, where: str) -> str:
    """A dimension of prices: a row for one that no call has would never apply."""
    if name in DIMENSIONS:
        return name
    near = DIMENSION.get(name) or nearest(name, DIMENSIONS)
    msg = f"{where}: when: {name} is no dimension: {f'did you mean {near}?' if near else ', '.join(DIMENSIONS)}"
    raise ConfigurationError(msg)


def _unit(unit: str, where: str) -> str:
    if unit not in UNITS:
        near = nearest(unit, UNITS)
        msg = f"{where}: {unit} is no unit" + (f": did you mean {near}?" if near else "")
        raise ConfigurationError(msg)
    return unit


def _rate(unit: str, rate: Any, where: str) -> str:
    _unit(unit, where)
    text = format(rate, "f") if isinstance(rate, Decimal) else str(rate)
    if isinstance(rate, (float, bool)) or not RATE.match(text):
        msg = f"{where}: {unit} is {rate!r}: write the price as text, such as {unit}='2.50'"
        raise ConfigurationError(msg)
    return text


def part_of_one(value: Any) -> Decimal | None:
    """From 0 to 1, exact; `None` for a float, for text that is no number and for what is beyond."""
    found = number(value)
    return found if found is not None and found.is_finite() and 0 <= found <= 1 else None


def _discount(value: Any, where: str) -> Decimal:
    discount = part_of_one(value)
    if discount is None or discount == 1:
        msg = f"{where}: discount is {value!r}: write a part of one as text, such as '0.12' for 12 %"
        raise ConfigurationError(msg)
    return discount
