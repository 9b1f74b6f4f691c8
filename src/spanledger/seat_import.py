"""From a CSV file of seats to a ledger: `spanledger import seats FILE LEDGER --period 2026-11`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from spanledger import _ids
from spanledger._appending import append
from spanledger._late import refuse_rolled_days
from spanledger._types import Charge
from spanledger._units import EXACT
from spanledger.finops import seats
from spanledger.finops._periods import Given
from spanledger.ledger import Ledger


class Imported(NamedTuple):
    """`booked` charges are new, `corrected` ones differ from what the ledger had, `known` ones do not."""

    booked: int
    corrected: int
    known: int


def import_seats(
    file: str | os.PathLike[str],
    ledger: str | os.PathLike[str],
    period: Given,
    *,
    tool: str = "",
    prorated: bool = False,
) -> Imported:
    """Books the seats of a period into a ledger, once however often it is asked; a changed line is a correction.

    See `spanledger.finops.seats` for the file. Raises `PlanError` that names the file, the line and the column.
    """
    return book(seats.charges(seats.read(file, tool=tool), period, prorated=prorated), ledger)


def book(rows: Iterable[dict[str, Any]], ledger: str | os.PathLike[str]) -> Imported:
    """Books rows of `spanledger.finops.seats`, each once by its `response_id`.

    Raises `LedgerError` where the ledger cannot be written.
    """
    known, rows = _known(Path(ledger)), list(rows)
    refuse_rolled_days(Path(ledger), rows)
    new = [row for row in rows if row["response_id"] not in known]
    moved = [row for row in rows if row["response_id"] in known and known[row["response_id"]][1] != _facts(row)]
    corrections = ({"corrects": known[row["response_id"]][0], **row} for row in moved)
    append(ledger, ({"charge_id": _ids.uuid7(), **row} for row in (*new, *corrections)))
    return Imported(len(new), len(moved), len(rows) - len(new) - len(moved))


_FACTS = ("team", "customer", "environment", "user_id", "effective_cost", "tags")


def _facts(row: dict[str, Any]) -> tuple[str, ...]:
    charge = Charge(row)
    return tuple(str(_plain(getattr(charge, name))) for name in _FACTS)


def _plain(value: Any) -> Any:
    """A value that compares equal however it was stored."""
    if isinstance(value, Mapping):
        return sorted(value.items())
    return value.normalize(EXACT) if isinstance(value, Decimal) else value


def _known(ledger: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    if not ledger.exists():
        return {}
    columns = ["charge_id", "corrects", "response_id", *_FACTS]
    found = Ledger(ledger).charges("operation in ('seat', 'credits')", columns=columns, rolled="skip")
    return {
        row["response_id"]: (row["corrects"] or row["charge_id"], tuple(str(_plain(row[name])) for name in _FACTS))
        for row in found
    }
