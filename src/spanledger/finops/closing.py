"""Closing a period: the statement is written beside the ledger and stands; what changes later is a correction.

A closed statement is a directory, `statements/<period>/<plan>/<sequence>/`, of `lines.parquet`, `drivers.parquet` and
`statement.json`. Sequence 0 is the statement, 1 and on are corrections; together they are what the ledger says now.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger.errors import LedgerError, PlanError
from spanledger.finops._exact import to_decimal, to_femto
from spanledger.finops._periods import Period
from spanledger.finops._views import View, grouped
from spanledger.finops.pots import CORRECTION
from spanledger.finops.statements import Check, Service, Statement, Utilisation

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER: Final = "statements"
_TABLES: Final = ("lines", "drivers")
_TUPLES: Final[Mapping[str, Any]] = {"commitments": Utilisation, "services": Service, "checks": Check}


def close(root: Path, statement: Statement) -> Path:
    """Writes a statement as the next of its period and plan. Raises `PlanError` where it may not be closed."""
    folder = _folder(root, statement.period, statement.plan)
    here = len(_sequences(folder))
    if not statement.ok:
        wrong = [check.name for check in statement.checks if not check.ok]
        msg = f"close: {statement.plan} {statement.period.label} does not tie: {', '.join(wrong)}"
        raise PlanError(msg)
    if here != statement.sequence:
        msg = (
            f"close: {statement.period.label} is closed for {statement.plan!r}: ask for its corrections and close those"
        )
        raise PlanError(msg)
    return _write(folder / str(here), statement)


def closed(root: Path, plan: str, period: Period) -> list[Statement]:
    """The closed statement of a period, then its corrections; empty where the period is open."""
    return [_read(path, period) for path in _sequences(_folder(root, period, plan))]


def corrections(now: Statement, before: list[Statement]) -> Statement:
    """What the present differs by from what was closed: lines of kind `correction`, none where nothing changed."""
    keys = ["source", "method", *now.levels]
    lines: dict[tuple[str, ...], list[int]] = {}
    for sign, statement in ((1, now), *((-1, one) for one in before)):
        for row in grouped(statement.lines, keys, ["exact", "amount", "charges", "unpriced"]):
            sums = lines.setdefault(tuple(row[key] for key in keys), [0, 0, 0, 0])
            for place, value in enumerate(
                (to_femto(row["exact"]), to_femto(row["amount"]), row["charges"], row["unpriced"])
            ):
                sums[place] += sign * value
    changed = {key: sums for key, sums in sorted(lines.items()) if any(sums)}
    table = _lines(now, keys, changed)
    expected = to_femto(now.total) - sum(to_femto(one.total) for one in before)
    check = Check("closed and corrections", expected, sum(sums[1] for sums in changed.values()))
    return replace(now, lines=View(table, total="amount"), checks=(check,), sequence=len(before))


def _lines(now: Statement, keys: list[str], changed: Mapping[tuple[str, ...], list[int]]) -> pa.Table:
    import pyarrow as pa

    places = max(0, -int(now.round_to.as_tuple().exponent))
    columns: dict[str, Any] = {
        key: pa.array([row[place] for row in changed], pa.string()) for place, key in enumerate(keys)
    }
    sums = list(changed.values())
    return pa.table(
        {
            "source": columns.pop("source"),
            "kind": pa.array([CORRECTION] * len(changed), pa.string()),
            **columns,
            "exact": pa.array([to_decimal(row[0]) for row in sums], pa.decimal128(38, 15)),
            "amount": pa.array([to_decimal(row[1]) for row in sums], pa.decimal128(38, 15)).cast(
                pa.decimal128(38, places)
            ),
            "charges": pa.array([row[2] for row in sums], pa.int64()),
            "unpriced": pa.array([row[3] for row in sums], pa.int64()),
        }
    )


def _folder(root: Path, period: Period, plan: str) -> Path:
    """A name for people, and a digest where the plan's name is no name for a directory."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plan)
    if slug != plan or slug.startswith("."):
        slug = f"{slug.lstrip('.')}-{hashlib.sha256(plan.encode()).hexdigest()[:8]}"
    return root / FOLDER / period.label / slug


def _sequences(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if path.name.isdigit()] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.name))


def _write(target: Path, statement: Statement) -> Path:
    """Beside, then renamed: a reader sees all of it or none, and of two who close at once one is told."""
    import pyarrow.parquet as pq

    scratch = target.with_name(f".{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        for name in _TABLES:
            pq.write_table(getattr(statement, name).to_arrow(), scratch / f"{name}.parquet", compression="zstd")
        digests = {name: _digest(scratch / f"{name}.parquet") for name in _TABLES}
        (scratch / "statement.json").write_text(json.dumps(_head(statement, digests), indent=2), encoding="utf-8")
        scratch.rename(target)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        msg = f"close: {target}: {error.strerror}: is it closed already, by somebody else?"
        raise PlanError(msg) from None
    return target


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_HEAD: Final = (
    "plan",
    "version",
    "digest",
    "currency",
    "basis",
    "hierarchy",
    "dimensions",
    "rules",
    "sequence",
    "source",
)


def _head(statement: Statement, digests: Mapping[str, str]) -> dict[str, Any]:
    head: dict[str, Any] = {name: getattr(statement, name) for name in _HEAD}
    head["round_to"] = str(statement.round_to)
    head.update({name: [_plain(one) for one in getattr(statement, name)] for name in _TUPLES})
    return {**head, "sha256": dict(digests)}


def _plain(values: tuple[Any, ...]) -> list[Any]:
    return [{"decimal": str(value)} if isinstance(value, Decimal) else value for value in values]


def _read(path: Path, period: Period) -> Statement:
    import pyarrow.parquet as pq

    try:
        head = json.loads((path / "statement.json").read_text(encoding="utf-8"))
        _refuse_changed(path, head["sha256"])
        tables = {name: pq.read_table(path / f"{name}.parquet") for name in _TABLES}
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v := head[name], list) else v for name in _HEAD}
        tuples: dict[str, Any] = {
            name: tuple(kind(*map(_value, one)) for one in head[name]) for name, kind in _TUPLES.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path}: is no closed statement: {error}"
        raise LedgerError(msg) from None
    return Statement(
        period=period,
        round_to=Decimal(head["round_to"]),
        lines=View(tables["lines"], total="amount"),
        drivers=View(tables["drivers"]),
        **fields,
        **tuples,
    )


def _value(value: Any) -> Any:
    return Decimal(value["decimal"]) if isinstance(value, dict) else value


def _refuse_changed(path: Path, digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if _digest(path / f"{name}.parquet") != digest:
            what = "is not what was closed: its sha256 differs from the one in statement.json"
            raise ValueError(f"{name}.parquet {what}")
