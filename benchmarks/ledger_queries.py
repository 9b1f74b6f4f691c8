"""Six standard questions and one trace over a generated ledger, beside polars, SQLite and the machine's own limit.

    python benchmarks/ledger_generate.py 10000000 big.ledger
    python benchmarks/ledger_queries.py big.ledger --polars --sqlite 1000000

Seconds are the median of five in one process, through the public API, by the clock and of processor time (of all
processors together); `cold` is a new process that runs `spanledger report`, imports and all. The limit is how long the
same machine takes to read the bytes of the columns that a question needs out of the page cache. Where other programs
run, half of the processor time is the figure that compares machines of two processors: it is what a quiet clock would
show if both were busy all the time. The load is said. Peak memory is of this process (ru_maxrss).
`--memory 512MB` bounds what DuckDB takes before it goes on on disk, `--times 3` asks less often.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from spanledger import Ledger
from spanledger.ledger.engines.duckdb import MEMORY

WEEK = ("2026-11-17", "2026-11-24")
MONTH = ("2026-10-25", "2026-11-24")

PERCENTILES = """SELECT coalesce(billed_model, response_model, request_model) AS model, count(*) AS charges,
    quantile_cont(duration_ms, [0.5, 0.95, 0.99]) AS ms FROM charges WHERE started_at >= $1 GROUP BY 1 ORDER BY 1"""
ROLL_UP = """SELECT trace_id, count(*) AS charges, sum(list_cost) AS list_cost,
    max(started_at) - min(started_at) AS took FROM charges WHERE started_at >= $1 GROUP BY 1 ORDER BY 3 DESC LIMIT 20"""


def by(dimensions: Sequence[str], since: str | None = None, limit: int | None = None) -> Callable[[Ledger], Any]:
    """The question of what charges cost."""
    return lambda ledger: ledger.cost(dimensions, since=since, until=WEEK[1] if since else None, limit=limit)


def sql(query: str, since: str) -> Callable[[Ledger], Any]:
    """A question of one's own, from a day on."""
    return lambda ledger: ledger.sql(query, [since], since=since, until=WEEK[1])


QUESTIONS: dict[str, Callable[[Ledger], Any]] = {
    "team x feature": by(["team", "feature"]),
    "top customers": by(["customer"], limit=20),
    "model x day": by(["model", "day"]),
    "latency percentiles, 30 days": sql(PERCENTILES, MONTH[0]),
    "trace roll-up, 7 days": sql(ROLL_UP, WEEK[0]),
    "cost by tag, 30 days": by(["tag:plan"], since=MONTH[0]),
    "team x feature, 7 days": by(["team", "feature"], since=WEEK[0]),
}
_SUMMED = ("input_tokens", "output_tokens", "list_cost", "contracted_cost", "effective_cost")
COLUMNS = {
    "team x feature": ("team", "feature", *_SUMMED),
    "top customers": ("customer", *_SUMMED),
    "model x day": ("billed_model", "started_at", *_SUMMED),
}


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


def cold(ledger: Path) -> Took:
    """The first question of a new process, imports and all."""
    command = [sys.executable, "-m", "spanledger", "report", str(ledger), "--since", WEEK[0]]
    took = []
    for _ in range(5):
        clock, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        took.append(Took(time.perf_counter() - clock, spent))
    return Took(*(statistics.median(one) for one in zip(*took, strict=True)))


def limit(ledger: Path, columns: tuple[str, ...]) -> tuple[int, float]:
    """The stored bytes of some columns, and how long the page cache takes to give so many."""
    files = f"{ledger}/charges/*/*.parquet"
    names = ", ".join(f"'{name}'" for name in columns)
    asked = f"SELECT sum(total_compressed_size) FROM parquet_metadata('{files}') WHERE path_in_schema IN ({names})"
    import duckdb

    size = int(duckdb.connect().execute(asked).fetchall()[0][0])
    buffer = bytearray(1 << 20)

    def read() -> None:
        left = size
        for path in sorted(ledger.glob("charges/*/*.parquet")):
            with path.open("rb", buffering=0) as file:
                while left > 0 and (got := file.readinto(buffer)):
                    left -= got

    return size, median(read).clock


def polars_questions(ledger: Path) -> dict[str, Took]:
    """Three of the questions, in polars."""
    import polars as pl

    frame = pl.scan_parquet(f"{ledger}/charges/*/*.parquet", hive_partitioning=True)
    sums = [pl.len(), *(pl.col(name).sum() for name in COLUMNS["team x feature"][2:])]
    asked: dict[str, Callable[[], Any]] = {
        "team x feature": lambda: frame.group_by("team", "feature").agg(sums).collect(),
        "top customers": lambda: frame.group_by("customer").agg(sums).sort("list_cost").tail(20).collect(),
        "model x day": lambda: frame.group_by("billed_model", pl.col("started_at").dt.date()).agg(sums).collect(),
    }
    return {name: median(run) for name, run in asked.items()}


