"""Conditions as SQL: every value bound as a parameter, every comparison with two answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from spanledger.errors import LedgerError
from spanledger.ledger._expression import OPPOSITE, Compare, Every, In, IsNull, Not, Some, Value, Where
from spanledger.ledger._fields import UNIT, Field
from spanledger.ledger._period import Period, moment

if TYPE_CHECKING:
    from spanledger.ledger._sql import Dialect

_PYTHON: Final[Mapping[str, type]] = {"text": str, "number": Decimal, "flag": bool, "instant": datetime}
_TAKES: Final = {
    "text": "text in quotes",
    "number": "a number",
    "flag": "true or false",
    "instant": "a date such as '2026-11-25' or '2026-11-25T08:00:00Z'",
}
_NEGATED: Final = {**OPPOSITE, "IN": "NOT IN", "like": "NOT LIKE"}


class Condition(NamedTuple):
    """A condition, with a `Field` for every name in it."""

    where: Where
    fields: Mapping[str, Field]

    def clause(self, within: Period, dialect: Dialect) -> str:
        """The whole WHERE clause: the period and the condition."""
        bounds = ((">=", within.since), ("<", within.until))
        tests = [f"started_at {op} {dialect.bind(at.replace(tzinfo=None))}" for op, at in bounds if at]
        return " AND ".join([*tests, _Rendering(self.fields, dialect).render(self.where)])


class _Rendering:
    """Renders conditions with two answers, true and false: an unknown value equals nothing, none is lost in NULL."""

    def __init__(self, fields: Mapping[str, Field], dialect: Dialect) -> None:
        self._fields = fields
        self._dialect = dialect

    def render(self, where: Where, *, negated: bool = False) -> str:
        """The SQL of `where`, or of its opposite: negation is pushed to the comparisons, which engines can prune by."""
        if isinstance(where, Not):
            return self.render(where.part, negated=not negated)
        if isinstance(where, Every | Some):
            return self._joined(where, negated=negated)
        if isinstance(where, IsNull):
            return f"{self._expression(where.field)} IS {'NOT ' if negated else ''}NULL"
        return self._compared(where, negated=negated)

    def _joined(self, where: Every | Some, *, negated: bool) -> str:
        every = isinstance(where, Every) is not negated
        if not where.parts:
            return "TRUE" if every else "FALSE"
        parts = (self.render(part, negated=negated) for part in where.parts)
        return f"({(' AND ' if every else ' OR ').join(parts)})"

    def _compared(self, where: Compare | In, *, negated: bool) -> str:
        values = where.values if isinstance(where, In) else (where.value,)
        bound = [self._dialect.bind(self._operand(where, value)) for value in values]
        if not bound:
            return "TRUE" if negated else "FALSE"
        op = "IN" if isinstance(where, In) else where.op
        right = f"({', '.join(bound)})" if op == "IN" else bound[0]
        left = self._expression(where.field)
        test = f"{left} {_NEGATED[op] if negated else op.upper()} {right}"
        return f"({test} OR {left} IS NULL)" if negated is not (op == "!=") else test

    def _operand(self, where: Compare | In, value: Value) -> Value:
        operand = fitted(self._fields[where.field], value)
        is_pattern = isinstance(where, Compare) and where.op == "like"
        return self._dialect.pattern(operand) if is_pattern and isinstance(operand, str) else operand

    def _expression(self, name: str) -> str:
        return render_field(self._fields[name], self._dialect)


def fitted(field: Field, value: Value) -> Value:
    """The value as the field's kind compares it. Raises `LedgerError` where it is of another kind."""
    if field.kind == "instant" and isinstance(value, str | datetime):
        instant = moment(f"where: {field.name}", value)
        return instant.replace(tzinfo=None) if instant else value
    if field.kind and isinstance(value, _PYTHON[field.kind]) and (field.kind == "flag" or not isinstance(value, bool)):
        return value
    takes = _TAKES.get(field.kind, "only null, as it holds several values")
    msg = f"where: {field.name} takes {takes}, not {value!r}"
    raise LedgerError(msg)


def render_field(field: Field, dialect: Dialect) -> str:
    """The expression of a field."""
    if field is UNIT:
        return "unit"
    if field.key is not None:
        return dialect.lookup(field.columns[0], field.key)
    if field.part is not None:
        return dialect.truncated(field.columns[0], field.part)
    if len(field.columns) == 1:
        return dialect.name(field.columns[0])
    return f"coalesce({', '.join(field.columns)})"
