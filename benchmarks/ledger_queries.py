"""Six standard questions and one trace over a generated ledger, beside polars, SQLite and the machine's own limit.

    python benchmarks/ledger_generate.py 10000000 big.ledger
    python benchmarks/ledger_queries.py big.ledger --polars --sqlite

Seconds are the median of five in one process, through the public API, by the clock and of processor time; `cold` is a
new process with its imports. The limit is how long the same machine takes to read the bytes of the columns that a
question needs out of the page cache.
What the numbers may be used for: ratios on one machine at one time. Peak memory is of this process (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from spanledger import Ledger

LAST_WEEK = {"since": "2026-11-17", "until": "2026-11-24"}
LAST_MONTH = {"since": "2026-10-25", "until": "2026-11-24"}

PERCENTILES = """SELECT coalesce(billed_model, response_model, request_model) AS model, count(*) AS charges,
    quantile_cont(duration_ms, [0.5, 0.95, 0.99]) AS ms FROM charges WHERE started_at >= $1 GROUP BY 1 ORDER BY 1"""
ROLL_UP = """SELECT trace_id, count(*) AS charges, sum(list_cost) AS list_cost,
    max(started_at) - min(started_at) AS took FROM charges WHERE started_at >= $1 GROUP BY 1 ORDER BY 3 DESC LIMIT 20"""

QUESTIONS: dict[str, Callable[[Ledger], Any]] = {
    "team x feature": lambda ledger: ledger.cost(["team", "feature"]),
    "top customers": lambda ledger: ledger.cost("customer", limit=20),
    "model x day": lambda ledger: ledger.cost(["model", "day"]),
    "latency percentiles, 30 days": lambda ledger: ledger.sql(PERCENTILES, [LAST_MONTH["since"]], **LAST_MONTH),
    "trace roll-up, 7 days": lambda ledger: ledger.sql(ROLL_UP, [LAST_WEEK["since"]], **LAST_WEEK),
    "cost by tag, 30 days": lambda ledger: ledger.cost("tag:plan", **LAST_MONTH),
    "team x feature, 7 days": lambda ledger: ledger.cost(["team", "feature"], **LAST_WEEK),
}
_SUMMED = ("input_tokens", "output_tokens", "list_cost", "contracted_cost", "effective_cost")
COLUMNS = {"team x feature": ("team", "feature", *_SUMMED), "top customers": ("customer", *_SUMMED)}


class Took(NamedTuple):
    """Seconds by the clock, and of both processors together."""

    clock: float
    processors: float


def median(run: Callable[[], Any], times: int = 5) -> Took:
    """The median of some runs."""
    took = []
    for _ in range(times):
        clock, processors = time.perf_counter(), time.process_time()
        run()
        took.append(Took(time.perf_counter() - clock, time.process_time() - processors))
    return Took(*(statistics.median(one) for one in zip(*took, strict=True)))


def cold(ledger: Path) -> float:
    """The first question of a new process, imports and all."""
    source = f"from spanledger import Ledger; len(Ledger({str(ledger)!r}).cost('team', since='2026-11-17'))"
    return median(lambda: subprocess.run([sys.executable, "-c", source], check=True)).clock


def limit(ledger: Path, columns: tuple[str, ...]) -> tuple[int, float]:
    """The stored bytes of some columns, and how long the page cache takes to give so many."""
    files = f"{ledger}/charges/*/*.parquet"
    names = ", ".join(f"'{name}'" for name in columns)
    asked = f"SELECT sum(total_compressed_size) FROM parquet_metadata('{files}') WHERE path_in_schema IN ({names})"
    import duckdb

    size = int(duckdb.sql(asked).fetchall()[0][0])
    buffer = bytearray(1 << 20)

    def read() -> None:
        left = size
        for path in sorted(ledger.glob("charges/*/*.parquet")):
            with path.open("rb", buffering=0) as file:
                while left > 0 and (got := file.readinto(buffer)):
                    left -= got

    return size, median(read).clock


def polars_questions(ledger: Path) -> dict[str, float]:
    """Three of the questions, in polars."""
    import polars as pl

    frame = pl.scan_parquet(f"{ledger}/charges/*/*.parquet", hive_partitioning=True)
    sums = [pl.len(), *(pl.col(name).sum() for name in COLUMNS["team x feature"][2:])]
    asked = {
        "team x feature": lambda: frame.group_by("team", "feature").agg(sums).collect(),
        "top customers": lambda: frame.group_by("customer").agg(sums).sort("list_cost").tail(20).collect(),
        "model x day": lambda: frame.group_by("billed_model", pl.col("started_at").dt.date()).agg(sums).collect(),
    }
    return {name: median(run).clock for name, run in asked.items()}


def sqlite_questions(ledger: Path, most: int) -> tuple[dict[str, float], float, int]:
    """The same in SQLite, with an index for each, over at most `most` rows; and how long the loading took."""
    columns = ["started_at", "customer", "billed_model", *COLUMNS["team x feature"]]
    rows = Ledger(ledger).charges(columns=columns, limit=most)
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(Path(folder) / "ledger.db") as database:
        began = time.perf_counter()
        database.execute(f"CREATE TABLE charges ({', '.join(columns)})")
        values = ([str(value) if value is not None else None for value in row.values()] for row in rows)
        database.executemany(f"INSERT INTO charges VALUES ({', '.join('?' * len(columns))})", values)
        database.execute("CREATE INDEX a ON charges (team, feature)")
        database.execute("CREATE INDEX b ON charges (customer)")
        loading = time.perf_counter() - began
        sums = (
            "count(*), sum(input_tokens), sum(output_tokens), sum(list_cost), sum(contracted_cost), sum(effective_cost)"
        )
        asked = {
            "team x feature": f"SELECT team, feature, {sums} FROM charges GROUP BY 1, 2",
            "top customers": f"SELECT customer, {sums} FROM charges GROUP BY 1 ORDER BY 5 DESC LIMIT 20",
            "model x day": f"SELECT billed_model, substr(started_at, 1, 10), {sums} FROM charges GROUP BY 1, 2",
        }
        times = {name: median(lambda sql=sql: database.execute(sql).fetchall(), 1).clock for name, sql in asked.items()}
        return times, loading, len(rows)


def main() -> int:
    """Asks, and prints a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--polars", action="store_true")
    parser.add_argument("--sqlite", type=int, metavar="ROWS", default=0, help="so many rows at the most")
    asked = parser.parse_args()
    ledger = Ledger(asked.ledger)
    (count,) = ledger.sql("SELECT count(*) AS rows FROM charges").rows()
    trace = ledger.charges(columns=["trace_id"], **LAST_WEEK, limit=1).rows()[0]["trace_id"]
    questions = {**QUESTIONS, "one trace by id": lambda ledger: ledger.trace(trace)}
    times = {name: median(lambda ask=ask: ask(ledger)) for name, ask in questions.items()}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    beside = polars_questions(asked.ledger) if asked.polars else {}
    sqlite, loading, loaded = sqlite_questions(asked.ledger, asked.sqlite) if asked.sqlite else ({}, 0.0, 0)
    print(f"{count['rows']} rows, peak memory {memory} MiB, cold process {cold(asked.ledger):.2f} s")
    print(f"SQLite: {loaded} rows loaded in {loading:.1f} s" if loaded else "")
    print(f"{'':30} {'DuckDB':>8} {'cpu':>8} {'polars':>8} {'SQLite':>8} {'bytes':>14} {'limit':>8}")
    for name, took in times.items():
        size, floor = limit(asked.ledger, COLUMNS[name]) if name in COLUMNS else (0, 0.0)
        cells = [f"{value:8.3f}" if value else " " * 8 for value in (*took, beside.get(name), sqlite.get(name))]
        print(f"{name:30} {' '.join(cells)} {size or '':>14} {f'{floor:8.3f}' if floor else ''}")
    print(
        json.dumps(
            {
                "rows": count["rows"],
                "seconds": {name: took.clock for name, took in times.items()},
                "polars": beside,
                "sqlite": sqlite,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
