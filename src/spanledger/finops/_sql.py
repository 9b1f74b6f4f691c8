"""Every SQL expression of allocation, in one place: an engine that spells one differently changes it here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

FEMTO: Final = 1_000_000_000_000_000
WEIGHT: Final = "coalesce(charge_count, 1)"
"""How many charges a row stands for: that of a day that was rolled up is the sum of several."""

CHUNK: Final = 1 << 30
"""Long division takes an amount in three digits of this base, so that no product leaves 127 bits."""


def name(identifier: str) -> str:
    """A quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def names(identifiers: Iterable[str], prefix: str = "") -> str:
    """Quoted identifiers, with commas."""
    return ", ".join(prefix + name(identifier) for identifier in identifiers)


def charges(condition: str = "") -> str:
    """How many charges there are, or how many that a condition is true of."""
    counted = f" FILTER (WHERE {condition})" if condition else ""
    return f"CAST(coalesce(sum({WEIGHT}){counted}, 0) AS BIGINT)"


def literal(value: Any) -> str:
    """A literal of a value that a plan can hold."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}'"
    if isinstance(value, date):
        return f"DATE '{value:%Y-%m-%d}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def entry(map_column: str, key: str) -> str:
    """The value of a key in a map column, NULL where it has none."""
    return f"{name(map_column)}[{literal(key)}]"


def contains(list_column: str, value: str) -> str:
    """Whether a list column has a value."""
    return f"list_contains({list_column}, {literal(value)})"


def mapped(operand: str, table: Mapping[str, str]) -> str:
    """What a table says of a value, NULL where it lacks it."""
    return f"CASE {operand} {' '.join(f'WHEN {literal(k)} THEN {literal(v)}' for k, v in table.items())} END"


def glob(operand: str, pattern: str) -> str:
    """`*` is any text and `?` any character; everything else stands for itself."""
    escaped = "".join("!" + char if char in "%_!" else char for char in pattern)
    return f"{operand} LIKE {literal(escaped.replace('*', '%').replace('?', '_'))} ESCAPE '!'"


def first(column: str, by: str) -> str:
    """The first value of a column that is there, in the order of another; an aggregate."""
    return f"arg_min({column}, {by}) FILTER (WHERE {column} IS NOT NULL)"


def instant(moment: date) -> str:
    """A moment in UTC as the ledger's timestamps have it."""
    return f"TIMESTAMP '{moment:%Y-%m-%d} 00:00:00'"


def within(start: date | None, end: date | None, column: str = '"started_at"') -> str:
    """From `start`, before `end`; either may be open."""
    bounds = [f"{column} >= {instant(start)}"] if start else []
    bounds += [f"{column} < {instant(end)}"] if end else []
    return " AND ".join(bounds) or "TRUE"


def day_of(column: str = '"started_at"') -> str:
    """The UTC day of a moment."""
    return f"CAST({column} AS DATE)"


def scaled(amount: str, places: int) -> str:
    """A decimal as an integer of its last place; in two steps, since whole amounts would overflow in one."""
    unit, fraction = 10**places, f"{amount} - trunc({amount})"
    return f"(CAST(trunc({amount}) AS HUGEINT) * {unit} + CAST(({fraction}) * {unit} AS HUGEINT))"


def femtos(money: str) -> str:
    """A decimal with 15 places as an integer of 1e-15."""
    return scaled(money, 15)


def money(integer: str) -> str:
    """An integer of 1e-15 as a decimal with 15 places."""
    return (
        f"(CAST({integer} // {FEMTO} AS DECIMAL(38, 15)) "
        f"+ CAST({integer} % {FEMTO} AS DECIMAL(18, 0)) * CAST('0.000000000000001' AS DECIMAL(15, 15)))"
    )


def shared(source: str, part: Sequence[str], keep: Sequence[str]) -> str:
    """Largest remainder: each row of `source` gets its part of `amount` by `weight`, as `part_amount`.

    `source` has `amount` and `weight` (integers, weight above zero), the columns `part` that say which rows divide one
    amount, and the text columns `keep` that tell owners apart and break ties. The result has all of them and `total`.
    This is `spanledger.finops._exact.largest_remainder` for tables: long division in base 2^30 keeps products within
    127 bits.
    """
    carried = f"{names([*part, *keep])}, amount, weight, total, size"
    over = f"OVER (PARTITION BY {names(part)})"
    order = f"OVER (PARTITION BY {names(part)} ORDER BY rest DESC, weight DESC, {names(keep)})"
    high, middle, low = f"size // {CHUNK * CHUNK}", f"size // {CHUNK} % {CHUNK}", f"size % {CHUNK}"
    return f"""
  SELECT {names([*part, *keep])}, amount, weight, total,
         CASE WHEN amount < 0 THEN -1 ELSE 1 END
         * (floor + CASE WHEN row_number() {order} <= size - sum(floor) {over} THEN 1 ELSE 0 END) AS part_amount
  FROM (SELECT {carried}, q * {CHUNK} + (r * {CHUNK} + ({low}) * weight) // total AS floor,
               (r * {CHUNK} + ({low}) * weight) % total AS rest
  FROM (SELECT {carried}, q * {CHUNK} + (r * {CHUNK} + ({middle}) * weight) // total AS q,
               (r * {CHUNK} + ({middle}) * weight) % total AS r
  FROM (SELECT {carried}, ({high}) * weight // total AS q, ({high}) * weight % total AS r
  FROM (SELECT {names([*part, *keep])}, amount, weight, abs(amount) AS size,
               CAST(sum(weight) {over} AS HUGEINT) AS total FROM {source}))))"""


def rounded(source: str, part: Sequence[str], keep: Sequence[str], unit: int) -> str:
    """Rounds `exact` to multiples of `unit` so that the rows of one `part` sum to their `above`, as `published`.

    `source` has `exact` and `above` (integers of 1e-15), `part` and the text columns `keep`. This is
    `spanledger.finops._exact.round_tied` for tables.
    """
    over = f"OVER (PARTITION BY {names(part)})" if part else "OVER ()"
    ranked = f"{over[:-1]} ORDER BY rest DESC, abs(exact) DESC, {names(keep)})"
    carried = names([*part, *keep])
    return f"""
  SELECT {carried}, exact, sign * {unit} * (floor + CASE
         WHEN row_number() {ranked} <= sign * above // {unit} - sum(floor) {over} THEN 1 ELSE 0 END) AS published
  FROM (SELECT *, size // {unit} - CASE WHEN size % {unit} < 0 THEN 1 ELSE 0 END AS floor,
               (size % {unit} + {unit}) % {unit} AS rest
  FROM (SELECT *, sign * exact AS size
  FROM (SELECT {carried}, exact, above, CASE WHEN sum(exact) {over} < 0 THEN -1 ELSE 1 END AS sign FROM {source})))"""


def half_up(integer: str, unit: int) -> str:
    """The nearest multiple of `unit`, halves away from zero."""
    return f"(CASE WHEN {integer} < 0 THEN -1 ELSE 1 END * ((2 * abs({integer}) + {unit}) // {2 * unit}) * {unit})"
