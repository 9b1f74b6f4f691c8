"""A process of its own that reads, seals and merges a ledger: the one that forks must stay free of engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = """
import sys
from datetime import date
from pathlib import Path
from spanledger import Ledger
from spanledger.ledger._seal import seal
from spanledger.ledger._compact import compact
from spanledger.ledger._retain import Plan, retain
for line in sys.stdin:
    what, path = line.rstrip("\\n").split(" ", 1)
    if what in ("seal", "finish", "retain"):
        seal(Path(path))
    if what in ("finish", "retain"):
        compact(Path(path), date(2030, 1, 1))
    if what == "retain":
        retain(Path(path), Plan(date(2030, 1, 1), ()))
    if what in ("sums", "retain"):
        rows = Ledger(path).cost("day").rows()
        print(sum(row["charges"] for row in rows), sum(int(row["list_cost"] * 1_000_000) for row in rows), flush=True)
        continue
    ids = [row["charge_id"] for row in Ledger(path).charges(columns=["charge_id"], history=True, rolled="skip")]
    print(len(ids), len(set(ids)), flush=True)
"""


def a_row(charge_id: str, day: int) -> dict[str, str]:
    """A small charge of a day in November."""
    return {
        "charge_id": charge_id,
        "started_at": f"2026-11-{day}T10:00:00.000000Z",
        "provider_name": "openai",
        "operation": "chat",
        "status": "ok",
        "cost_status": "exact",
        "list_cost": "0.01",
    }


class Checker:
    """A context manager."""

    def __enter__(self) -> Checker:
        command = [sys.executable, "-c", SOURCE]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, what: str, ledger: Path) -> tuple[int, int]:
        """The rows and the different rows of a ledger; `seal` seals it first, `finish` merges it too.

        `sums` answers the charges and their cost in millionths instead, `retain` after rolling all of it up.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what} {ledger}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            msg = f"the checker answered {answer}"
            raise RuntimeError(msg)
        return int(answer[0]), int(answer[1])
