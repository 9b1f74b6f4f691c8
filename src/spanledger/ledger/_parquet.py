"""Writing sealed files: rows of a segment, or of several sealed files, as typed, sorted, compressed Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from spanledger.ledger.engines.duckdb import DuckDB, literal, open_rows, parquet


def load(database: DuckDB, segment: Path) -> int:
    """Reads a segment into the table `batch`, each charge once, and says how many rows it had."""
    run = database.connection.execute
    run(f"CREATE OR REPLACE TEMP TABLE batch AS {open_rows([segment], extra=True)}")
    rows, different = run("SELECT count(*), count(DISTINCT charge_id) FROM batch").fetchall()[0]
    if rows != different:
        run("DELETE FROM batch WHERE rowid NOT IN (SELECT min(rowid) FROM batch GROUP BY charge_id)")
    return int(rows)


def loaded_ids(database: DuckDB) -> set[str]:
    """The charges in `batch`."""
    return {charge_id for (charge_id,) in database.connection.execute("SELECT charge_id FROM batch").fetchall()}


def loaded_days(database: DuckDB) -> list[date]:
    """The days of `batch`."""
    days = database.connection.execute("SELECT DISTINCT CAST(started_at AS DATE) FROM batch ORDER BY 1").fetchall()
    return [day for (day,) in days]


def write_day(database: DuckDB, day: date, path: Path) -> None:
    """Writes one day of `batch` as Parquet."""
    write(database, f"SELECT * FROM batch WHERE CAST(started_at AS DATE) = {literal(day)}", path, ())


def write_merged(database: DuckDB, paths: Sequence[Path], path: Path) -> None:
    """Writes one Parquet file that stands for all of `paths`, each charge once."""
    once = "QUALIFY row_number() OVER (PARTITION BY charge_id) = 1"
    rows = f"SELECT * FROM {parquet(paths)} {once}"
    write(database, rows, path, [file.name for file in paths])


def write(database: DuckDB, rows: str, path: Path, replaces: Sequence[str]) -> None:
    run = database.connection.execute
    ((corrections,),) = run(f"SELECT count(corrects) FROM ({rows})").fetchall()
    said = f"{{corrections: '{corrections}', replaces: {literal('/'.join(replaces))}}}"
    form = f"FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, KV_METADATA {said}"
    run(f"COPY ({rows} ORDER BY started_at, charge_id) TO {literal(path)} ({form})")
