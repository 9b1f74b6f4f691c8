"""Amounts in another currency, at dated rates that the user supplies. What is stored stays in US dollars."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from spanledger._units import EXACT
from spanledger.errors import ConfigurationError


class Converted(NamedTuple):
    """An amount in a display currency, with the rate that made it and the day of that rate."""

    amount: Decimal
    currency: str
    rate: Decimal
    rate_date: date

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} (at {self.rate} of {self.rate_date})"


class Rates:
    """What one US dollar is worth in other currencies, by day: `Rates({"EUR": {"2026-11-16": "0.8642"}})`.

    A day without a rate of its own has that of the latest day before it. Raises `ConfigurationError` for a rate that is
    no positive decimal text and for a day before the first.
    """

    def __init__(self, rates: Mapping[str, Mapping[str | date, str | Decimal]]) -> None:
        self._rates = {
            currency.upper(): sorted((_day(day), _rate(currency, rate)) for day, rate in by_day.items())
            for currency, by_day in rates.items()
        }

    def convert(self, amount: Decimal, currency: str, at: datetime | date | None) -> Converted:
        """An amount in US dollars in another currency, at the rate of a day; exact, never rounded."""
        day = at.date() if isinstance(at, datetime) else at
        known = self._rates.get(currency.upper(), [])
        found = [(since, rate) for since, rate in known if day is None or since <= day]
        if not found:
            msg = f"no rate of USD to {currency} on {day}: add one for that day or an earlier one"
            raise ConfigurationError(msg)
        since, rate = found[-1]
        return Converted(EXACT.multiply(amount, rate).normalize(EXACT), currency.upper(), rate, since)


def _day(day: str | date) -> date:
    try:
        return date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        msg = f"a rate's day is {day!r}: write a day such as 2026-11-16"
        raise ConfigurationError(msg) from None


def _rate(currency: str, rate: object) -> Decimal:
    try:
        exact = Decimal(rate) if isinstance(rate, str | Decimal) else Decimal(0)
    except InvalidOperation:
        exact = Decimal(0)
    if not exact.is_finite() or exact <= 0:
        msg = f"the rate of {currency} is {rate!r}: write it as text, such as '0.8642'"
        raise ConfigurationError(msg)
    return exact
