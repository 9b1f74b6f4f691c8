"""Exact arithmetic: rows and multipliers compiled once for a call's model, context and date, then integers only.

A `Plan` holds whole numbers of 1e-15 of the currency's unit for each billable unit. Rates that are not whole at that
precision (some durations) stay exact fractions, and the one amount made of them is rounded half to even.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from spanledger._types import Priced, Quantity, Usage
from spanledger._units import UNITS
from spanledger.prices._book import CONTRACT, DAY, EVER, HOURS, USER, Multiplier, Platform, Row, hours_of, per_unit

Rate = int | Fraction
Rates = dict[str, Rate]

INPUT: Final = frozenset(unit.name for unit in UNITS.values() if unit.side == "input")
"""The units whose sum decides the context band."""

FLAT: Final = frozenset(
    {"call", "query", "prompt", "request", "minute", "hour", "GB-day", "token-hour", "page", "routed token"}
)
"""What is charged the same in every tier, batch or geography, unless a row says otherwise."""

ASSUMED: Final[Mapping[str, str]] = {"cache_read": "input", "cache_write": "input"}
"""What a model without a price for its cache charges, as far as anyone knows: its price of input. An estimate."""

FEE: Final = "the fee of a request depends on its search context"
"""Why the price of a model that charges for the request itself, beside its tokens, is an estimate."""

SILENT: Final = frozenset({"region", "size", "quality"})
"""Dimensions that only narrow others: a price that does not name them holds for all of them."""


class Band(NamedTuple):
    """The rates of one context band: where more than `above` input tokens were sent."""

    above: int
    rates: Rates
    doubts: dict[str, str]
    """Why a unit's rate is only an estimate."""
    ids: dict[str, str]
    """The row and multipliers behind each unit's rate."""
    plain: dict[str, int]
    """The whole rates that are in no doubt and come from the row that prices the input: all that most calls need."""
    reference: str
    """The price reference of those."""


NOTHING: Final = Band(0, {}, {}, {}, {}, "")
"""A band in which nothing has a rate."""


class Plan(NamedTuple):
    """The compiled price of one model in one context, for calls from `start` to `end`. Bands stand highest first."""

    model: str | None
    bands: tuple[Band, ...] = (NOTHING,)
    start: int = 0
    end: int = EVER
    reason: str | None = None
    provisioned: bool = False
    narrow: int = EVER
    """As many units as fit the narrowest band, whichever they are."""
    routed: bool = False
    """Whether a router chose the model, for a fee on what it read."""


class Choice(NamedTuple):
    """The row that prices a unit in one band."""

    row: Row
    rate: str


def compile_plan(model: str, rows: Iterable[Row], book: Platform, dims: Mapping[str, str], at_ns: int) -> Plan:
    """Chooses, for each unit and context band, the row that prices it, and applies the multipliers it leaves open."""
    start, end = 0, EVER
    held: list[Row] = []
    assumed: list[Row] = []
    usual = {**dims, **book.needs}
    for row in rows:
        start, end = _narrowed(start, end, row.start, row.end, at_ns)
        if HOURS in row.when:
            for first, last in (*hours_of(row.when[HOURS], at_ns), (at_ns - at_ns % DAY, at_ns - at_ns % DAY + DAY)):
                start, end = _narrowed(start, end, first, last, at_ns)
        if row.holds(dims, at_ns):
            held.append(row)
        elif book.needs and row.holds(usual, at_ns):
            assumed.append(row)
    for multiplier in book.multipliers:
        start, end = _narrowed(start, end, multiplier.start, multiplier.end, at_ns)
    factors = factors_of(model, book, usual, at_ns)
    held.sort(key=rank)
    assumed.sort(key=rank)
    bands = [_band(above, held, factors, dims) for above in _thresholds((*held, *assumed))]
    if assumed:
        bands = [_completed(band, _band(band.above, assumed, factors, usual), book, dims) for band in bands]
    narrow = bands[-2].above if len(bands) > 1 else EVER
    return Plan(model, tuple(_readied(band, book.version) for band in bands), start, end, narrow=narrow)


def _readied(band: Band, version: str) -> Band:
    """Puts the plain rates apart."""
    if band.rates.get("requests"):
        band.doubts["requests"] = FEE
        return band
    first = band.ids.get("input") or next(iter(band.ids.values()), "")
    rates = band.rates.items()
    plain = {
        unit: rate
        for unit, rate in rates
        if isinstance(rate, int) and band.ids[unit] == first and unit not in band.doubts
    }
    return band._replace(plain=plain, reference=f"book {version}: {first}")


