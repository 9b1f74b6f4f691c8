"""Reads a section of a plan: every error names the file, the place and the field, and says what it takes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from spanledger._nearest import nearest
from spanledger.errors import PlanError
from spanledger.finops._exact import to_femto

_MISSING: Any = object()


def csv_rows(path: Path, wrong: Callable[[str], PlanError]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, cells without one left out; `wrong` makes the error of what ails it."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines, restkey=""))
    except OSError as error:
        raise wrong(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise wrong("is not UTF-8 text") from None
    except csv.Error as error:
        raise wrong(f"is no CSV file: {error}") from None
    return [{name: cell for name, cell in row.items() if name} for row in rows]


class Section:
    """One table of a plan. Each field is taken once; `done` refuses what nobody took."""

    def __init__(self, file: str, where: str, data: Any) -> None:
        """`where` is what a person would call the table: `pool 'gateway'`."""
        self.file = file
        self.where = where
        if not isinstance(data, Mapping):
            raise self.error("", f"is {data!r}, and must be a table")
        self.left = dict(data)
        self.known: list[str] = []

    def error(self, field: str, what: str) -> PlanError:
        """A `PlanError` that says file, place and field."""
        return PlanError(": ".join(part for part in (self.file, self.where, field) if part) + f" {what}")

    def has(self, field: str) -> bool:
        """Whether the field is there, not yet taken."""
        return field in self.left

    def take(self, field: str, kind: type | tuple[type, ...], takes: str, default: Any = _MISSING) -> Any:
        """The value of a field of that kind, or the default where there is one."""
        self.known.append(field)
        value = self.left.pop(field, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                raise self.error(field, f"is missing: it takes {takes}")
            return default
        value = list(value) if isinstance(value, tuple) else value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(field, f"is {value!r}: it takes {takes}")
        return value

    def text(self, field: str, default: Any = _MISSING) -> Any:
        """Text."""
        return self.take(field, str, "text", default)

    def texts(self, field: str, default: Any = _MISSING) -> tuple[str, ...]:
        """A list of text; a single text is a list of one."""
        value = self.take(field, (str, list), "a list of text", default)
        found = [value] if isinstance(value, str) else value
        if not all(isinstance(item, str) for item in found):
            raise self.error(field, f"is {value!r}: it takes a list of text")
        return tuple(found)

    def day(self, field: str) -> date | None:
        """A date, `None` where the field is absent."""
        value = self.take(field, date, "a date such as 2026-11-01", None)
        return value.date() if isinstance(value, datetime) else value

    def choice(self, field: str, choices: Iterable[str], default: Any = _MISSING) -> Any:
        """One of the choices."""
        value = self.text(field, default)
        if value != default and value not in choices:
            raise self.error(field, f"is {value!r}: it takes {' | '.join(choices)}{did_you_mean(value, choices)}")
        return value

    def money(self, field: str, default: Any = _MISSING) -> Any:
        """An amount in integers of 1e-15, written as text, an integer or a TOML decimal."""
        value = self.take(field, (str, int, Decimal), "an amount such as '1000.00'", default)
        if value is default:
            return value
        try:
            return to_femto(value)
        except PlanError as error:
            raise self.error(field, str(error)) from None

    def number(self, field: str, default: Any = _MISSING) -> Any:
        """An exact number that is not negative."""
        value = self.take(field, (int, Decimal), "a number", default)
        if value is default:
            return value
        return self._positive(field, value)

    def numbers(self, field: str, default: Any = _MISSING) -> Any:
        """A table of owner to number, none negative."""
        value = self.take(field, dict, "a table such as { search = 12, support = 5 }", default)
        return value if value is default else self.weights(field, value)

    def weights(self, field: str, value: Mapping[str, Any]) -> dict[str, Decimal]:
        """A table that is already taken, every value a number that is not negative."""
        return {key: self._positive(f"{field}.{key}", number) for key, number in value.items()}

    def _positive(self, field: str, value: Any) -> Decimal:
        number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else Decimal("NaN")
        if not number.is_finite() or number < 0:
            raise self.error(field, f"is {value!r}: it takes a number of zero or more")
        return number

    def sections(self, field: str, name: str) -> list[Section]:
        """A list of tables; each is called by its own `name` field where it has one."""
        value = self.take(field, list, f"tables: [[{field}]]", [])
        return [self.inner(f"{name} {_called(item, number)}", item) for number, item in enumerate(value, 1)]

    def inner(self, where: str, data: Any) -> Section:
        """A table within this one."""
        return Section(self.file, f"{self.where}: {where}" if self.where else where, data)

    def done(self) -> None:
        """Refuses a field that the plan does not have."""
        for field in self.left:
            raise self.error(field, f"is not a field here{did_you_mean(field, self.known)}")


def _called(item: Any, number: int) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return repr(name) if isinstance(name, str) else f"number {number}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`: did you mean 'x'?` where a name is close, else nothing."""
    found = nearest(name, names)
    return f": did you mean {found!r}?" if found else ""


def require_levels(asked: Iterable[str], known: Sequence[str], of: str) -> None:
    """Raises `PlanError` for a level that is not among the known; `of` is what has those, such as `the statement`."""
    for name in asked:
        if name not in known:
            msg = f"by: {name!r} is no level of {of}: {', '.join(known)}"
            raise PlanError(msg)
