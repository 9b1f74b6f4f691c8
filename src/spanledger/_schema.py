"""The kinds of column a charge has: how each is written, read back, and typed in every engine.

A row is what stands on disk: a flat JSON object of text, integers, booleans, and maps and lists of them. Money is text
(`"0.0028"`), an instant is ISO 8601 text in UTC with microseconds. A column that is absent or null is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Column(Generic[T]):
    """One column of the ledger: reads its value from a row, `None` where the row does not have it."""

    sql: ClassVar[str]
    arrow: ClassVar[str]

    __slots__ = ("doc", "focus", "group", "name", "required")

    def __init__(self, group: str, doc: str, *, focus: str = "", required: bool = False) -> None:
        """`group` and `doc` are for people, `focus` names the FOCUS column that it feeds, if any."""
        self.name = ""
        self.group = group
        self.doc = doc
        self.focus = focus
        self.required = required

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: type) -> T | None: ...
    def __get__(self, instance: Any, owner: type) -> Self | T | None:
        if instance is None:
            return self
        value = instance.row.get(self.name)
        return None if value is None else self.decode(value)

    def __set__(self, instance: Any, value: object) -> None:
        msg = f"a charge is immutable: cannot set {self.name}"
        raise AttributeError(msg)

    def decode(self, value: Any) -> T:
        """The Python value of a stored one."""
        result: T = value
        return result


class Text(Column[str]):
    """Text, of any length the provider chose."""

    __slots__ = ()
    sql, arrow = "VARCHAR", "string"


class Integer(Column[int]):
    """A whole number that fits 64 bits."""

    __slots__ = ()
    sql, arrow = "BIGINT", "int64"


class Flag(Column[bool]):
    """True or false."""

    __slots__ = ()
    sql, arrow = "BOOLEAN", "bool"


class Millis(Column[float]):
    """Milliseconds, to the microsecond. Time may be a float; money never is."""

    __slots__ = ()
    sql, arrow = "DOUBLE", "double"


class Instant(Column[datetime]):
    """A moment in UTC, to the microsecond."""

    __slots__ = ()
    sql, arrow = "TIMESTAMP", "timestamp[us]"

    def decode(self, value: Any) -> datetime:
        """ISO 8601 text, with `Z` or an offset, as an aware datetime in UTC."""
        return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(timezone.utc)


class Money(Column[Decimal]):
    """An amount in the row's currency, exact to 15 decimal places."""

    __slots__ = ()
    sql, arrow = "DECIMAL(38, 15)", "decimal128(38, 15)"

    def decode(self, value: Any) -> Decimal:
        """The text as an exact decimal."""
        return Decimal(value)


class TextMap(Column[Mapping[str, str]]):
    """A map from text to text."""

    __slots__ = ()
    sql, arrow = "MAP(VARCHAR, VARCHAR)", "map<string, string>"


class MoneyMap(Column[Mapping[str, Decimal]]):
    """A map from a unit to an exact amount."""

    __slots__ = ()
    sql, arrow = "MAP(VARCHAR, DECIMAL(38, 15))", "map<string, decimal128(38, 15)>"

    def decode(self, value: Any) -> Mapping[str, Decimal]:
        """Each amount as an exact decimal."""
        return {unit: Decimal(amount) for unit, amount in value.items()}


class QuantityMap(Column[Mapping[str, Decimal]]):
    """A map from a unit to how many of it: whole numbers as JSON integers, others as text."""

    __slots__ = ()
    sql, arrow = "MAP(VARCHAR, DECIMAL(28, 9))", "map<string, decimal128(28, 9)>"

    def decode(self, value: Any) -> Mapping[str, Decimal]:
        """Each quantity as an exact decimal."""
        return {unit: Decimal(quantity) for unit, quantity in value.items()}


class TextList(Column[tuple[str, ...]]):
    """A list of text."""

    __slots__ = ()
    sql, arrow = "VARCHAR[]", "list<string>"

    def decode(self, value: Any) -> tuple[str, ...]:
        """The list as a tuple."""
        return tuple(value)


def columns_of(row_type: type) -> Iterator[Column[Any]]:
    """The columns that a row class declares, in order."""
    return (value for value in vars(row_type).values() if isinstance(value, Column))
