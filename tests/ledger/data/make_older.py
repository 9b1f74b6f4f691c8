"""Makes `older/`, a ledger as the first versions wrote it, with the code of those versions from the history.

    python tests/ledger/data/make_older.py DIRECTORY

Its sealed half is of the first commit that seals, its open segment of the first that writes a ledger. It is checked in,
so that the tests need no history; the names of segments have no host and no process in them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

WRITES, SEALS = "537ac71", "1ffa520"
WRITE = """
import json, sys
from spanledger._types import Charge
from spanledger.sinks.ledger import LedgerSink
sink = LedgerSink(sys.argv[1])
for row in json.loads(sys.argv[2]):
    sink.book(Charge(row))
"""
PARTS = {"input": "0.001125", "cache_read": "0.0000125", "output": "0.000500000000001"}
DEARER = {"list_cost": "0.002637500000001", "costs": {**PARTS, "input": "0.002125"}}
UNKNOWN = dict.fromkeys(("list_cost", "contracted_cost", "effective_cost", "costs"))


def charge(number: int, day: int, **changes: object) -> dict[str, object]:
    """A charge of January 2026; `None` leaves a column out."""
    row = {
        "charge_id": f"0193{number:04}-0000-7000-8000-000000000000",
        "call_id": f"call-{number}",
        "started_at": f"2026-01-{day:02}T10:00:0{number}.000001Z",
        "duration_ms": 812.5,
        "provider_name": "openai",
        "operation": "chat",
        "request_model": "gpt-5",
        "response_model": "gpt-5-2025-08-07",
        "billed_model": "gpt-5",
        "status": "ok",
        "stream": False,
        "finish_reasons": ["stop"],
        "team": "growth",
        "customer": "acme",
        "tags": {"plan": "pro", "Odd key": "it's"},
        "trace_id": "a" * 32,
        "span_id": f"{number:016}",
        "input_tokens": 1000,
        "output_tokens": 50,
        "usage": {"input": 900, "cache_read": 100, "output": 50, "gpu_seconds": "0.25"},
        "usage_source": "reported",
        "currency": "USD",
        "list_cost": "0.001637500000001",
        "contracted_cost": "0.001637500000001",
        "effective_cost": "0.0012",
        "costs": PARTS,
        "cost_status": "exact",
        "price_ref": "openai/gpt-5@2026-01-01",
        "price_context": {"service_tier": "default"},
        **changes,
    }
    return {name: value for name, value in row.items() if value is not None}


OPEN = [
    charge(1, 5),
    charge(2, 5, team="core", cost_status="unknown", cost_reason="no price", **UNKNOWN),
    charge(3, 6, status="error", error_type="APITimeoutError", tags=None),
]
FIFTH = charge(5, 6)
SEALED = [
    charge(4, 5, customer="other"),
    FIFTH,
    charge(6, 6, corrects=FIFTH["charge_id"], started_at=FIFTH["started_at"], **DEARER),
    charge(7, 6, from_the_future={"joules": 3}),
]


def main() -> None:
    """Writes the ledger."""
    ledger = Path(sys.argv[1])
    for commit, rows in ((SEALS, SEALED), (WRITES, OPEN)):
        with tempfile.TemporaryDirectory() as folder:
            git = shutil.which("git") or "git"
            archive = subprocess.run([git, "archive", commit], check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(folder, filter="data")
            environment = {**os.environ, "PYTHONPATH": f"{folder}/src"}
            command = [sys.executable, "-c", WRITE, str(ledger), json.dumps(rows)]
            subprocess.run(command, check=True, env=environment)
            if commit == SEALS:
                subprocess.run([sys.executable, "-m", "spanledger", "seal", str(ledger)], check=True, env=environment)
    for path in [*ledger.glob("open/*"), *ledger.glob("charges/*/*")]:
        path.rename(path.with_name(f"host-1-{path.name.split('-', 2)[2]}"))


if __name__ == "__main__":
    main()