def without_plain(plan: Plan) -> Plan:
    """A plan that takes `evaluate` for every usage."""
    return plan._replace(bands=tuple(band._replace(plain={}) for band in plan.bands))


def _thresholds(rows: Iterable[Row]) -> list[int]:
    return sorted({row.above for row in rows} | {0}, reverse=True)


def _completed(band: Band, usual: Band, book: Platform, dims: Mapping[str, str]) -> Band:
    """Prices what the stated dimensions leave open as the platform usually does, and says so."""
    stated = ", ".join(f"{need}={dims[need]}" if need in dims else f"no {need} stated" for need in book.needs)
    assumption = ", ".join(f"{need}={value}" for need, value in book.needs.items())
    for unit, rate in usual.rates.items():
        if unit not in band.rates:
            band.rates[unit] = rate
            band.ids[unit] = usual.ids[unit]
            if UNITS[unit].per not in FLAT:
                band.doubts[unit] = f"{stated}: priced as {assumption}"
    return band


def _narrowed(start: int, end: int, first: int, last: int, at_ns: int) -> tuple[int, int]:
    """Shortens a period so that no row begins or ends inside it."""
    for edge in (first, last):
        if start < edge <= at_ns:
            start = edge
        elif at_ns < edge < end:
            end = edge
    return start, end


def factors_of(model: str, book: Platform, dims: Mapping[str, str], at_ns: int) -> list[Multiplier]:
    """The multipliers that may apply to a model in these dimensions on a day."""
    dated = (one for one in book.multipliers if one.start <= at_ns < one.end)
    return [one for one in dated if (not one.models or model in one.models) and _applies(one, dims)]


def rank(row: Row) -> tuple[int, ...]:
    """Later wins: what the user or a contract says, then the narrower row, then the layer, the band and the date."""
    said = {CONTRACT: 2, USER: 1}.get(row.layer, 0)
    return said, len(row.when.keys() - SILENT), len(row.when), row.above, -row.layer, row.start


def _band(above: int, held: Iterable[Row], factors: Sequence[Multiplier], dims: Mapping[str, str]) -> Band:
    chosen: dict[str, Row] = {}
    for row in held:
        if row.above <= above:
            chosen.update(dict.fromkeys(row.rates, row))
    named: dict[int, str] = {}
    rates: Rates = {}
    doubts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for unit, row in chosen.items():
        name = named.get(id(row)) or named.setdefault(id(row), row.id)
        if not dims:
            rates[unit], ids[unit] = _plain(row.rates[unit], unit), name
            continue
        numerator, denominator, open_dims, used = multiplied(unit, Choice(row, row.rates[unit]), factors, dims)
        rates[unit] = _whole(numerator, denominator)
        ids[unit] = "*".join((name, *(multiplier.name for multiplier in used))) if used else name
        if open_dims:
            doubts[unit] = "no price for " + ", ".join(f"{name}={dims[name]}" for name in open_dims)
    return Band(above, rates, doubts, ids, {}, "")


def multiplied(
    unit: str, choice: Choice, factors: Sequence[Multiplier], dims: Mapping[str, str]
) -> tuple[int, int, list[str], list[Multiplier]]:
    """The rate after every factor that the row leaves open, the dimensions nothing prices, and the factors used."""
    numerator, denominator = per_unit(choice.rate, unit)
    if not dims:
        return numerator, denominator, [], []
    said = set(choice.row.when)
    used: list[Multiplier] = []
    for multiplier in factors:
        factor = multiplier.factor(unit)
        if factor is None or not said.isdisjoint(multiplier.when):
            continue
        scaled, scale = _decimal(factor)
        numerator, denominator = numerator * scaled, denominator * scale
        said.update(multiplier.when)
        used.append(multiplier)
    if UNITS[unit].per in FLAT:
        return numerator, denominator, [], used
    return numerator, denominator, [name for name in dims if name not in said and name not in SILENT], used


@lru_cache(maxsize=4096)
def _plain(rate: str, unit: str) -> Rate:
    """The rate of a unit that no multiplier changes."""
    return _whole(*per_unit(rate, unit))


def _applies(multiplier: Multiplier, dims: Mapping[str, str]) -> bool:
    return all(
        dims.get(name) in value.split("|") if value != "*" else name in dims for name, value in multiplier.when.items()
    )


def _decimal(text: str) -> tuple[int, int]:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction), 10 ** len(fraction)


def _whole(numerator: int, denominator: int) -> Rate:
    whole, rest = divmod(numerator, denominator)
    return Fraction(numerator, denominator) if rest else whole


