"""Makes a sealed ledger of any size: 90 days, 10,000 Zipf customers, 20 teams, 60 features, 25 models, random ids.

Moments are irregular to the microsecond and durations have three places, as the meter writes them.

    python benchmarks/ledger_generate.py 1000000 big.ledger

The same numbers give the same rows. Files are written by the code that seals, a day each. Says the bytes a row.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from spanledger._types import COLUMNS
from spanledger.ledger import _parquet
from spanledger.ledger._files import partition
from spanledger.ledger._seal import publish
from spanledger.ledger.engines.duckdb import DuckDB

FIRST = date(2026, 8, 26)
DAYS = 90


def chance(salt: int) -> str:
    """A number in [0, 1) of the row `i`, as SQL."""
    return f"((hash(i * 64 + {salt}) >> 11) / 9007199254740992.0)"


def hexadecimal(key: str, digits: int) -> str:
    """Digits that look random, of a key."""
    return f"left(md5(concat({key}, 'x')), {digits})"


def rows_of_day(day: int, rows: int, *, ids: bool) -> str:
    """A SELECT of `rows` charges of one day, in the columns of a ledger."""
    start, gap = FIRST + timedelta(days=day), f"(86399999999 / {rows})"
    moment = f"TIMESTAMP '{start}' + to_microseconds(CAST((n + {chance(12)}) * {gap} AS BIGINT))"
    trace = "CAST(i / 4 AS BIGINT)"
    values = {
        "charge_id": f"concat(printf('%012x', epoch_ms({moment})), {hexadecimal('i', 20)})" if ids else "'c'",
        "call_id": "NULL",
        "response_id": f"concat('chatcmpl-', {hexadecimal('i * 3 + 1', 20)})" if ids else "NULL",
        "started_at": moment,
        "duration_ms": f"round(200 + 3000 * power({chance(1)}, 3), 3)",
        "time_to_first_chunk_ms": f"CASE WHEN {chance(2)} < 0.5 THEN round(100 + 400 * {chance(3)}, 3) END",
        "provider_name": "['openai', 'anthropic', 'aws.bedrock'][1 + model % 3]",
        "operation": "'chat'",
        "request_model": "concat('model-', model)",
        "response_model": "concat('model-', model, '-2026-05-01')",
        "billed_model": "concat('model-', model)",
        "status": f"CASE WHEN {chance(4)} < 0.02 THEN 'error' ELSE 'ok' END",
        "stream": f"{chance(2)} < 0.5",
        "finish_reasons": "['stop']",
        "team": "concat('team-', feature % 20)",
        "feature": "concat('feature-', feature)",
        "customer": f"concat('customer-', CAST(floor(power(10000, {chance(5)})) AS INTEGER))",
        "environment": f"CASE WHEN {chance(6)} < 0.8 THEN 'prod' ELSE 'staging' END",
        "tags": f"MAP {{'plan': ['free', 'pro', 'enterprise'][1 + CAST(floor(3 * {chance(7)}) AS INTEGER)]}}",
        "trace_id": hexadecimal(trace, 32) if ids else "NULL",
        "span_id": hexadecimal("i * 5 + 2", 16) if ids else "NULL",
        "service_name": "'api'",
        "input_tokens": "tokens_in",
        "output_tokens": "tokens_out",
        "cache_read_tokens": "0",
        "usage": "MAP {'input': CAST(tokens_in AS DECIMAL(28, 9)), 'output': CAST(tokens_out AS DECIMAL(28, 9))}",
        "usage_source": "'reported'",
        "currency": "'USD'",
        **dict.fromkeys(("list_cost", "contracted_cost", "effective_cost"), "cost_in + cost_out"),
        "costs": "MAP {'input': cost_in, 'output': cost_out}",
        "cost_status": "'exact'",
        "price_ref": "concat('book-2026-11:', model)",
    }
    columns = ", ".join(f"CAST({values.get(c.name, 'NULL')} AS {c.sql}) AS {c.name}" for c in COLUMNS)
    numbers = f"SELECT n, n + {day} * 10000000 AS i FROM range({rows}) AS r(n)"
    drawn = (
        f"SELECT *, CAST(floor(25 * power({chance(8)}, 2)) AS INTEGER) AS model, "
        f"CAST(floor(60 * power({chance(9)}, 2)) AS INTEGER) AS feature, "
        f"CAST(50 + 8000 * power({chance(10)}, 4) AS BIGINT) AS tokens_in, "
        f"CAST(5 + 2000 * power({chance(11)}, 4) AS BIGINT) AS tokens_out FROM ({numbers})"
    )
    priced = (
        "SELECT *, "
        "CAST(tokens_in * (1 + model) * 125 AS DECIMAL(20, 0)) * 0.000000001::DECIMAL(9, 9) AS cost_in, "
        "CAST(tokens_out * (1 + model) * 1000 AS DECIMAL(20, 0)) * 0.000000001::DECIMAL(9, 9) AS cost_out "
        f"FROM ({drawn})"
    )
    return f"SELECT {columns} FROM ({priced})"


def generate_day(ledger: Path, day: int, rows: int, *, ids: bool) -> None:
    """Writes one day: its rows are made in order of time, as one thread does, and all are as a few of them are."""
    database = DuckDB(threads=1)
    folder = partition(ledger, FIRST + timedelta(days=day))
    folder.mkdir(parents=True)
    beside = folder / ".day.tmp"
    layout = _parquet.layout_of(database, rows_of_day(day, min(rows, 1000), ids=ids))
    made = rows_of_day(day, rows, ids=ids)
    _parquet.write_ordered(database, f"SELECT {layout.select} FROM ({made})", beside, layout.facts)
    publish(beside, folder / "day-generated.parquet")


def generate(ledger: Path, rows: int, *, ids: bool = True, processes: int = 1) -> None:
    """Writes the ledger, a day at a time in each process."""
    counts = [rows * (day + 1) // DAYS - rows * day // DAYS for day in range(DAYS)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(partial(generate_day, ledger, ids=ids), range(DAYS), counts))


def size_of(ledger: Path) -> int:
    """The bytes of its sealed files."""
    return sum(path.stat().st_size for path in ledger.glob("charges/*/*.parquet"))


def main() -> int:
    """Generates, and says how long it took and what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--without-ids", action="store_true", help="no random ids: what the rest takes")
    asked = parser.parse_args()
    began = time.perf_counter()
    generate(asked.ledger, asked.rows, ids=not asked.without_ids, processes=asked.processes)
    seconds = time.perf_counter() - began
    print(f"{asked.rows} rows, {size_of(asked.ledger) / asked.rows:.1f} bytes a row, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
