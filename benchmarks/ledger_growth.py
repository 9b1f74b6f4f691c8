"""Whether one more charge costs the same in a ledger of no, a million and a hundred million rows.

    python benchmarks/ledger_growth.py --append 200000 1m.ledger 10m.ledger     what ledger_generate.py made
    python benchmarks/ledger_growth.py --append 1000000                         a million through the sink

For an empty ledger and for each that is named (a copy of hard links, the original stays as it is): processor time of
the sink, of sealing and of a question to the one day that was appended to, and what was in memory after the first tenth
and at the end of appending. Processor time, because other work on the machine changes it least; numbers of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _checker import a_row
from ledger_generate import size_of

from spanledger import Ledger, _ids
from spanledger._types import Charge
from spanledger.ledger._seal import seal
from spanledger.sinks.ledger import LedgerSink

DAY = 24
"""Of November: the day after those that are generated."""

Costs = dict[str, float]


@contextmanager
def timed(costs: Costs, name: str, count: int = 1) -> Iterator[None]:
    """Notes the seconds of processor time of the block, for one of `count`."""
    began = time.process_time()
    yield
    costs[name] = (time.process_time() - began) / count


def resident() -> int:
    """The KiB that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() // 1024


def append(ledger: Path, count: int) -> tuple[int, int]:
    """Books charges through the sink, and says how much is in memory after a tenth of them and at the end."""
    sink = LedgerSink(ledger)
    settled = 0
    for number in range(count):
        sink.book(Charge({**a_row(_ids.uuid7(), DAY), "team": f"team-{number % 20}", "input_tokens": number % 5000}))
        if number == count // 10:
            settled = resident()
    grown = resident()
    sink.close()
    return settled, grown


def measure(ledger: Path, count: int) -> Costs:
    """Appends, seals and asks."""
    costs: Costs = {}
    with timed(costs, "append_us", count):
        costs["settled_kib"], costs["end_kib"] = append(ledger, count)
    with timed(costs, "seal_us", count):
        seal(ledger)
    since, until = f"2026-11-{DAY}", f"2026-11-{DAY + 1}"
    asked = Ledger(ledger)
    first = asked.cost("team", since=since, until=until).rows()
    if sum(row["charges"] for row in first) != count:
        msg = f"{ledger}: appended {count}, found {first}"
        raise AssertionError(msg)
    with timed(costs, "question_ms"):
        asked.cost("team", since=since, until=until)
    costs["append_us"], costs["seal_us"] = costs["append_us"] * 1e6, costs["seal_us"] * 1e6
    costs["question_ms"] *= 1e3
    return {name: round(value, 2) for name, value in costs.items()}


def linked(ledger: Path, copy: Path) -> Path:
    """The same sealed files under another name."""
    for path in ledger.glob("charges/*/*.parquet"):
        beside = copy / path.relative_to(ledger)
        beside.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, beside)
    return copy


def main() -> int:
    """Measures and prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledgers", type=Path, nargs="*")
    parser.add_argument("--append", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "first.ledger", 1000)  # which loads what it needs
    for ledger in [None, *asked.ledgers]:
        with tempfile.TemporaryDirectory(dir=ledger.parent if ledger else None) as folder:
            copy = Path(folder) / "spend.ledger"
            before = size_of(linked(ledger, copy)) if ledger else 0
            costs = measure(copy, asked.append)
            print(json.dumps({"ledger": str(ledger or "empty"), "sealed_bytes": before, **costs}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
