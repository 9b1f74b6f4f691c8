"""Charges that are imported into days that were rolled up: whether they are in the sums already cannot be told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spanledger._types import Row
from spanledger.errors import LedgerError


def refuse_rolled_days(ledger: Path, rows: Iterable[Row]) -> None:
    """Raises `LedgerError` that names the day where rows are of one that was rolled up; nothing is booked then."""
    if not ledger.exists():
        return
    from spanledger.ledger import Ledger

    rolled = {row["day"].isoformat() for row in Ledger(ledger).rolled()}
    if late := sorted(rolled.intersection(row["started_at"][:10] for row in rows)):
        days = ", ".join(late[:3]) + (" and more" if len(late) > 3 else "")  # noqa: PLR2004 -- enough to see which
        msg = f"{ledger}: {days}: rolled up, so what was imported before cannot be told; leave those days out"
        raise LedgerError(msg)
