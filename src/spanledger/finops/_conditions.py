"""Conditions over a charge: read from a plan, said in SQL for a ledger, and decided in Python for one charge.

A value that is not there fulfils no condition except `present = false`, in SQL and in Python alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final, NamedTuple

from spanledger import _schema
from spanledger._types import COLUMNS
from spanledger.finops import _sql
from spanledger.finops._reading import Section, did_you_mean

Facts = Mapping[str, Any]
"""A stored row, with the virtual tags that are decided so far over its columns."""


class Field(NamedTuple):
    """One thing that a condition can look at: a column, an entry of a map, or a virtual tag."""

    name: str
    kind: str
    sql: str
    read: Callable[[Facts], Any]


class Operator(NamedTuple):
    """One comparison, in SQL and in Python; `kinds` are the fields that it can look at."""

    kinds: str
    sql: Callable[[str, Any], str]
    holds: Callable[[Any, Any], bool]


KINDS: Final[Mapping[type, str]] = {
    _schema.Text: "text",
    _schema.Integer: "number",
    _schema.Millis: "number",
    _schema.Money: "number",
    _schema.Flag: "flag",
    _schema.Instant: "time",
    _schema.TextList: "list",
}
MAPS: Final[Mapping[type, str]] = {
    _schema.TextMap: "text",
    _schema.QuantityMap: "number",
    _schema.MoneyMap: "number",
}
TAKES: Final[Mapping[str, tuple[type | tuple[type, ...], str]]] = {
    "text": (str, "text"),
    "number": ((int, Decimal), "a number"),
    "flag": (bool, "true or false"),
    "time": (date, "a date"),
    "list": (str, "text"),
}


def matches(value: str, glob: str) -> bool:
    """`*` is any text and `?` any one character.

    What fnmatch makes of a pattern never goes back to an earlier `*`: with many of them that would take for ever.
    """
    return re.match(translate(glob.replace("[", "[[]")), value) is not None


def is_glob(text: Any) -> bool:
    """Whether text has a wildcard."""
    return isinstance(text, str) and ("*" in text or "?" in text)


def _one(value: Any, wanted: Any) -> bool:
    return matches(value, wanted) if is_glob(wanted) else bool(value == wanted)


def _one_sql(field: str, wanted: Any) -> str:
    return _sql.glob(field, wanted) if is_glob(wanted) else f"{field} = {_sql.literal(wanted)}"


def _any_sql(field: str, wanted: Sequence[Any]) -> str:
    plain = [_sql.literal(item) for item in wanted if not is_glob(item)]
    globs = [_sql.glob(field, item) for item in wanted if is_glob(item)]
    return " OR ".join([f"{field} IN ({', '.join(plain)})"] * bool(plain) + globs)


OPERATORS: Final[Mapping[str, Operator]] = {
    "in": Operator("text number time", _any_sql, lambda value, wanted: any(_one(value, item) for item in wanted)),
    "not": Operator(
        "text number time",
        lambda field, wanted: f"NOT ({_any_sql(field, wanted)})",
        lambda value, wanted: not any(_one(value, item) for item in wanted),
    ),
    "is": Operator("flag", _one_sql, lambda value, wanted: bool(value == wanted)),
    "has": Operator(
        "list",
        lambda field, wanted: " OR ".join(_sql.contains(field, item) for item in wanted),
        lambda value, wanted: any(item in value for item in wanted),
    ),
    ">=": Operator("number time", lambda field, wanted: f"{field} >= {_sql.literal(wanted)}", lambda a, b: a >= b),
    ">": Operator("number time", lambda field, wanted: f"{field} > {_sql.literal(wanted)}", lambda a, b: a > b),
    "<=": Operator("number time", lambda field, wanted: f"{field} <= {_sql.literal(wanted)}", lambda a, b: a <= b),
    "<": Operator("number time", lambda field, wanted: f"{field} < {_sql.literal(wanted)}", lambda a, b: a < b),
    "present": Operator(
        "text number time flag list",
        lambda field, wanted: f"{field} IS {'NOT ' * wanted}NULL",
        lambda value, wanted: (value is not None) == wanted,
    ),
}
SUMMED: Final = ("number", "time")
"""What the row of a day that was rolled up has the sum of, or nothing: no single charge can be told by it."""


def _of_one_charge(name: str, holds: str) -> str:
    """The condition, which ends the question in an error where a row is the sum of several charges."""
    message = _sql.literal(f"{name} of a single charge is asked for, and days of the period are rolled up")
    return f"CASE WHEN charge_count IS NULL THEN {holds} ELSE error({message}) END"


SHORT: Final[Mapping[str, str]] = {"flag": "is", "list": "has"}
"""What a bare value means where it is not `in`."""


class Condition(NamedTuple):
    """One comparison of one field."""

    field: Field
    operator: str
    operand: Any

    def sql(self) -> str:
        """As a boolean expression."""
        holds = f"({OPERATORS[self.operator].sql(self.field.sql, self.operand)})"
        return _of_one_charge(self.field.name, holds) if self.field.kind in SUMMED else holds

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of one charge."""
        value = self.field.read(facts)
        if value is None and self.operator != "present":
            return False
        return OPERATORS[self.operator].holds(value, self.operand)


