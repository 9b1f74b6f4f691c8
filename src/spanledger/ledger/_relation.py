"""The relation that every question is asked of: all rows of all files, and of those the current view."""

from __future__ import annotations

from typing import Final, NamedTuple

from spanledger.ledger._fields import Field
from spanledger.ledger._repeats import Repeats
from spanledger.ledger._rolled import Days

EXTRA: Final = Field("extra", "", ("extra",))
"""What a newer version of spanledger wrote and this one does not know, as JSON text."""


class Relation(NamedTuple):
    """Two SELECTs over a ledger: `history`, every row ever written, and `current`, each charge as it is now.

    `currency` is that of every row, where it is known to be one. `rolled` are the days whose rows are sums of charges.
    """

    current: str
    history: str
    currency: str | None = None
    rolled: Days = ()

    def named(self) -> dict[str, str]:
        """What SQL finds under which name: no `history` where rows are sums, for it is not known any more."""
        return {"charges": self.current} if self.rolled else {"history": self.history, "charges": self.current}


def relation(rows: str, narrow: str, repeats: Repeats) -> Relation:
    """The relation over `rows`; `narrow` is the same rows without `extra`, to look for corrections in.

    A correction keeps the `started_at` of what it corrects, so both are of one day, and no other day need be read.
    """
    kept = _superseded(narrow) if repeats.corrections else "TRUE"
    once = "QUALIFY row_number() OVER (PARTITION BY charge_id) = 1" if repeats.duplicates else ""
    return Relation(f"SELECT * FROM ({rows}) WHERE {kept} {once}", rows)


def portable(rows: str) -> Relation:
    """The same relation in the SQL that every engine has, over rows of any engine. Nothing is looked up beforehand."""
    once = f"SELECT *, row_number() OVER (PARTITION BY charge_id ORDER BY started_at) AS nth FROM ({rows}) AS history"
    first = "row_number() OVER (PARTITION BY corrects ORDER BY charge_id DESC)"
    corrections = f"SELECT charge_id, corrects, {first} AS nth FROM ({rows}) AS history WHERE corrects IS NOT NULL"
    earlier = f"SELECT charge_id FROM ({corrections}) AS found WHERE nth > 1"
    gone = f"SELECT corrects FROM ({corrections}) AS found UNION ALL {earlier}"
    return Relation(f"SELECT * FROM ({once}) AS numbered WHERE nth = 1 AND charge_id NOT IN ({gone})", rows)


def _superseded(rows: str) -> str:
    """A charge is gone when another corrects it, and so is a correction of the same charge with an earlier id."""
    corrections = f"(SELECT DISTINCT charge_id, corrects FROM ({rows}) WHERE corrects IS NOT NULL)"
    latest_first = "row_number() OVER (PARTITION BY corrects ORDER BY charge_id DESC)"
    earlier = f"SELECT charge_id FROM {corrections} QUALIFY {latest_first} > 1"
    return f"charge_id NOT IN (SELECT corrects FROM {corrections} UNION ALL {earlier})"
