"""Seats of Cursor, Copilot, Jasper or anything else: from a CSV file to charges, by the days that each was held.

One line a seat: `user`, `price` (a month), and where known `tool`, `team`, `customer`, `environment`, `plan`, `start`,
`end` (the first day without it), `last_active`, `credits` (used this period). A seat without a user or a team is
unassigned: its charge has no team, and the statement shows it as unallocated.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, Final

from spanledger._units import FEMTO, money_text
from spanledger.errors import PlanError
from spanledger.finops._exact import largest_remainder, to_femto
from spanledger.finops._periods import Given, Period, read_period
from spanledger.finops._reading import csv_rows
from spanledger.finops.drivers import SEAT

COLUMNS: Final = (
    "tool", "user", "team", "customer", "environment", "plan", "price", "start", "end", "last_active", "credits",
)  # fmt: skip
ALIASES: Final[Mapping[str, str]] = {
    "email": "user",
    "login": "user",
    "assignee": "user",
    "assigning_team": "team",
    "plan_type": "plan",
    "created_at": "start",
    "pending_cancellation_date": "end",
    "last_activity_at": "last_active",
    "last_activity": "last_active",
    "product": "tool",
}
"""What other exports call the same column."""
OWNED: Final = ("team", "customer", "environment")
CREDITS: Final = "credits"
"""The operation of a charge for credits beyond those that come with the seats."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One line of the file."""

    tool: str
    user: str
    price: int
    owners: Mapping[str, str]
    plan: str = ""
    start: date | None = None
    end: date | None = None
    last_active: date | None = None
    credits: Fraction = Fraction(0)

    @property
    def assigned(self) -> bool:
        """Whether somebody owns it."""
        return bool(self.user and self.owners.get("team"))

    def held(self, period: Period) -> Period | None:
        """The days of a period on which it was held."""
        return period.overlap(self.start, self.end)

    def state(self, period: Period) -> str:
        """`active`, `idle` (nobody used it since before the period; where the file tells), or `unassigned`."""
        if not self.assigned:
            return "unassigned"
        idle = self.last_active is not None and self.last_active < period.start
        return "idle" if idle else "active"


def read(path: str | PathLike[str], *, tool: str = "") -> list[Seat]:
    """The seats of a CSV file. Raises `PlanError` that names the file, the line and the column.

    `tool` is the product, where the file has no column of that name. Columns of other exports are understood: `email`,
    `assigning_team`, `plan_type`, `created_at`, `last_activity_at`, `pending_cancellation_date`.
    """
    file = Path(path)
    rows = csv_rows(file, lambda what: PlanError(f"{file} {what}"))
    return [_seat(file.name, number, row, tool) for number, row in enumerate(rows, 2)]


def charges(seats: Iterable[Seat], period: Given, *, prorated: bool = False) -> list[dict[str, Any]]:
    """A charge for each seat of a period, as rows for a ledger, at the month's price times the days that it was held.

    The rest of a month that is billed whole is a charge of nobody's, so that the invoice ties; with `prorated` the
    provider bills days only and there is none. The same seats make the same `response_id`, so that a second import is
    known for what it is.
    """
    within = read_period(period)
    return _numbered(row for seat in seats for row in _charges(seat, within, prorated=prorated))


def pooled(
    seats: Iterable[Seat], period: Given, *, included: int | Decimal | str, price: Decimal | str, by: str = "overuse"
) -> list[dict[str, Any]]:
    """Charges for credits beyond those that all seats of a tool pool together.

    Args:
        seats: with the `credits` that each used.
        period: as for `charges`.
        included: credits that come with one seat, whoever uses them.
        price: of one credit beyond the pool: `"0.01"` for Copilot's AI credits.
        by: `overuse` charges those who used more than one seat brings, by how much more; `use` charges all by use.

    A pool that is not used up costs nothing more.
    """
    if by not in ("overuse", "use"):
        msg = f"by: {by!r}: it takes overuse or use"
        raise PlanError(msg)
    within, each = read_period(period), Fraction(included)
    tools: dict[str, list[Seat]] = {}
    for seat in seats:
        if seat.held(within):
            tools.setdefault(seat.tool, []).append(seat)
    return _numbered(row for held in tools.values() for row in _overage(held, within, each, to_femto(price), by))