def quick(plan: Plan, units: Mapping[str, Quantity]) -> Priced | None:
    """Prices whole quantities at plain rates; `None` where it takes `evaluate` to price them.

    This is what runs for nearly every call: a look-up, a multiplication and an addition for each unit.
    """
    band = plan.bands[-1]
    costs: dict[str, int] = {}
    total = 0
    try:
        if len(plan.bands) > 1 and sum(units.values()) > plan.narrow:
            band = _band_of(plan.bands, units)
        rates = band.plain
        for unit, quantity in units.items():
            costs[unit] = amount = quantity * rates[unit]  # type: ignore[assignment]  # whole, or refused below
            total += amount  # type: ignore[assignment]
    except (KeyError, ArithmeticError):  # no rate; or a decimal, which the application's context would round
        return None
    if total.__class__ is not int:
        return None
    # What Priced(...) makes of these, in half the time.
    return tuple.__new__(Priced, ("exact", total, costs, None, band.reference, plan.model, total, total, "USD"))


def evaluate(plan: Plan, usage: Usage, book: str) -> Priced:
    """Prices a usage by a plan. `book` is the version that the row ids come from."""
    band = _band_of(plan.bands, usage.units)
    if band.rates.get("requests"):
        usage = usage._replace(units={"requests": 1, **usage.units})
    units = usage.units
    amounts = _amounts(band, units)
    if amounts.missing or band.doubts or usage.flaw:
        return _doubtful(plan, band, usage, amounts, book)
    reference = _reference(band, units, book)
    return Priced("exact", amounts.total, amounts.costs, None, reference, plan.model, amounts.total, amounts.total)


class Amounts(NamedTuple):
    """What each unit costs, and the units that have no price."""

    total: int
    costs: dict[str, int]
    missing: list[str]


def _amounts(band: Band, units: Mapping[str, Quantity]) -> Amounts:
    rates = band.rates
    costs: dict[str, int] = {}
    total = 0
    missing: list[str] = []
    for unit, quantity in units.items():
        rate = rates.get(unit)
        if rate is None and (rate := _learn(band, unit)) is None:
            if quantity:
                missing.append(unit)
            continue
        amount = quantity * rate if isinstance(quantity, int) else Fraction(quantity) * rate
        if not isinstance(amount, int):
            amount = round(amount)
        costs[unit] = amount
        total += amount
    return Amounts(total, costs, missing)


def _band_of(bands: Sequence[Band], units: Mapping[str, Quantity]) -> Band:
    sent = sum(quantity for unit, quantity in units.items() if unit in INPUT)
    return next(band for band in bands if sent > band.above or not band.above)


def stand_in(unit: str) -> str:
    """The unit whose rate a unit takes that has none, empty where there is no such."""
    return (UNITS[unit].priced_as if unit in UNITS else "") or ASSUMED.get(unit, "")


def _learn(band: Band, unit: str) -> Rate | None:
    """The rate of the unit that this one is priced as, remembered in the band."""
    other = stand_in(unit)
    if not other:
        return None
    rate = band.rates.get(other)
    if rate is None:
        rate = _learn(band, other)
    if rate is not None:
        band.ids[unit] = band.ids[other]
        if other in band.doubts or unit in ASSUMED:
            band.doubts[unit] = band.doubts.get(other) or f"no price for {unit}: priced as {other}"
        elif other in band.plain:
            band.plain[unit] = band.plain[other]
        band.rates[unit] = rate  # last: a thread that finds the rate finds what is to be said of it
    return rate


def _doubtful(plan: Plan, band: Band, usage: Usage, amounts: Amounts, book: str) -> Priced:
    """The status of a price that is not exact throughout, and why."""
    total, costs, missing = amounts
    reasons = [f"{plan.model} has no price for {', '.join(missing)}"] if missing else []
    if missing and not any(usage.units[unit] for unit in costs):
        return Priced("unknown", reason=reasons[0], price_ref=f"book {book}", billed_model=plan.model)
    reasons += sorted({band.doubts[unit] for unit in costs if unit in band.doubts and usage.units[unit]})
    if usage.flaw:
        reasons.append(f"usage: {usage.flaw}")
    status = "partial" if missing else "estimated" if reasons else "exact"
    reference = _reference(band, usage.units, book)
    return Priced(status, total, costs, "; ".join(reasons) or None, reference, plan.model, total, total)


def _reference(band: Band, units: Mapping[str, Quantity], book: str) -> str:
    """Names the rows behind a price, and the book that they are of."""
    return f"book {book}: {', '.join(dict.fromkeys(band.ids[unit] for unit in units if unit in band.ids))}"
