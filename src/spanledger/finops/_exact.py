"""Exact division of money: integers of 1e-15, largest remainder, one order for ties.

This is the definition. `spanledger.finops._sql` says the same in SQL for tables that are too large for Python, and a
property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import TypeVar

from spanledger._units import FEMTO
from spanledger.errors import PlanError

Key = TypeVar("Key", bound=Hashable)
Number = int | str | Decimal | Fraction


def to_femto(amount: Number) -> int:
    """An amount as an integer of 1e-15; `PlanError` if it is no number or finer than that."""
    try:
        scaled = Fraction(amount) * FEMTO
    except (ValueError, TypeError, OverflowError):
        msg = f"{amount!r} is not an amount: write it as decimal text, such as '1000.00'"
        raise PlanError(msg) from None
    if scaled.denominator != 1:
        msg = f"{amount} is finer than 1e-15: round it first"
        raise PlanError(msg)
    return scaled.numerator


def to_decimal(femtos: int) -> Decimal:
    """An integer of 1e-15 as an exact decimal with 15 places."""
    sign, digits = (1, -femtos) if femtos < 0 else (0, femtos)
    return Decimal((sign, tuple(int(digit) for digit in str(digits)), -15))


def integers(weights: Mapping[Key, Number]) -> dict[Key, int]:
    """The weights times their least common denominator; a weight below zero counts as zero."""
    exact = {key: max(Fraction(weight), Fraction(0)) for key, weight in weights.items()}
    denominator = lcm(*(weight.denominator for weight in exact.values()))
    return {key: int(weight * denominator) for key, weight in exact.items()}


def largest_remainder(amount: int, weights: Mapping[Key, Number]) -> dict[Key, int]:
    """Splits an integer by weights so that the parts sum to it: floor each, then one more to the largest remainders.

    Ties go to the larger weight, then to the lower key. A negative amount is split as its opposite. Owners without
    weight get nothing; all weights zero is an `PlanError`, because then there is no one to split among.
    """
    shares = integers(weights)
    total = sum(shares.values())
    if not total:
        msg = "every weight is zero: name a fallback driver"
        raise PlanError(msg)
    sign = -1 if amount < 0 else 1
    parts = {key: divmod(abs(amount) * weight, total) for key, weight in shares.items()}
    missing = abs(amount) - sum(floor for floor, _ in parts.values())
    first = set(sorted(parts, key=lambda key: (-parts[key][1], -shares[key], key))[:missing])
    return {key: sign * (floor + (key in first)) for key, (floor, _) in parts.items()}


def tied(exact: Mapping[Key, Fraction], total: int) -> dict[Key, int]:
    """Fractions that sum to `total` as integers that do: floors, and one more to the largest remainders."""
    floors = {key: part.numerator // part.denominator for key, part in exact.items()}
    missing = total - sum(floors.values())
    first = set(sorted(exact, key=lambda key: (floors[key] - exact[key], key))[:missing])
    return {key: floor + (key in first) for key, floor in floors.items()}


def round_tied(parts: Mapping[Key, int], unit: int, total: int | None = None) -> dict[Key, int]:
    """Rounds parts to multiples of `unit` so that they sum to the rounded total; each moves by less than one unit.

    `total` is the published sum where a level above has fixed it, else the sum of the parts rounded half away from
    zero. Ties go to the larger part, then to the lower key.
    """
    whole = sum(parts.values())
    sign = -1 if whole < 0 else 1
    published = sign * (half_up(abs(whole), unit) if total is None else sign * total)
    floors = {key: divmod(sign * part, unit) for key, part in parts.items()}
    missing = sign * published // unit - sum(floor for floor, _ in floors.values())
    first = set(sorted(parts, key=lambda key: (-floors[key][1], -abs(parts[key]), key))[:missing])
    return {key: sign * unit * (floor + (key in first)) for key, (floor, _) in floors.items()}


def half_up(femtos: int, unit: int) -> int:
    """The nearest multiple of `unit`, for an amount that is not negative."""
    return (2 * femtos + unit) // (2 * unit) * unit


def split(amount: Number, weights: Mapping[Key, Number], *, round_to: Number = "0.01") -> dict[Key, Decimal]:
    """Splits an amount among owners by their weights, rounded once; the parts sum to the rounded amount.

    Args:
        amount: decimal text, an integer, a `Decimal` or a `Fraction`; may be negative (a credit).
        weights: owner to weight: anything additive, such as requests, tokens, heads or percent.
        round_to: the published unit; `"0.000000000000001"` keeps every stored digit.

    Raises:
        PlanError: an amount that is no number, or weights that are all zero.
    """
    unit = to_femto(round_to)
    rounded = round_tied(largest_remainder(to_femto(amount), weights), unit)
    return {key: to_decimal(part).quantize(Decimal(str(round_to))) for key, part in rounded.items()}
