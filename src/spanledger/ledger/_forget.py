"""Forgetting a person: every row that names them keeps its money and loses who it was for, and that is recorded.

Files are rewritten as merging does it: a crash leaves the old file or the new one in force, never both or none. The
old files are removed; against what a disk keeps of removed files, only an encrypted disk helps.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from spanledger._ids import uuid7
from spanledger.errors import LedgerError
from spanledger.ledger import _parquet
from spanledger.ledger._compact import DAY, finish, standing
from spanledger.ledger._damage import named
from spanledger.ledger._files import QUARANTINE, Sealed, raw_lines, scan
from spanledger.ledger._locks import held
from spanledger.ledger._period import Period
from spanledger.ledger._rolled import PREFIX, in_period, without
from spanledger.ledger._seal import publish, seal, write
from spanledger.ledger._workspace import is_busy, workspace
from spanledger.ledger.engines.duckdb import DuckDB, literal, parquet

FIELDS: Final = ("customer", "user_id", "session_id")
"""What a person may be named by."""

ERASED: Final = ("customer", "user_id", "session_id", "tags", "extra")
"""What a row that names them loses: it may name them as well."""


class Forgotten(NamedTuple):
    """The record: which rows, in how many files, and that nothing is left. The value itself stands only as its hash.

    `rolled_up` are the days that had been rolled up without the field, and so had nothing of it.
    """

    at: str
    field: str
    sha256: str
    rows: int
    files: int
    left: int
    rolled_up: list[str]


def forget(root: Path, field: str, value: str) -> Forgotten:
    """Erases a value of `field` from the ledger at `root`, and adds the record to `forgotten.jsonl`.

    Raises `LedgerError` where a living process still writes a segment that names it: end or rotate that one first.
    """
    if field not in FIELDS:
        msg = f"forget: takes one of {', '.join(FIELDS)}, not {field!r}"
        raise LedgerError(msg)
    seal(root)
    with workspace(root) as scratch:
        _refuse_company(root, scratch)
        database = DuckDB(spill=scratch)
        rows = [count for file in scan(root).sealed if (count := _rewrite(database, file, scratch, field, value))]
        _clean_quarantine(root, scratch, value)
        left, bare = _left(database, root, field, value), _rolled_up_without(database, root, field)
        proof = Forgotten(_now(), field, _hash(value), sum(rows), len(rows), left, bare)
    _append(root / "forgotten.jsonl", orjson.dumps(proof._asdict()) + b"\n")
    if proof.left:
        msg = f"forget: {proof.left} rows are in segments that a living process writes; try again once it has ended"
        raise LedgerError(msg)
    return proof


def _refuse_company(root: Path, scratch: Path) -> None:
    """What another process has half done may name them, and only that process can finish it or throw it away."""
    if is_busy(root, scratch):
        what = f"is sealing or merging {root}, or asks it more than fits into memory"
        msg = f"forget: another process {what}; try again once it has ended"
        raise LedgerError(msg)


def _rewrite(database: DuckDB, file: Sealed, scratch: Path, field: str, value: str) -> int:
    """Replaces a sealed file by one without the person; returns how many rows named them."""
    with held(file.path.parent) as mine:
        if not mine:
            msg = f"forget: {file.path.parent} is being merged by another process; try again"
            raise LedgerError(msg)
        with named(database, [file.path]):
            names = _names(database, file.path, field, value)
            ((count,),) = database.rows(f"SELECT count(*) FROM {parquet([file.path])} WHERE {names}")
            if count:
                _replace(database, file.path, scratch, names)
        return int(count)


def _names(database: DuckDB, path: Path, field: str, value: str) -> str:
    """The condition that a row of a sealed file names them: in its column, or in what no column holds."""
    present, wanted = _columns(database, path), literal(value)
    tests = [f"{field} = {wanted}"] if field in present else []
    if "extra" in present:
        tests.append(f"CASE WHEN json_valid(extra) THEN json_extract_string(extra, '$.{field}') = {wanted} END")
    return f"coalesce({' OR '.join(tests) or 'false'}, false)"


def _columns(database: DuckDB, path: Path) -> set[str]:
    return {name for name, *_ in database.rows(f"DESCRIBE SELECT * FROM {parquet([path])}")}


def _replace(database: DuckDB, path: Path, scratch: Path, names: str) -> None:
    present, rolled = _columns(database, path), database.facts([path])[path].rolled
    erased = [f"CASE WHEN {names} THEN NULL ELSE {column} END AS {column}" for column in ERASED if column in present]
    rows = f"SELECT * REPLACE ({', '.join(erased)}) FROM {parquet([path])}"
    beside = scratch / "rewritten.parquet"
    _parquet.write(database, rows, beside, standing(database, [path]), rolled)
    publish(beside, path.with_name(f"{PREFIX if rolled else DAY}{uuid7()}.parquet"))
    finish(database, path.parent)


def _clean_quarantine(root: Path, scratch: Path, value: str) -> None:
    for path in root.glob(f"{QUARANTINE}/*.jsonl"):
        lines = list(raw_lines(path))
        kept = [line for line in lines if value.encode() not in line]
        if len(kept) < len(lines):
            write(beside := scratch / path.name, kept)
            publish(beside, path)


def _left(database: DuckDB, root: Path, field: str, value: str) -> int:
    """The rows that still name the person, looked for in what is on disk now."""
    files = scan(root)
    sealed = sum(1 for file in files.sealed for _ in _naming(database, file.path, field, value))
    segments = (orjson.loads(line) for one in files.open for line in raw_lines(one.path) if value.encode() in line)
    return sealed + sum(1 for row in segments if row.get(field) == value)


def _naming(database: DuckDB, path: Path, field: str, value: str) -> Iterator[object]:
    with named(database, [path]):
        query = f"SELECT charge_id FROM {parquet([path])} WHERE {_names(database, path, field, value)}"
        return iter(database.rows(query))


def _rolled_up_without(database: DuckDB, root: Path, field: str) -> list[str]:
    files = scan(root)
    facts = database.facts(file.path for file in files.sealed)
    return without(in_period(files, facts, Period()), field)


def _append(path: Path, line: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
