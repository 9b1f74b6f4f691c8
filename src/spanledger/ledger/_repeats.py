"""Whether charges of a ledger stand twice or are corrected: found out once for the same files, and only where needed.

A merged file of a day has each charge once, and says how many corrections it has; so a sealed and merged past costs
nothing here. Looked through are open segments, the days that they touch, and days of several files. A correction keeps
the `started_at` of what it corrects, so both are of one day, and no other day need be compared with it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from spanledger.ledger._files import Files, Sealed, by_day
from spanledger.ledger.engines.duckdb import DuckDB, every_row

Signature: TypeAlias = "tuple[tuple[Path, int], ...]"


class Repeats(NamedTuple):
    """Whether any charge stands twice, and whether any is corrected. Most ledgers have neither and pay for neither.

    `where` are the sealed files that may have such, with the open segments; in all others each charge is as it is now.
    """

    duplicates: bool = False
    corrections: bool = False
    where: frozenset[Path] = frozenset()


NO_REPEATS: Final = Repeats()


class Looker:
    """Looks for repeats, and remembers what it found for the same files."""

    def __init__(self, database: DuckDB) -> None:
        self._database = database
        self._seen: tuple[Signature, Repeats] | None = None

    def look(self, files: Files) -> Repeats:
        """The repeats in these files."""
        signature = _signature(files)
        if self._seen is None or self._seen[0] != signature:
            self._seen = signature, self._find(files)
        return self._seen[1]

    def _find(self, files: Files) -> Repeats:
        facts = self._database.facts(file.path for file in files.sealed)
        unsettled = Files(files.open, tuple(self._unsettled(files)))
        ((duplicates, corrections),) = self._database.rows(
            f"SELECT count(*) - count(DISTINCT charge_id), count(corrects) FROM ({every_row(unsettled)})"
        )
        corrected = {path for path, known in facts.items() if known.corrections}
        where = corrected.union(file.path for file in unsettled.sealed)
        return Repeats(duplicates > 0, corrections > 0 or bool(corrected), frozenset(where))

    def _unsettled(self, files: Files) -> list[Sealed]:
        touched = self._days(files)
        days = by_day(files.sealed)
        facts = self._database.facts(file.path for file in files.sealed)
        return [
            file
            for day, several in days.items()
            for file in several
            if len(several) > 1 or day in touched or facts[file.path].corrections is None
        ]

    def _days(self, files: Files) -> set[date]:
        if not files.open or not files.sealed:
            return set()
        rows = every_row(Files(files.open, ()))
        return {day for (day,) in self._database.rows(f"SELECT DISTINCT CAST(started_at AS DATE) FROM ({rows})")}


def _signature(files: Files) -> Signature:
    paths = [*(segment.path for segment in files.open), *(file.path for file in files.sealed)]
    return tuple((path, path.stat().st_size) for path in paths)
