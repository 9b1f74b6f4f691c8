"""The relation that every question is asked of: all rows of all files, and of those the current view."""

from __future__ import annotations

from typing import Final, NamedTuple

from spanledger.ledger._fields import Field

EXTRA: Final = Field("extra", "", ("extra",))
"""What a newer version of spanledger wrote and this one does not know, as JSON text."""


class Repeats(NamedTuple):
    """Whether any charge stands twice, and whether any is corrected. Most ledgers have neither and pay for neither."""

    duplicates: bool = False
    corrections: bool = False


class Relation(NamedTuple):
    """Two SELECTs over a ledger: `history`, every row ever written, and `current`, each charge as it is now."""

    current: str
    history: str


def relation(rows: str, every_day: str, repeats: Repeats) -> Relation:
    """The relation over `rows`; corrections are looked for in `every_day`, of which `rows` may be a part."""
    kept = _superseded(every_day) if repeats.corrections else "TRUE"
    once = "QUALIFY row_number() OVER (PARTITION BY charge_id) = 1" if repeats.duplicates else ""
    return Relation(f"SELECT * FROM ({rows}) WHERE {kept} {once}", rows)


def look(rows: str) -> str:
    """The question whether `rows` repeat: `duplicates` and `corrections`, counted."""
    return f"SELECT count(*) - count(DISTINCT charge_id) AS duplicates, count(corrects) AS corrections FROM ({rows})"


def _superseded(every_day: str) -> str:
    """A charge is gone when another corrects it, and so is a correction of the same charge with an earlier id."""
    corrections = f"(SELECT DISTINCT charge_id, corrects FROM ({every_day}) WHERE corrects IS NOT NULL)"
    latest_first = "row_number() OVER (PARTITION BY corrects ORDER BY charge_id DESC)"
    earlier = f"SELECT charge_id FROM {corrections} QUALIFY {latest_first} > 1"
    return f"charge_id NOT IN (SELECT corrects FROM {corrections} UNION ALL {earlier})"
