"""`where=`: a small language over the columns of a charge, parsed into a tree and never pasted into SQL.

    team = 'growth' and (status in ('error', 'aborted') or list_cost > 0.05) and not customer is null

A mapping says the common case: `{"team": "growth", "status": ["error", "aborted"], "customer": None}`.
Comparisons know two answers: an unknown value equals nothing, so `team != 'growth'` keeps the charges without a team.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from spanledger.errors import LedgerError

Value: TypeAlias = "str | Decimal | bool | datetime"


class Compare(NamedTuple):
    """`field` against `value` by `op`: one of `OPPOSITE`, or `like`."""

    field: str
    op: str
    value: Value


class In(NamedTuple):
    """Whether `field` is one of `values`."""

    field: str
    values: tuple[Value, ...]


class IsNull(NamedTuple):
    """Whether `field` is not known."""

    field: str


class Not(NamedTuple):
    """What `part` is not."""

    part: Where


class Every(NamedTuple):
    """All of `parts`; none is true."""

    parts: tuple[Where, ...]


class Some(NamedTuple):
    """At least one of `parts`."""

    parts: tuple[Where, ...]


Where: TypeAlias = "Compare | In | IsNull | Not | Every | Some"

OPPOSITE: Final = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_SYNONYM: Final = {"==": "=", "<>": "!="}
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<name>tag:(?:"[^"]+"|[\w.\-/]+)|[A-Za-z_][\w.]*)
    | (?P<op><=|>=|==|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "like", "true", "false"})
_TRUTH: Final = {"true": True, "false": False}


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(where: str | Mapping[str, Any] | None) -> Where:
    """The tree of a condition. Raises `LedgerError` that points at what it could not read."""
    if not where:
        return Every(())
    if isinstance(where, str):
        return _Parser(where).whole() if where.strip() else Every(())
    return Every(tuple(_one(name, value) for name, value in where.items()))


def fields_of(where: Where) -> Iterator[str]:
    """The fields that a condition names."""
    if isinstance(where, Every | Some):
        for part in where.parts:
            yield from fields_of(part)
    elif isinstance(where, Not):
        yield from fields_of(where.part)
    else:
        yield where.field


def _one(name: str, value: Any) -> Where:
    if value is None:
        return IsNull(name)
    if isinstance(value, list | tuple | set | frozenset):
        known = In(name, tuple(_value(name, item) for item in value if item is not None))
        return Some((known, IsNull(name))) if None in value else known
    return Compare(name, "=", _value(name, value))


def _value(name: str, value: Any) -> Value:
    if isinstance(value, str | bool | Decimal | datetime):
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    msg = f"where: {name} takes text, a number, a boolean, a datetime, None or a list of them, not {value!r}"
    raise LedgerError(msg)


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    while source[at:].strip():
        match = _TOKEN.match(source, at)
        if match is None:
            raise _wrong(source, at + len(source[at:]) - len(source[at:].lstrip()), "cannot be read")
        kind = match.lastgroup or ""
        text = match[kind]
        word = text.lower() if kind == "name" and text.lower() in _WORDS else ""
        yield _Token("word" if word else kind, word or text, match.start(kind))
        at = match.end()
    yield _Token("end", "the end", len(source))


def _wrong(source: str, at: int, problem: str) -> LedgerError:
    return LedgerError(f"where: {source[at : at + 20] or 'the end'!r} {problem}\n  {source}\n  {' ' * at}^")


class _Parser:
    """Recursive descent: `or` binds less than `and`, and that less than `not`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(_tokens(source))
        self._next = 0
        self._depth = 0

    def whole(self) -> Where:
        where = self._some()
        if self._peek.kind != "end":
            self._fail("is not expected here: join conditions by `and` or `or`")
        return where

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _fail(self, problem: str) -> NoReturn:
        raise _wrong(self._source, self._peek.at, problem)

    def _take(self) -> _Token:
        token = self._peek
        self._next += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> bool:
        found = self._peek.kind in ("word", "op") and self._peek.text in texts
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(f"stands where {text!r} was expected")

    def _some(self) -> Where:
        parts = [self._every()]
        while self._accept("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self) -> Where:
        parts = [self._negatable()]
        while self._accept("and"):
            parts.append(self._negatable())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _negatable(self) -> Where:
        self._depth += 1
        if self._depth > 100:  # noqa: PLR2004 -- deeper than any person writes, shallower than Python's stack
            self._fail("is nested too deeply")
        if self._accept("not"):
            where: Where = Not(self._negatable())
        elif self._accept("("):
            where = self._some()
            self._expect(")")
        else:
            where = self._comparison()
        self._depth -= 1
        return where

    def _comparison(self) -> Where:
        if self._peek.kind != "name":
            self._fail("stands where a field was expected")
        field = self._take().text
        if self._accept("is"):
            negated = self._accept("not")
            self._expect("null")
            return Not(IsNull(field)) if negated else IsNull(field)
        negated = self._accept("not")
        where = self._test(field)
        return Not(where) if negated else where

    def _test(self, field: str) -> Where:
        if self._accept("in"):
            return In(field, tuple(self._list()))
        if self._accept("like"):
            return Compare(field, "like", self._literal())
        op = _SYNONYM.get(self._peek.text, self._peek.text)
        if self._peek.kind != "op" or op not in OPPOSITE:
            self._fail("stands where one of = != < <= > >= in like is was expected")
        self._take()
        return Compare(field, op, self._literal())

    def _list(self) -> Iterator[Value]:
        self._expect("(")
        yield self._literal()
        while self._accept(","):
            yield self._literal()
        self._expect(")")

    def _literal(self) -> Value:
        if self._peek.kind == "text":
            text = self._take().text
            return text[1:-1].replace(text[0] * 2, text[0])
        if self._peek.kind == "number":
            return Decimal(self._take().text)
        if self._peek.kind == "word" and self._peek.text in _TRUTH:
            return _TRUTH[self._take().text]
        return self._fail("stands where a value was expected: text goes in quotes")
