"""`verify`: does the ledger hold what it should. `repair`: puts right what can be, and loses nothing by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanledger.ledger._compact import compact
from spanledger.ledger._damage import trouble
from spanledger.ledger._files import OPEN, SEALED, Files, Sealed, scan
from spanledger.ledger._health import Health, health
from spanledger.ledger._locks import held
from spanledger.ledger._parquet import facts_of
from spanledger.ledger._rolled import COUNT
from spanledger.ledger._room import with_room
from spanledger.ledger._seal import seal
from spanledger.ledger._workspace import abandoned, remove_abandoned
from spanledger.ledger.engines.duckdb import DuckDB, every_row, in_force, parquet

STALE_SECONDS: Final = 3600
"""A hidden file of this age is the remains of a process that died before it was done."""

INVARIANTS: Final = {
    "a cost without an amount": "cost_status IN ('exact', 'estimated', 'partial') AND list_cost IS NULL",
    "an amount without a price": "cost_status = 'unknown' AND list_cost IS NOT NULL",
    "a negative amount": "list_cost < 0 OR contracted_cost < 0 OR effective_cost < 0",
    "a negative count of tokens": "input_tokens < 0 OR output_tokens < 0",
    "parts that do not sum to the list cost": """costs IS NOT NULL AND cost_status IN ('exact', 'estimated')
        AND list_cost <> CAST(list_sum(map_values(costs)) AS DECIMAL(38, 15))""",
    "an unknown status": "status NOT IN ('ok', 'error', 'aborted')",
    "a charge that corrects itself": "corrects = charge_id",
}
"""What no charge should be; each is a condition that finds those that are."""


class Verification(NamedTuple):
    """What `verify` found: rows and their sum, and every problem as a sentence. `notes` are no problems."""

    rows: int
    charges: int
    list_cost: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        head = f"{self.rows} rows, {self.charges} charges, list cost {self.list_cost}"
        verdict = "no problem" if self.ok else f"{len(self.problems)} problems"
        return "\n".join([f"{head}: {verdict}", *self.problems, *self.notes])


def verify(root: Path) -> Verification:
    """Reads every row of every file. Raises `LedgerError` only where there is no ledger at all."""
    database = DuckDB()
    return with_room(root, database, partial(_verified, root, database))


def _verified(root: Path, database: DuckDB) -> Verification:
    files = scan(root)
    readable, broken = _readable(database, files)
    files = in_force(database, files._replace(sealed=readable))
    rows, charges, cost = _sums(database, files)
    state = health(root)
    by_file = [*_misplaced(database, files), *_misstated(database, files)]
    problems = [*broken, *_bad_lines(state), *_bad_rows(database, files), *by_file]
    return Verification(rows, charges, cost, tuple(problems), tuple(_notes(root, state)))


def repair(root: Path) -> list[str]:
    """Seals what can be, which brings broken lines into quarantine, merges, and removes stale remains.

    Returns what was done, a sentence each.
    """
    told = [f"removed {path}: left by a process that died" for path in [*_remove_stale(root), *remove_abandoned(root)]]
    sealed = seal(root)
    if sealed.segments:
        told.append(f"sealed {sealed.segments} segments, {sealed.quarantined} lines in quarantine")
    if merged := compact(root):
        told.append(f"merged {merged} sealed files away")
    return told


def _readable(database: DuckDB, files: Files) -> tuple[tuple[Sealed, ...], list[str]]:
    """The sealed files that can be read to the end, and a sentence on each that cannot."""
    good, broken = [], []
    for file in files.sealed:
        if found := trouble(database, file.path):
            broken.append(f"{file.path}: cannot be read: {found}")
        else:
            good.append(file)
    return tuple(good), broken


def _sums(database: DuckDB, files: Files) -> tuple[int, int, str]:
    sums = f"CAST(coalesce(sum({COUNT} - 1), 0) AS BIGINT)"
    asked = f"count(*) AS rows, count(DISTINCT charge_id) + {sums} AS charges, coalesce(sum(list_cost), 0) AS cost"
    (row,) = database.query(f"SELECT {asked} FROM ({every_row(files)})").to_pylist()
    return row["rows"], row["charges"], format(row["cost"].normalize(), "f")


def _bad_lines(state: Health) -> Iterator[str]:
    for name, lines in state.segments.items():
        if lines.corrupt:
            yield f"{OPEN}/{name}: {lines.corrupt} lines are no charge; `spanledger repair` keeps them in quarantine"


def _bad_rows(database: DuckDB, files: Files) -> Iterator[str]:
    """A sentence for each invariant that some charge breaks, with one example."""
    tests = [f"count(*) FILTER (WHERE {sql}), any_value(charge_id) FILTER (WHERE {sql})" for sql in INVARIANTS.values()]
    found = _one_row(database, f"SELECT {', '.join(tests)} FROM ({every_row(files)})")
    for name, count, example in zip(INVARIANTS, found[::2], found[1::2], strict=True):
        if count:
            yield f"{count} rows have {name}, e.g. {example}"
    dangling = (
        f"WITH rows AS (SELECT charge_id, corrects, CAST(started_at AS DATE) AS day FROM ({every_row(files)})) "
        "SELECT count(*), any_value(charge_id) FROM rows "
        "WHERE corrects IS NOT NULL AND (corrects, day) NOT IN (SELECT charge_id, day FROM rows)"
    )
    count, example = _one_row(database, dangling)
    if count:
        yield f"{count} rows correct a charge that is not here or not of the same day, e.g. {example}"


def _misplaced(database: DuckDB, files: Files) -> Iterator[str]:
    """Sealed rows in the directory of another day: questions about a period would not find them."""
    for file in files.sealed:
        wrong = f"CAST(started_at AS DATE) IS DISTINCT FROM DATE '{file.day}'"
        (count,) = _one_row(database, f"SELECT count(*) FROM {parquet([file.path])} WHERE {wrong}")
        if count:
            yield f"{file.path}: {count} rows are of another day"


def _misstated(database: DuckDB, files: Files) -> Iterator[str]:
    """Sealed files whose footer says what their rows do not: questions would believe it, and answer wrongly."""
    for path, said in database.facts(file.path for file in files.sealed).items():
        rows = f"SELECT * FROM {parquet([path])}"
        columns = [name for name, *_ in database.connection.execute(f"DESCRIBE {rows}").fetchall()]
        if not said.holds_of(facts_of(database, rows, columns)):
            yield f"{path}: its footer says what its rows do not; another program wrote it; remove its metadata"


def _one_row(database: DuckDB, sql: str) -> tuple[Any, ...]:
    (row,) = database.connection.execute(sql).fetchall()
    return tuple(row)


def _notes(root: Path, state: Health) -> Iterator[str]:
    if state.torn:
        yield f"note: {state.torn} torn last lines: their processes died before the charge was acknowledged"
    yield from (f"note: {told}" for told in state.rolled)
    if state.lost:
        yield f"note: processes reported {state.lost} lost charges"
    for path in [*_stale(root), *abandoned(root)]:
        yield f"note: {path} was left by a process that died; `spanledger repair` removes it"


def _stale(root: Path) -> Iterator[Path]:
    for pattern in (f"{OPEN}/.*.new", f"{SEALED}/date=*/.*.tmp", ".meta-*", "health/.*", "quarantine/.*.tmp"):
        for path in root.glob(pattern):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                yield path


def _remove_stale(root: Path) -> Iterator[Path]:
    for path in list(_stale(root)):
        with held(path) as mine:
            if mine:
                path.unlink()
                yield path
