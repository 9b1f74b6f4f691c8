"""The relation that every question is asked of: all rows of all files, and of those the current view."""

from __future__ import annotations

from typing import Final, NamedTuple

from spanledger.ledger._fields import Field
from spanledger.ledger._repeats import Repeats
from spanledger.ledger._rolled import Days

EXTRA: Final = Field("extra", "", ("extra",))
"""What a newer version of spanledger wrote and this one does not know, as JSON text."""


class Piece(NamedTuple):
    """Two SELECTs over some days: `history`, every row ever written, and `current`, each charge as it is now.

    `currency` is that of every row, where it is known to be one.
    """

    current: str
    history: str
    currency: str | None = None


class Relation(NamedTuple):
    """A ledger in pieces, no charge and no correction of it in two of them; `rolled` are days whose rows are sums."""

    pieces: tuple[Piece, ...]
    rolled: Days = ()

    def named(self) -> dict[str, str]:
        """What SQL finds under which name: no `history` where rows are sums, for it is not known any more."""
        return {"charges": self.current} if self.rolled else {"history": self.history, "charges": self.current}

    @property
    def current(self) -> str:
        """A SELECT of each charge as it is now."""
        return " UNION ALL BY NAME ".join(piece.current for piece in self.pieces)

    @property
    def history(self) -> str:
        """A SELECT of every row ever written."""
        return " UNION ALL BY NAME ".join(piece.history for piece in self.pieces)


def as_it_is_now(rows: str, narrow: str, repeats: Repeats) -> str:
    """A SELECT of each charge of `rows` as it is now; `narrow` is the same rows, to look for corrections in."""
    kept = _superseded(narrow) if repeats.corrections else "TRUE"
    once = "QUALIFY row_number() OVER (PARTITION BY charge_id) = 1" if repeats.duplicates else ""
    return f"SELECT * FROM ({rows}) WHERE {kept} {once}"


def portable(rows: str) -> Relation:
    """The same relation in the SQL that every engine has, over rows of any engine. Nothing is looked up beforehand."""
    once = f"SELECT *, row_number() OVER (PARTITION BY charge_id ORDER BY started_at) AS nth FROM ({rows}) AS history"
    first = "row_number() OVER (PARTITION BY corrects ORDER BY charge_id DESC)"
    corrections = f"SELECT charge_id, corrects, {first} AS nth FROM ({rows}) AS history WHERE corrects IS NOT NULL"
    earlier = f"SELECT charge_id FROM ({corrections}) AS found WHERE nth > 1"
    gone = f"SELECT corrects FROM ({corrections}) AS found UNION ALL {earlier}"
    current = f"SELECT * FROM ({once}) AS numbered WHERE nth = 1 AND charge_id NOT IN ({gone})"
    return Relation((Piece(current, rows),))


def _superseded(rows: str) -> str:
    """A charge is gone when another corrects it, and so is a correction of the same charge with an earlier id."""
    corrections = f"(SELECT DISTINCT charge_id, corrects FROM ({rows}) WHERE corrects IS NOT NULL)"
    latest_first = "row_number() OVER (PARTITION BY corrects ORDER BY charge_id DESC)"
    earlier = f"SELECT charge_id FROM {corrections} QUALIFY {latest_first} > 1"
    return f"charge_id NOT IN (SELECT corrects FROM {corrections} UNION ALL {earlier})"
