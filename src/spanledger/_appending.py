"""Appending many rows to a ledger at once, for imports and corrections: here a row that is lost is an error."""

from __future__ import annotations

import os
from collections.abc import Iterable

from spanledger import _faults
from spanledger._types import Charge, Row
from spanledger.errors import LedgerError
from spanledger.sinks.ledger import LedgerSink


def append(ledger: str | os.PathLike[str], rows: Iterable[Row]) -> int:
    """Appends rows and returns how many. Raises `LedgerError` where the place did not take all of them."""
    lost, booked = _faults.counts["lost"], 0
    sink = LedgerSink(ledger)
    for row in rows:
        sink.book(Charge(row))
        booked += 1
    sink.close()
    if missing := _faults.counts["lost"] - lost:
        why = next((text for place, text in reversed(_faults.last.items()) if place.startswith(_faults.WRITE)), "")
        msg = f"{ledger}: {missing} of {booked} rows could not be written ({why}): mend that and ask again"
        raise LedgerError(msg)
    return booked