class When(NamedTuple):
    """Alternatives, each a list of conditions that must all hold; no alternative at all is always true."""

    alternatives: tuple[tuple[Condition, ...], ...] = ()

    def sql(self) -> str:
        """As a boolean expression."""
        return " OR ".join(f"({' AND '.join(c.sql() for c in each) or 'TRUE'})" for each in self.alternatives) or "TRUE"

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of one charge."""
        return not self.alternatives or any(all(c.holds(facts) for c in each) for each in self.alternatives)


class Fields:
    """The fields that a plan can name: the columns of a charge, entries of its maps, and its virtual tags so far."""

    def __init__(self) -> None:
        """Starts with the columns of the ledger."""
        self.derived: dict[str, Field] = {}
        self._columns = {column.name: column for column in COLUMNS}

    def names(self) -> list[str]:
        """What can be named, for a hint."""
        return [*self.derived, *self._columns]

    def add(self, tag: str) -> None:
        """A virtual tag that later rules may name; it hides the column of the same name."""
        alias = derived(tag)
        self.derived[tag] = Field(tag, "text", _sql.name(alias), lambda facts: facts.get(alias))

    def find(self, section: Section, where: str, field: str) -> Field:
        """The field of that name, or an error that says what is close."""
        if field in self.derived:
            return self.derived[field]
        head, _, key = field.partition(".")
        column = self._columns.get(head)
        if column is not None and key and type(column) in MAPS:
            return _entry(column, key)
        if column is not None and not key and type(column) in KINDS:
            return Field(field, KINDS[type(column)], _sql.name(field), lambda facts: _read(column, facts))
        what = f"{field!r} is no column, and a tag of your own is written tags.{field}"
        raise section.error(where, what + did_you_mean(field, self.names()))


def derived(tag: str) -> str:
    """The column of a virtual tag, beside the stored one of the same name."""
    return f"virtual.{tag}"


def _entry(column: _schema.Column[Any], key: str) -> Field:
    name = f"{column.name}.{key}"
    return Field(name, MAPS[type(column)], _sql.entry(column.name, key), lambda facts: _read(column, facts, key))


def _read(column: _schema.Column[Any], facts: Facts, key: str = "") -> Any:
    value = facts.get(column.name)
    if value is None:
        return None
    decoded = column.decode(value)
    return decoded.get(key) if key else decoded


ALWAYS: Final = When()


def read_when(section: Section, fields: Fields, field: str = "when") -> When:
    """The conditions under `field`: a table, all of which must hold, or a list of such tables, one of which must."""
    found = section.take(field, (dict, list), "a table of conditions, or a list of them", {})
    tables = found if isinstance(found, list) else [found] * bool(found)
    if isinstance(found, list) and not found:
        raise section.error(field, "is an empty list: leave it out to match every charge")
    if not all(isinstance(table, dict) and table for table in tables):
        raise section.error(field, "takes a table of conditions, or a list of them, none empty")
    return When(tuple(tuple(_conditions(section, fields, field, table)) for table in tables))


def _conditions(section: Section, fields: Fields, where: str, table: Mapping[str, Any]) -> list[Condition]:
    return [
        _condition(section, f"{where}.{name}", fields.find(section, f"{where}.{name}", name), operator, operand)
        for name, value in _flat(table)
        for operator, operand in _operations(value)
    ]


def _flat(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """`tags.deployment = "x"` arrives from TOML as a table in a table."""
    maps = {column.name for column in COLUMNS if type(column) in MAPS}
    nested = {name: value for name, value in table.items() if name in maps and isinstance(value, dict)}
    inner = [(f"{name}.{key}", value) for name, entries in nested.items() for key, value in entries.items()]
    return [(name, value) for name, value in table.items() if name not in nested] + inner


def _operations(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


def _condition(section: Section, where: str, field: Field, operator: str, operand: Any) -> Condition:
    operator = operator or SHORT.get(field.kind, "in")
    known = OPERATORS.get(operator)
    if known is None:
        raise section.error(where, f"has no operator {operator!r}: it takes {', '.join(OPERATORS)}")
    if field.kind not in known.kinds.split():
        raise section.error(where, f"is {field.kind}, and {operator!r} is for {' or '.join(known.kinds.split())}")
    return Condition(field, operator, _operand(section, where, field, operator, operand))


def _operand(section: Section, where: str, field: Field, operator: str, operand: Any) -> Any:
    kind, takes = TAKES["flag" if operator == "present" else field.kind]
    many = operator in ("in", "not", "has")
    items = operand if many and isinstance(operand, list) else [operand]
    for item in items:
        endless = isinstance(item, Decimal) and not item.is_finite()
        if not isinstance(item, kind) or (isinstance(item, bool) and kind is not bool) or endless:
            raise section.error(where, f"is {item!r}: {operator!r} takes {takes} here")
    moments = [_moment(item) for item in items] if field.kind == "time" and operator != "present" else items
    return tuple(moments) if many else moments[0]


def _moment(value: date) -> datetime:
    """A date or a moment as UTC; a local one is taken to be UTC, which is what a ledger holds."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
