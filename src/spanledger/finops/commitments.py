"""Provisioned throughput: what is paid for whether it is used or not, with the idle part always in sight.

Azure PTU, Bedrock model units, Vertex GSU and self-hosted GPUs are alike: units that are held for hours at a price. The
part that was used goes to its users; `idle` says who pays the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from spanledger.finops._conditions import Fields, When, read_when
from spanledger.finops._exact import largest_remainder
from spanledger.finops._periods import Period
from spanledger.finops._reading import Section
from spanledger.finops.drivers import Bases, Measure, is_measured, require

Use = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Commitment:
    """Capacity that is held and paid. Fields as in the plan: `docs/reference/allocation.md`."""

    name: str
    owner: str
    to: str
    idle: str
    units: Fraction
    hours: Fraction | None
    amount: int | None
    price: int | None
    covers: When
    used: Mapping[str, Fraction]
    rates: Mapping[str, Fraction]
    reservations: Mapping[str, Fraction]
    within: str = ""
    note: str = ""

    def capacity(self, period: Period) -> Fraction:
        """Unit-hours that were held."""
        return self.units * (self.hours if self.hours is not None else period.days * 24)

    def cost(self, period: Period) -> int:
        """What was paid, in integers of 1e-15: an amount a month, or units by hours by price."""
        if self.amount is not None:
            return round(self.amount * period.months())
        return round(self.capacity(period) * (self.price or 0))

    def measures(self) -> list[Measure]:
        """What the ledger must be asked for: the use, over the charges that the commitment covers."""
        within = [self.within] if self.within else []
        return [Measure(driver, self.covers) for driver in (*self.rates, *within)]

    def use(self, measured: Mapping[str, Mapping[str, int]]) -> dict[str, Fraction]:
        """Unit-hours that each owner used: as stated, or measured, at the unit-hours that one of each driver takes."""
        used = dict(self.used)
        for driver, rate in self.rates.items():
            for owner, quantity in measured[driver].items():
                used[owner] = used.get(owner, Fraction(0)) + quantity * rate
        return {owner: use for owner, use in used.items() if use}


@dataclass(frozen=True, slots=True)
class Division:
    """A commitment of one period: what was paid for use, and for what lay idle, and who shares in each by what.

    Amounts are integers of 1e-15; `used` and `idle` sum to `cost`. `policy` is the one that was applied: `owner` where
    the stated one had nobody to charge. `idle_by` has the weights of those who pay for the idle part.
    """

    cost: int
    capacity: Fraction
    used: int
    idle: int
    use: Use
    idle_by: Use
    policy: str

    @property
    def utilisation(self) -> Fraction:
        """Used unit-hours over held ones; above 1 where more was used than held."""
        return sum(self.use.values(), Fraction(0)) / self.capacity if self.capacity else Fraction(0)

    def break_even(self, on_demand: int) -> Fraction | None:
        """The utilisation at which the commitment costs what the same use costs on demand.

        `on_demand` is what the use of this period costs at list price, in integers of 1e-15. `None` where nothing was
        used, because then there is no price to compare with.
        """
        return self.utilisation * Fraction(self.cost, on_demand) if on_demand else None


def divide(commitment: Commitment, period: Period, use: Use) -> Division:
    """Divides what a commitment costs in a period among its users and by its idle policy."""
    cost, capacity = commitment.cost(period), commitment.capacity(period)
    total = sum(use.values(), Fraction(0))
    busy = min(Fraction(1), total / capacity) if capacity else Fraction(0)
    parts = largest_remainder(cost, {"used": busy, "idle": 1 - busy})
    weights = IDLE[commitment.idle](commitment, capacity, use)
    policy = commitment.idle if any(weights.values()) else "owner"
    if policy == "owner":
        weights = {commitment.owner: Fraction(1)}
    return Division(cost, capacity, parts["used"], parts["idle"], dict(use), weights, policy)


def _owner(commitment: Commitment, _capacity: Fraction, _use: Use) -> dict[str, Fraction]:
    return {commitment.owner: Fraction(1)}


def _proportional(_commitment: Commitment, _capacity: Fraction, use: Use) -> dict[str, Fraction]:
    return dict(use)


def _reserved(commitment: Commitment, _capacity: Fraction, _use: Use) -> dict[str, Fraction]:
    return dict(commitment.reservations)


def _unused_reservation(commitment: Commitment, capacity: Fraction, use: Use) -> dict[str, Fraction]:
    held = {owner: share * capacity / 100 for owner, share in commitment.reservations.items()}
    return {owner: max(share - use.get(owner, Fraction(0)), Fraction(0)) for owner, share in held.items()}


def _even(commitment: Commitment, _capacity: Fraction, use: Use) -> dict[str, Fraction]:
    return dict.fromkeys(commitment.reservations or use, Fraction(1))


IDLE: Final[Mapping[str, Callable[[Commitment, Fraction, Use], dict[str, Fraction]]]] = {
    "owner": _owner,
    "proportional": _proportional,
    "reserved": _reserved,
    "unused_reservation": _unused_reservation,
    "even": _even,
}
"""Who pays for what lay idle: weights of owners."""


def read_commitments(plan: Section, fields: Fields, drivers: Bases, levels: Iterable[str]) -> tuple[Commitment, ...]:
    """The `[[commitments]]` of a plan."""
    known = list(levels)
    return tuple(_read(section, fields, drivers, known) for section in plan.sections("commitments", "commitment"))


def _read(section: Section, fields: Fields, drivers: Bases, levels: list[str]) -> Commitment:
    hours = section.number("hours", None)
    commitment = Commitment(
        name=section.text("name"),
        owner=section.text("owner"),
        to=section.choice("to", levels, levels[0]),
        idle=section.choice("idle", IDLE, "owner"),
        units=Fraction(section.number("units", 1)),
        hours=None if hours is None else Fraction(hours),
        amount=section.money("amount", None),
        price=section.money("price", None),
        covers=read_when(section, fields, "covers"),
        used=_fractions(section.numbers("used", {})),
        rates=_read_rates(section, drivers),
        reservations=_fractions(section.numbers("reservations", {})),
        within=section.text("within", ""),
        note=section.text("note", ""),
    )
    section.done()
    _check(section, commitment)
    return commitment


def _read_rates(section: Section, drivers: Bases) -> dict[str, Fraction]:
    """`per_unit_hour = { input_tokens = 600000, output_tokens = 150000 }`: what one unit serves in an hour."""
    rates = section.numbers("per_unit_hour", {})
    for driver, served in rates.items():
        require(section, "per_unit_hour", driver, drivers)
        if not is_measured(driver) or not served:
            raise section.error(f"per_unit_hour.{driver}", "takes what the ledger measures, and a number above zero")
    return {driver: 1 / Fraction(served) for driver, served in rates.items()}


def _fractions(numbers: Mapping[str, Decimal]) -> dict[str, Fraction]:
    return {owner: Fraction(number) for owner, number in numbers.items()}


def _check(section: Section, commitment: Commitment) -> None:
    if (commitment.amount is None) == (commitment.price is None):
        raise section.error("price", "or amount: a commitment takes one, a price of a unit-hour or an amount a month")
    if bool(commitment.used) == bool(commitment.rates):
        raise section.error("per_unit_hour", "or used: a commitment takes one, to know what was used")
    if commitment.rates and not commitment.covers.alternatives:
        raise section.error("covers", "is missing: which charges does it pay for?")
    if commitment.idle in ("reserved", "unused_reservation") and not commitment.reservations:
        raise section.error("reservations", f"is missing, and idle = {commitment.idle!r} goes by it")
    if sum(commitment.reservations.values()) > 100:  # noqa: PLR2004 - percent
        raise section.error("reservations", "come to more than 100 percent")
    if commitment.within and not is_measured(commitment.within):
        raise section.error("within", f"is {commitment.within!r}, which is no driver that the ledger measures")
