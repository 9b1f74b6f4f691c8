"""What `by=`, `where=` and `columns=` may name: columns, tags, and the dimensions made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from spanledger import _schema
from spanledger._nearest import nearest
from spanledger._types import COLUMNS, OWNERS
from spanledger.errors import LedgerError


class Field(NamedTuple):
    """One field of a charge as a question names it.

    `kind` is `text`, `number`, `flag`, `instant` or empty for what can be shown but not compared. `columns` are what
    it is made of, the first known one counts; `key` is looked up in the first where that is a map; `part` is the
    calendar period that a moment is cut to.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    key: str | None = None
    part: str | None = None


_KINDS: Final = {
    _schema.Text: "text",
    _schema.Integer: "number",
    _schema.Millis: "number",
    _schema.Money: "number",
    _schema.Flag: "flag",
    _schema.Instant: "instant",
}
PERIODS: Final = ("hour", "day", "week", "month")
UNIT: Final = Field("unit", "", ("costs", "usage"))
"""The billable units of a charge: one charge has several, so a question by unit counts each part once."""

FIELDS: Final = {
    **{column.name: Field(column.name, _KINDS.get(type(column), ""), (column.name,)) for column in COLUMNS},
    **{part: Field(part, "instant", ("started_at",), part=part) for part in PERIODS},
    "model": Field("model", "text", ("billed_model", "response_model", "request_model")),
    "unit": UNIT,
}
_TAG: Final = re.compile(r'tag:(?:"(?P<quoted>[^"]+)"|(?P<plain>[^"\s]+))\Z')


def resolve(name: str, role: str, tags: Callable[[], Collection[str]]) -> Field:
    """The field of a name. `role` is the argument that named it; `tags` gives the tags that the ledger has.

    A bare name that is no column is a tag where the ledger has one of that name. Raises `LedgerError` otherwise.
    """
    if found := FIELDS.get(name):
        return found
    if match := _TAG.match(name):
        return _tag(match["quoted"] or match["plain"])
    known = sorted(tags())
    if name in known:
        return _tag(name)
    raise _unknown(name, role, known)


def dimensions(by: str | Iterable[str], tags: Callable[[], Collection[str]]) -> tuple[Field, ...]:
    """The fields of `by=`: names, or one text with commas. Raises `LedgerError` on what cannot be grouped by."""
    names = by.split(",") if isinstance(by, str) else list(by)
    fields = tuple(resolve(name.strip(), "by", tags) for name in names if name.strip())
    for field in fields:
        if not field.kind and field is not UNIT:
            msg = f"by: {field.name} holds several values; for a tag write tag:NAME, for billable units write unit"
            raise LedgerError(msg)
    return tuple(dict.fromkeys(fields))


def tags_of(fields: Iterable[Field]) -> tuple[str, ...]:
    """The tags among some fields, each once."""
    return tuple(dict.fromkeys(field.key for field in fields if field.key is not None))


def _tag(key: str) -> Field:
    return FIELDS[key] if key in OWNERS else Field(key, "text", ("tags",), key=key)


def _unknown(name: str, role: str, tags: Collection[str]) -> LedgerError:
    close = nearest(name, [*FIELDS, *tags])
    hint = f" (did you mean {close}?)" if close else ""
    listed = f"; tags here: {', '.join(tags)}" if tags else ""
    fields = ", ".join(sorted(FIELDS))
    return LedgerError(f"{role}: there is no field {name!r}{hint}. Fields: {fields}, tag:NAME{listed}")
