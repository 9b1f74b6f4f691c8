"""How long a month takes to allocate, and how much memory: 20 rules, 6 pools, 3 levels of hierarchy, on this machine.

    python benchmarks/allocation.py [--millions 1 3 10] [--keep DIRECTORY]

Makes ledgers of sealed Parquet files (30 days, skewed teams, features, services, models and 10,000 customers), and
allocates each in a process of its own: once by business unit, team and feature, and once with the customer as well.
Good for ratios and growth on one machine; not for comparing machines.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from spanledger import Ledger
from spanledger._types import COLUMNS
from spanledger.finops import Plan

MILLION = 1_000_000
DAYS = 30
TEAMS, FEATURES, SERVICES, MODELS, CUSTOMERS = 20, 60, 40, 25, 10_000

ROWS = f"""
SELECT format('{{:08x}}-{{:04x}}-7000-8000-{{:012x}}', day, i % 65536, i) AS charge_id,
       TIMESTAMP '2026-11-01' + INTERVAL (day) DAY + INTERVAL (i % 86400) SECOND AS started_at,
       100.0 + i % 5000 AS duration_ms, 'openai' AS provider_name, 'chat' AS operation,
       'model-' || (h1 % {MODELS}) AS billed_model,
       CASE WHEN h2 % 10 < 7 THEN 'team-' || (skewed % {TEAMS}) END AS team,
       'feature-' || (skewed % {FEATURES}) AS feature,
       CASE WHEN h3 % 10 < 9 THEN 'customer-' || CAST(floor({CUSTOMERS} * pow(u, 3)) AS INTEGER) END AS customer,
       CASE WHEN h3 % 5 = 0 THEN 'staging' ELSE 'prod' END AS environment,
       MAP {{'deployment': 'd' || (h2 % 8)}} AS tags,
       'service-' || (skewed % {SERVICES}) AS service_name,
       format('{{:032x}}', i // 4) AS trace_id,
       200 + h1 % 4000 AS input_tokens, 20 + h2 % 800 AS output_tokens, 'USD' AS currency,
       CAST((200 + h1 % 4000) * 0.0000025 + (20 + h2 % 800) * 0.00001 AS DECIMAL(38, 15)) AS list_cost,
       'ok' AS status, 'exact' AS cost_status
FROM (SELECT *, CAST(floor(240 * pow(u, 2)) AS INTEGER) AS skewed
      FROM (SELECT i, $day AS day, hash(i * 3 + $day) AS h1, hash(i * 5 + $day) AS h2, hash(i * 7 + $day) AS h3,
                   (hash(i * 11 + $day) % 1000000) / 1000000.0 AS u FROM range($rows) t(i)))
"""


def make(path: Path, rows: int) -> None:
    """Writes a ledger of about `rows` charges, its days sealed and merged as `spanledger seal` leaves a past month."""
    whole = {column.name: "NULL" for column in COLUMNS}
    with duckdb.connect() as engine:
        whole.update({name: name for name in engine.sql(ROWS, params={"day": 0, "rows": 1}).columns})
        whole.update({"contracted_cost": "list_cost", "effective_cost": "list_cost"})
        columns = ", ".join(f"CAST({whole[c.name]} AS {c.sql}) AS {c.name}" for c in COLUMNS)
        for day in range(DAYS):
            file = path / "charges" / f"date=2026-11-{day + 1:02d}" / f"bench-1-{day:032x}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            form = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, KV_METADATA {corrections: '0', replaces: ''}"
            query = f"COPY (SELECT {columns} FROM ({ROWS}) ORDER BY started_at) TO '{file}' ({form})"
            engine.execute(query, {"day": day, "rows": rows // DAYS})


def plan(*, customers: bool) -> Plan:
    """20 rules over three virtual tags, 6 pools with measured, stated, mixed, daily and serving drivers."""
    services = [
        {"name": f"service {n}", "when": {"service_name": [f"service-{n}", f"service-{n + 20}"]}, "value": f"team-{n}"}
        for n in range(16)
    ]
    units = {f"team-{n}": f"unit-{n % 4}" for n in range(TEAMS)}
    as_tagged = {"name": "as tagged", "copy": "feature"}
    staging = {"name": "staging", "when": {"environment": "staging"}, "value": "staging"}
    head = {"name": "benchmark", "version": "2026-11-01", "hierarchy": ["unit", "team", "feature"]}
    pools = [
        {"name": "gateway", "amount": "1000.00", "driver": "requests"},
        {"name": "platform", "amount": "7000.00", "driver": "heads", "within": "direct_cost"},
        {"name": "tracing", "amount": "333.33", "driver": {"tokens": Decimal("0.5"), "latency": Decimal("0.5")}},
        {"name": "vectors", "amount": "120.00", "driver": "input_tokens", "among": {"tags.deployment": "d1"}},
        {"name": "support", "amount": "500.00", "driver": "even", "to": "team", "serves": {"gateway": 10}},
        {"name": "shared staging", "take": {"environment": "staging"}, "driver": "requests"},
    ]
    return Plan.from_dict(
        {
            "plan": {**head, "dimensions": ["customer"] if customers else []},
            "tags": {
                "team": {"default": "(unallocated)", "rules": [{"name": "as tagged", "copy": "team"}, *services]},
                "unit": {"default": "(unallocated)", "rules": [{"name": "chart", "by": "team", "map": units}]},
                "feature": {"default": "(unallocated)", "rules": [staging, as_tagged]},
            },
            "drivers": [{"name": "heads", "to": "team", "values": {f"team-{n}": n + 3 for n in range(TEAMS)}}],
            "pools": pools,
            "services": {"method": "reciprocal"},
        }
    )


def measure(path: Path, *, customers: bool) -> dict[str, Any]:
    """Allocates once, in this process."""
    started, cpu = time.perf_counter(), time.process_time()
    statement = Ledger(path).allocate(plan(customers=customers), "2026-11")
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu": round(time.process_time() - cpu, 2),
        "mb": peak_mb(),
        "lines": len(statement.lines),
        "total": str(statement.total),
        "ties": statement.ok,
    }


def peak_mb() -> int:
    """The peak of this process alone: what `getrusage` tells, a child has from its parent where the parent had more."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    (peak,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak) // 1024


def apart(path: Path, *, customers: bool) -> dict[str, Any]:
    """The same in a process of its own, so that its peak of memory is its own."""
    command = [sys.executable, __file__, "--measure", str(path), *(["--customers"] if customers else [])]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(answer)
    return found


def main() -> None:
    """Makes, allocates, prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs="*", default=[1, 3, 10])
    parser.add_argument("--keep", type=Path, help="make the ledgers here and leave them")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--customers", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure, customers=asked.customers)))
        return
    print(f"{os.cpu_count()} cores, DuckDB {duckdb.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        for millions in asked.millions:
            path = (asked.keep or Path(scratch)) / f"{millions:g}m.ledger"
            if not path.exists():
                make(path, int(millions * MILLION))
            for customers in (False, True):
                cells = "unit, team, feature" + ", customer" * customers
                print(f"{millions:g} million by {cells}: {apart(path, customers=customers)}", flush=True)


if __name__ == "__main__":
    main()
