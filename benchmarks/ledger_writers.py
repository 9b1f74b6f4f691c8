"""What one charge costs the thread that makes it, with several processes writing to one ledger at a rate.

    python benchmarks/ledger_writers.py --processes 1 8 --rate 500 --seconds 10

Microseconds of `LedgerSink.book`, by percentile, over all processes. The growth of the resident memory from the first
thousand charges to the last says whether anything is kept. For ratios on one machine at one time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

from _checker import a_row


def write(ledger: str, rate: int, seconds: float) -> tuple[list[int], int]:
    """Books charges at a rate; returns the nanoseconds of each and the KiB by which the process grew."""
    from spanledger import _ids
    from spanledger._types import Charge
    from spanledger.sinks.ledger import LedgerSink

    sink = LedgerSink(ledger)
    took: list[int] = []
    settled = 0
    due = time.perf_counter()
    for number in range(int(rate * seconds)):
        charge = Charge({**a_row(_ids.uuid7(), 23), "team": "t" * 400})
        began = time.perf_counter_ns()
        sink.book(charge)
        took.append(time.perf_counter_ns() - began)
        if number == 1000:
            settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
    return took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled


def measure(processes: int, rate: int, seconds: float) -> dict[str, float]:
    """The percentiles of one number of processes."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(processes) as pool:
        ledger = str(Path(folder) / "spend.ledger")
        done = pool.starmap(write, [(ledger, rate, seconds)] * processes)
    took = sorted(nanoseconds for times, _ in done for nanoseconds in times)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    found = {name: took[min(int(share * len(took)), len(took) - 1)] / 1000 for name, share in shares.items()}
    return {"processes": processes, "charges": len(took), **found, "grew_kib": max(grew for _, grew in done)}


def main() -> int:
    """Measures and prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    asked = parser.parse_args()
    for processes in asked.processes:
        print(json.dumps(measure(processes, asked.rate, asked.seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
