"""Retention: sealed days that are older than a bound become sums by day and dimensions, exact to the last digit.

A day is rolled up as days are merged: its one new file says in its footer which files it stands for and what it does
not have any more; from the moment that it has its name readers leave the others out, and then they go. So a crash at
any point neither loses nor doubles a charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from spanledger._ids import uuid7
from spanledger.ledger import _parquet
from spanledger.ledger._compact import finish, standing
from spanledger.ledger._damage import named
from spanledger.ledger._files import OPEN, SEALED, day_of
from spanledger.ledger._locks import held
from spanledger.ledger._result import plain
from spanledger.ledger._rolled import PREFIX, Day, Rolled
from spanledger.ledger._rolling import Source, Summed, lost_corrections, sum_up
from spanledger.ledger._seal import publish, quarantine, seal
from spanledger.ledger._workspace import workspace
from spanledger.ledger.engines.duckdb import DuckDB


class Plan(NamedTuple):
    """What is to be kept of the days before `before`: the dimensions `kept`, or nothing where they are dropped."""

    before: date
    kept: tuple[str, ...]
    dropped: bool = False


class Retained(NamedTuple):
    """What one round did: the days that it rolled up, those that others were at work on, and corrections put aside."""

    days: tuple[Day, ...] = ()
    waiting: tuple[date, ...] = ()
    lost_corrections: int = 0

    def plus(self, other: Retained) -> Retained:
        """Both together."""
        return Retained(
            self.days + other.days, self.waiting + other.waiting, self.lost_corrections + other.lost_corrections
        )


class _Work(NamedTuple):
    """What a round of rolling up works with."""

    database: DuckDB
    root: Path
    scratch: Path
    plan: Plan


def first_kept(older_than: timedelta, now: datetime | None = None) -> date:
    """The first day that is not wholly older than a span of time."""
    return ((now or datetime.now(timezone.utc)) - older_than).date()


def retain(root: Path, plan: Plan) -> Retained:
    """Rolls up, or drops, the sealed days of the ledger at `root` by a plan. Doing it again does nothing more.

    Raises `LedgerError` where a file cannot be read; its day is left as it is.
    """
    seal(root)
    done = Retained()
    with workspace(root) as scratch:
        work = _Work(DuckDB(spill=scratch), root, scratch, plan)
        for folder in sorted(root.glob(f"{SEALED}/date=*")):
            if day_of(folder) < plan.before:
                with held(folder) as mine:
                    done = done.plus(_day(work, folder) if mine else Retained(waiting=(day_of(folder),)))
    return done


def _day(work: _Work, folder: Path) -> Retained:
    finish(work.database, folder)
    files = sorted(folder.glob("*.parquet"))
    if any((work.root / OPEN / f"{path.stem}.jsonl").exists() for path in files):
        return Retained(waiting=(day_of(folder),))
    facts = work.database.facts(files)
    told = [rolled for path in files if (rolled := facts[path].rolled)]
    if _is_done(work.plan, files, told):
        return Retained()
    with named(work.database, files):
        return _rolled_up(work, folder, files, told)


def _is_done(plan: Plan, files: Sequence[Path], told: Sequence[Rolled]) -> bool:
    """Nothing to do; and what comes late to a day that was dropped stays, as long as nobody asks to drop it too."""
    if not files or (not plan.dropped and any(one.dropped for one in told)):
        return True
    if len(files) > 1 or not told:
        return False
    return told[0].dropped if plan.dropped else set(told[0].kept) <= set(plan.kept)


def _rolled_up(work: _Work, folder: Path, files: Sequence[Path], told: Sequence[Rolled]) -> Retained:
    name, day = f"{PREFIX}{uuid7()}", day_of(folder)
    lost = lost_corrections(work.database, Source(files, day)) if told else []
    if lost:
        quarantine(work.root, _name_of(lost), map(_line, lost), work.scratch)
    kept = () if work.plan.dropped else _kept(work.plan, told)
    source = Source(files, day, [row["charge_id"] for row in lost])
    summed = sum_up(work.database, source, kept, name)
    rows = f"SELECT * FROM rolled{' LIMIT 0' if work.plan.dropped else ''}"
    said = _statement(work, rows, kept, summed, told)
    beside, path = work.scratch / f"{name}.parquet", folder / f"{name}.parquet"
    _parquet.write(work.database, rows, beside, standing(work.database, files), said)
    publish(beside, path)
    finish(work.database, folder)
    return Retained(days=(Day(path, day, said),), lost_corrections=len(lost))


def _kept(plan: Plan, told: Sequence[Rolled]) -> tuple[str, ...]:
    """The dimensions that are asked for and that were not forgotten before."""
    return tuple(name for name in plan.kept if all(name in one.kept for one in told))


def _statement(work: _Work, rows: str, kept: tuple[str, ...], summed: Summed, told: Sequence[Rolled]) -> Rolled:
    """What is left, and what is forgotten now or was before."""
    ((count,),) = work.database.rows(f"SELECT count(*) FROM ({rows})")
    moments = [moment.isoformat() + "Z" for moment in (summed.first, summed.last) if moment]
    moments += [moment for one in told for moment in (one.first, one.last) if moment]
    forgotten = dict.fromkeys([*summed.columns, *(name for one in told for name in (*one.forgotten, *one.kept))])
    return Rolled(
        kept=kept,
        forgotten=tuple(name for name in forgotten if name not in kept),
        charges=summed.charges + sum(one.charges for one in told if one.dropped),
        rows=count,
        superseded=summed.superseded + sum(one.superseded for one in told),
        first=min(moments, default=None),
        last=max(moments, default=None),
        at=datetime.now(timezone.utc).isoformat(),
        dropped=work.plan.dropped,
    )


def _name_of(lost: Sequence[dict[str, Any]]) -> str:
    """The same for the same rows, so that what is done again after a crash is not kept twice."""
    return f"corrections-{min(row['charge_id'] for row in lost)}"


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps({name: plain(value) for name, value in row.items() if value is not None})
