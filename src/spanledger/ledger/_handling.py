"""What becomes of a question that meets rolled-up days: answered, told apart from them, or refused with the way around.

A question that needs what was not kept is refused, with the days that stand against it; none is answered from what is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from spanledger.errors import LedgerError
from spanledger.ledger._fields import UNIT, Field
from spanledger.ledger._files import Files
from spanledger.ledger._period import Period
from spanledger.ledger._rolled import ALWAYS, PERIODS, Days, Rolled, columns_of, kept_of, span_of, spans_of

Handling: TypeAlias = "Callable[[Days, Period], bool]"
"""Says whether the rows of rolled-up days are to be read. Raises `LedgerError` where they cannot answer a question."""

_SPANS: Final = 4
"""So many stretches of days a message names."""

_MIDNIGHT: Final = datetime.min.time()


def chosen(rolled: str, choices: Mapping[str, Handling]) -> Handling:
    """The handling that `rolled=` names. Raises `LedgerError` that names the choices."""
    if rolled in choices:
        return choices[rolled]
    msg = f"rolled: takes {' or '.join(choices)}, not {rolled!r}"
    raise LedgerError(msg)


def handled(files: Files, days: Days, within: Period, handling: Handling) -> tuple[Files, Days]:
    """The files that are to be read for a question, and the rolled-up days among them."""
    if not days or handling(days, within):
        return files, days
    gone = {day.path for day in days}
    return files._replace(sealed=tuple(file for file in files.sealed if file.path not in gone)), ()


def refuse(what: str) -> Handling:
    """For questions about single charges."""

    def handle(days: Days, within: Period) -> bool:
        way = _around(days, within)
        told = f"{what}: {_named(days)} {_are(days)} rolled up, single charges are gone: ask cost()"
        msg = told + (_or(way) or ", or about other days")
        raise LedgerError(msg)

    return handle


def skip(days: Days, within: Period) -> bool:  # noqa: ARG001 -- the shape of a `Handling`
    """For questions that mean only what is there in full."""
    return False


def include(days: Days, within: Period) -> bool:
    """For questions that know that rows are sums."""
    _refuse_dropped(days, within)
    return True


def answer(by: Iterable[Field], where: Iterable[Field]) -> Handling:
    """For sums by some fields and a condition on others."""
    asked = [*(("by", field) for field in by), *(("where", field) for field in where)]

    def handle(days: Days, within: Period) -> bool:
        _refuse_dropped(days, within)
        _refuse_parts(days, within)
        for role, field in asked:
            if lacking := tuple(day for day in days if not _has(day.told, field)):
                msg = f"{role}: {_lacks(field, lacking)}{_or(_around(lacking, within))}"
                raise LedgerError(msg)
        return True

    return handle


def explained(error: LedgerError, days: Days, within: Period) -> LedgerError:
    """What an engine said of a question to rolled-up days, and what those have."""
    has = f"there, charges has only {', '.join(columns_of(days))}, and there is no history"
    return LedgerError(f"{error}\n{_named(days)} {_are(days)} rolled up; {has}{_or(_around(days, within))}")


def _has(told: Rolled, field: Field) -> bool:
    if field is UNIT or field.part in PERIODS:
        return True
    if field.key is not None:
        return f"tag:{field.key}" in told.kept
    return set(field.columns) <= {*ALWAYS, *told.kept}


def _refuse_dropped(days: Days, within: Period) -> None:
    if dropped := tuple(day for day in days if day.told.dropped):
        count = sum(day.told.charges for day in dropped)
        told = f"{_named(dropped)}: {count} charges were dropped, so no sum over them is known"
        raise LedgerError(told + _or(_around(dropped, within)))


def _refuse_parts(days: Days, within: Period) -> None:
    """A rolled-up day counts whole or not at all."""
    rolled = {day.day for day in days}
    for name, moment in (("since", within.since), ("until", within.until)):
        if moment and moment.time() != _MIDNIGHT and (cut := moment.date()) in rolled:
            told = f"{name}: {moment} is in the middle of {cut}, which is rolled up and counts whole or not at all"
            msg = f"{told}; say {name}='{cut}' or {name}='{cut + timedelta(days=1)}'"
            raise LedgerError(msg)


def _lacks(field: Field, days: Days) -> str:
    kept = "; ".join(f"{span_of(group)} kept {kept_of(group[0].told)}" for group in _few(spans_of(days)))
    return f"{field.name} is not known of every charge where days are rolled up: {kept}{_more(days)}. Ask without it"


def _around(days: Days, within: Period) -> str | None:
    """How to ask without these days; `None` where nothing of the period would be left."""
    first, after = days[0].day, days[-1].day + timedelta(days=1)
    if within.until is None or after < within.until.date():
        return f"since='{after}'"
    return f"until='{first}'" if within.since is not None and first > within.since.date() else None


def _or(way: str | None) -> str:
    return f", or say {way}" if way else ""


def _named(days: Days) -> str:
    return ", ".join(map(span_of, _few(spans_of(days)))) + _more(days)


def _are(days: Days) -> str:
    return "is" if len({day.day for day in days}) == 1 else "are"


def _few(spans: Collection[Days]) -> list[Days]:
    return list(spans)[:_SPANS]


def _more(days: Days) -> str:
    left = len(spans_of(days)) - _SPANS
    return f" and {left} more stretches of days" if left > 0 else ""
