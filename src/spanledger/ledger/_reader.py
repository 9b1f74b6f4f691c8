"""The relation that a question is asked of, in DuckDB or elsewhere, while the files under it come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from spanledger.errors import LedgerError
from spanledger.ledger._damage import blamed, is_nameless
from spanledger.ledger._facts import Facts
from spanledger.ledger._files import Files, scan
from spanledger.ledger._handling import Handling, handled
from spanledger.ledger._locks import all_held
from spanledger.ledger._overdue import Overdue
from spanledger.ledger._period import ALWAYS, Period
from spanledger.ledger._relation import Piece, Relation, as_it_is_now, portable
from spanledger.ledger._repeats import NO_REPEATS, Looker, Repeats
from spanledger.ledger._rolled import Days, in_period
from spanledger.ledger._rolling import refuse_lost_corrections
from spanledger.ledger._room import with_room
from spanledger.ledger._translate import translated
from spanledger.ledger.engines import Engine
from spanledger.ledger.engines.duckdb import PLAIN, DuckDB, Shape, every_row, in_force

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_TRIES: Final = 5
"""So often a question is asked over files that were replaced meanwhile."""
_PATIENCE: Final = 2
"""After so many of them, sealing has to wait for it."""


class Place(NamedTuple):
    """The directory of a ledger, and where it was shipped to if that is a copy of what stands elsewhere."""

    root: Path
    source: str | None = None


class Reader:
    """Asks the files of a ledger: by `database`, and by `other` where another engine is to answer."""

    def __init__(self, place: Place, database: DuckDB, other: Engine | None, overdue: Overdue) -> None:
        self.database = database
        self.other = other
        self._place = place
        self._repeats = Looker(database)
        self._overdue = overdue

    @property
    def asked(self) -> Engine | DuckDB:
        """The engine that answers."""
        return self.other or self.database

    def files(self, within: Period) -> Files:
        """The files of this moment; of a ledger elsewhere, those of the period are here by then."""
        if self._place.source:
            from spanledger.ledger._ship import fetch

            fetch(self._place.source, self._place.root, within=within)
        return scan(self._place.root)

    def over_files(self, ask: Callable[[Files], T], within: Period = ALWAYS) -> T:
        """Asks over the files of this moment, and once more where a sealing process has replaced one meanwhile.

        One that works off many segments would do so again and again: from the third time on it has to wait.
        """
        with ExitStack() as stack:
            for tries in range(_TRIES):
                if tries >= _PATIENCE:
                    stack.enter_context(all_held(segment.path for segment in scan(self._place.root).open))
                files = self.files(within)
                try:
                    return with_room(self._place.root, self.database, partial(ask, files))
                except (LedgerError, FileNotFoundError) as error:
                    if scan(self._place.root) != files:
                        continue
                    if isinstance(error, LedgerError) and is_nameless(error):
                        raise blamed(self.database, error, [file.path for file in files.sealed]) from error
                    raise
            return ask(self.files(within))

    def over_relation(
        self, ask: Callable[[Relation], T], within: Period, handling: Handling, shape: Shape = PLAIN
    ) -> T:
        """Asks over the relation of this moment's files."""

        def over(files: Files) -> T:
            files = in_force(self.database, files.within(within))
            facts = self.database.facts(file.path for file in files.sealed)
            files, days = handled(files, in_period(files, facts, within), within, handling)
            answer = ask(self._relation(files, days, shape))
            self._overdue.look(files)
            return answer

        return self.over_files(over, within)

    def answered(self, relation: Relation, query: str, params: Sequence[Any]) -> pa.Table:
        """The answer to SQL over `charges` and, where no row is a sum, `history`."""
        if self.other:
            dialect = self.other.dialect()
            return self.other.query(translated(query, params, relation, dialect), dialect.params)
        self.database.rows("DROP VIEW IF EXISTS history")
        for name, rows in relation.named().items():
            self.database.rows(f"CREATE OR REPLACE TEMP VIEW {name} AS {rows}")
        return self.database.query(query, params)

    def _relation(self, files: Files, days: Days, shape: Shape) -> Relation:
        if self.other:
            return self._elsewhere(files, days, self.other)
        repeats = self._repeats.look(files)
        self._refuse_lost_corrections(files, days, repeats)
        apart = not days  # rows that are sums have columns that charges do not have
        settled = tuple(file for file in files.sealed if apart and file.path not in repeats.where)
        rest = Files(files.open, tuple(file for file in files.sealed if file not in settled))
        pieces = []
        if settled:
            pieces.append(self._piece(Files((), settled), shape, NO_REPEATS))
        if not settled or rest.open or rest.sealed:
            pieces.append(self._piece(rest, shape, repeats))
        return Relation(tuple(pieces), days)

    def _piece(self, files: Files, shape: Shape, repeats: Repeats) -> Piece:
        facts = self.database.facts(file.path for file in files.sealed)
        rows = every_row(files, shape, facts)
        current = as_it_is_now(rows, every_row(files), repeats)
        return Piece(current, rows, _only_currency(files, facts.values()))

    def _elsewhere(self, files: Files, days: Days, other: Engine) -> Relation:
        if not files.sealed:
            msg = f"{self._place.root}: no sealed day to ask another engine about; run `spanledger seal` first"
            raise LedgerError(msg)
        if days:
            sealed = files._replace(open=())
            self._refuse_lost_corrections(sealed, days, self._repeats.look(sealed))
        return portable(other.rows([file.path for file in files.sealed]))._replace(rolled=days)

    def _refuse_lost_corrections(self, files: Files, days: Days, repeats: Repeats) -> None:
        if days and repeats.corrections:
            refuse_lost_corrections(self.database, every_row(files), days)


def _only_currency(files: Files, facts: Iterable[Facts]) -> str | None:
    """The currency of every row, where the files say that there is one."""
    found = {known.currency for known in facts}
    return found.pop() if len(found) == 1 and not files.open else None


def located(address: str) -> Place:
    """Where a ledger of this address is read. Raises `LedgerError` where nothing was shipped to it."""
    if "://" not in address:
        return Place(Path(address))
    from spanledger.ledger._ship import cache_of, shipped_at

    shipped_at(address)
    return Place(cache_of(address), address)