_NANO = "CAST(replace(CAST(CAST({0} AS DECIMAL(18, 9)) AS VARCHAR), '.', '') AS BIGINT) AS {0}"
"""Amounts as whole billionths, which the generated ones are: SQLite adds 64 bits and has no decimals."""


def load(ledger: Path, most: int, database: sqlite3.Connection) -> int:
    """Brings up to `most` rows into SQLite, and says how many."""
    import duckdb

    plain = ["CAST(started_at AS VARCHAR)", "customer", "billed_model", *COLUMNS["team x feature"][:4]]
    columns = ", ".join([*plain, *(_NANO.format(name) for name in _SUMMED[2:])])
    found = duckdb.connect().execute(f"SELECT {columns} FROM '{ledger}/charges/*/*.parquet' LIMIT {most}")
    names = ["started_at", "customer", "billed_model", *COLUMNS["team x feature"]]
    database.execute(f"CREATE TABLE charges ({', '.join(names)})")
    count = 0
    while rows := found.fetchmany(100_000):
        database.executemany(f"INSERT INTO charges VALUES ({', '.join('?' * len(names))})", rows)
        count += len(rows)
    for name, indexed in (("a", "team, feature"), ("b", "customer"), ("c", "billed_model, started_at")):
        database.execute(f"CREATE INDEX {name} ON charges ({indexed})")
    return count


def sqlite_questions(ledger: Path, most: int) -> dict[str, Took]:
    """The same in SQLite, each asked once, over at most `most` rows with an index for each."""
    sums = f"count(*), {', '.join(f'sum({name})' for name in _SUMMED)}"
    asked = {
        "team x feature": f"SELECT team, feature, {sums} FROM charges GROUP BY 1, 2",
        "top customers": f"SELECT customer, {sums} FROM charges GROUP BY 1 ORDER BY 5 DESC LIMIT 20",
        "model x day": f"SELECT billed_model, substr(started_at, 1, 10), {sums} FROM charges GROUP BY 1, 2",
    }
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(Path(folder) / "ledger.db") as database:
        began = time.perf_counter()
        count = load(ledger, most, database)
        print(f"SQLite: {count} rows loaded in {time.perf_counter() - began:.0f} s")
        return {name: median(partial(_asked, database, sql), 1) for name, sql in asked.items()}


def _asked(database: sqlite3.Connection, sql: str) -> Any:
    return database.execute(sql).fetchall()


def _figures(took: Took | None) -> str:
    return f"{took.clock:8.3f} {took.processors:8.3f}" if took else " " * 17


def _print(ledger: Path, times: dict[str, Took], *beside: dict[str, Took]) -> None:
    engines = ("spanledger", "polars", "SQLite")
    print(f"{'seconds, and of processor time':30} {' '.join(f'{name:>17}' for name in engines)} {'MB':>6} {'limit':>8}")
    for name, took in times.items():
        size, floor = limit(ledger, COLUMNS[name]) if name in COLUMNS else (0, 0.0)
        cells = " ".join(_figures(one) for one in (took, *(other.get(name) for other in beside)))
        print(f"{name:30} {cells} {size // 1_000_000 or '':>6} {f'{floor:8.3f}' if floor else ''}")
    print(json.dumps({"seconds": times, "beside": beside}))


def main() -> int:
    """Asks, and prints a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--polars", action="store_true")
    parser.add_argument("--sqlite", type=int, metavar="ROWS", default=0, help="so many rows at the most")
    parser.add_argument("--times", type=int, default=5, help="how often each is asked (5)")
    parser.add_argument("--memory", default=MEMORY, help=f"what DuckDB may take ({MEMORY})")
    asked = parser.parse_args()
    ledger = Ledger(asked.ledger, memory=asked.memory)
    (count,) = ledger.sql("SELECT count(*) AS rows FROM charges").rows()
    (one,) = ledger.charges(columns=["trace_id"], since="2026-11-23T23:50:00", limit=1).rows()
    questions = {**QUESTIONS, "one trace by id": lambda ledger: ledger.trace(one["trace_id"])}
    times = {name: median(partial(ask, ledger), asked.times) for name, ask in questions.items()}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    first = cold(asked.ledger)
    print(f"{count['rows']} rows, peak memory {memory} MiB, load {os.getloadavg()[0]:.0f}")
    print(f"cold process {first.clock:.2f} s, of processor time {first.processors:.2f} s")
    sqlite = sqlite_questions(asked.ledger, asked.sqlite) if asked.sqlite else {}
    _print(asked.ledger, times, polars_questions(asked.ledger) if asked.polars else {}, sqlite)
    return 0


if __name__ == "__main__":
    sys.exit(main())