def _numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seats that nothing tells apart, such as two without a user, are the first, the second, ... of their kind."""
    found, seen = [], Counter[str]()
    for row in rows:
        seen[row["response_id"]] += 1
        found.append({**row, "response_id": f"{row['response_id']}-{seen[row['response_id']]}"})
    return found


def _overage(seats: list[Seat], period: Period, included: Fraction, price: int, by: str) -> Iterator[dict[str, Any]]:
    beyond = sum((seat.credits for seat in seats), Fraction(0)) - included * len(seats)
    if beyond <= 0:
        return
    base = included if by == "overuse" else Fraction(0)
    weights = {number: max(seat.credits - base, Fraction(0)) for number, seat in enumerate(seats)}
    for number, cost in largest_remainder(round(beyond * price), weights).items():
        if cost:
            yield _row(seats[number], period, CREDITS, cost, {"seat": seats[number].state(period)})


def _charges(seat: Seat, period: Period, *, prorated: bool) -> Iterator[dict[str, Any]]:
    held = seat.held(period)
    if held is None:
        return
    cost = round(seat.price * held.months())
    yield _row(seat, period, SEAT, cost, {"seat": seat.state(period)})
    rest = round(seat.price * period.months()) - cost
    if rest and not prorated:
        nobody = Seat(seat.tool, "", seat.price, {}, seat.plan)
        yield _row(nobody, period, SEAT, rest, {"seat": "vacant", "seat_of": seat.user})


def _row(seat: Seat, period: Period, operation: str, cost: int, tags: Mapping[str, str]) -> dict[str, Any]:
    amount, found = money_text(cost), {**tags, "plan": seat.plan}
    key = "\0".join([operation, seat.tool, seat.user, found.get("seat_of", ""), seat.plan, period.label])
    row: dict[str, Any] = {
        "response_id": f"{operation}-{hashlib.sha256(key.encode()).hexdigest()[:24]}",
        "started_at": f"{period.start}T00:00:00.000000Z",
        "provider_name": seat.tool,
        "operation": operation,
        "status": "ok",
        **{name: owner for name, owner in seat.owners.items() if owner},
        "tags": {name: value for name, value in found.items() if value},
        "usage": {"seats" if operation == SEAT else "credits": 1 if operation == SEAT else quantity_of(seat.credits)},
        "currency": "USD",
        "list_cost": amount,
        "contracted_cost": amount,
        "effective_cost": amount,
        "cost_status": "exact",
    }
    return {**row, "user_id": seat.user} if seat.user else row


def quantity_of(number: Fraction) -> int | str:
    """A quantity as a row has it: a whole number, or decimal text."""
    return int(number) if number.denominator == 1 else money_text(round(number * FEMTO))


def _seat(file: str, line: int, row: Mapping[str, Any], tool: str) -> Seat:
    cells = {ALIASES.get(name, name): (value or "").strip() for name, value in row.items()}
    where = f"{file}: line {line}"
    return Seat(
        tool=cells.get("tool") or tool or _missing(where, "tool"),
        user=cells.get("user", ""),
        price=_money(where, cells.get("price", "")),
        owners={name: cells[name] for name in OWNED if cells.get(name)},
        plan=cells.get("plan", ""),
        start=_day(where, "start", cells.get("start", "")),
        end=_day(where, "end", cells.get("end", "")),
        last_active=_day(where, "last_active", cells.get("last_active", "")),
        credits=_number(where, "credits", cells.get("credits") or "0"),
    )


def _missing(where: str, column: str) -> str:
    msg = f"{where}: {column} is missing: add the column"
    raise PlanError(msg)


def _money(where: str, text: str) -> int:
    try:
        return to_femto(text)
    except PlanError as error:
        msg = f"{where}: price: {error}"
        raise PlanError(msg) from None


def _number(where: str, column: str, text: str) -> Fraction:
    try:
        return Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        msg = f"{where}: {column} is {text!r}: it takes a number"
        raise PlanError(msg) from None


def _day(where: str, column: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        msg = f"{where}: {column} is {text!r}: it takes a day such as 2026-11-19"
        raise PlanError(msg) from None
