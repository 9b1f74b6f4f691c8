"""SIGKILL trials of real processes: how many acknowledged charges are in the ledger afterwards, and how often twice.

    python benchmarks/kill_trials.py append --trials 100     # the sink alone, as fast as it can
    python benchmarks/kill_trials.py calls --trials 100      # metered calls of the openai SDK against a loopback server

Each trial forks a worker, kills it after a random time, and goes on with the next on the same ledger. An acknowledgement
is written by the worker, with a `write(2)` of its own, after the ledger call returned. Exits with 1 if a charge is lost
or doubled. Deterministic but for the machine's timing: `--seed`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

Acknowledge = Callable[[str], object]


class Kind(NamedTuple):
    """One kind of trial: what the worker does until it is killed, and the column that an acknowledgement names."""

    work: Callable[[Path, Acknowledge, str], None]
    column: str
    most_seconds: float
    needs_server: bool = False


def append(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Appends charges through the sink."""
    from spanledger import _ids
    from spanledger._types import Charge
    from spanledger.sinks.ledger import LedgerSink

    sink = LedgerSink(ledger)
    while True:
        row = {"charge_id": _ids.uuid7(), "started_at": "2026-11-23T10:00:00.000000Z", "provider_name": "openai",
               "operation": "chat", "status": "ok", "cost_status": "exact", "list_cost": "0.01", "team": "t" * 500}  # fmt: skip
        sink.book(Charge(row))
        acknowledge(row["charge_id"])


def calls(ledger: Path, acknowledge: Acknowledge, base_url: str) -> None:
    """Makes metered chat calls with the real SDK."""
    from openai import OpenAI

    import spanledger

    spanledger.instrument(ledger=ledger)
    client = OpenAI(base_url=base_url + "/v1", api_key="loopback", max_retries=0)
    while True:
        answer = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "hello"}])
        acknowledge(answer.id)


KINDS = {
    "append": Kind(append, "charge_id", 0.05),
    "calls": Kind(calls, "response_id", 0.4, needs_server=True),
}


def run_trial(kind: Kind, ledger: Path, acknowledgements: Path, base_url: str, seconds: float) -> set[str]:
    """Runs a worker for `seconds` after its first acknowledgement, kills it, and returns what it acknowledged."""
    acknowledgements.unlink(missing_ok=True)
    fd = os.open(acknowledgements, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    worker = os.fork()
    if not worker:
        try:
            kind.work(ledger, lambda key: os.write(fd, key.encode() + b"\n"), base_url)
        finally:
            os._exit(1)
    while not acknowledgements.stat().st_size and not os.waitpid(worker, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    os.close(fd)
    return {line for line in acknowledgements.read_text().split("\n") if line}


@contextmanager
def loopback_server(*, needed: bool) -> Iterator[str]:
    """A provider server in a process of its own, and where it listens."""
    if not needed:
        yield ""
        return
    source = (
        "import sys; from spanledger.testing import ProviderServer\n"
        "with ProviderServer() as server:\n    print(server.base_url, flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        yield server.stdout.readline().strip()


def found_in(ledger: Path, column: str) -> list[str]:
    """What stands in the ledger, every row of every file."""
    from spanledger import Ledger

    return [row[column] for row in Ledger(ledger).charges(columns=[column], history=True)]


def main() -> int:
    """Runs the trials and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    kind = KINDS[asked.kind]
    chance = random.Random(asked.seed)  # noqa: S311 -- when to kill, not a secret
    if kind.needs_server:
        import openai  # noqa: F401 -- once, before the workers fork
    with tempfile.TemporaryDirectory() as folder, loopback_server(needed=kind.needs_server) as base_url:
        ledger = Path(folder) / "spend.ledger"
        trials = []
        for _ in range(asked.trials):
            seconds = chance.uniform(0, kind.most_seconds)
            trials.append(run_trial(kind, ledger, Path(folder) / "acknowledged", base_url, seconds))
        found = found_in(ledger, kind.column)
    kept = set(found)
    lost = [len(acknowledged - kept) for acknowledged in trials]
    result = {
        "kind": asked.kind,
        "trials": len(trials),
        "acknowledged": sum(map(len, trials)),
        "lost": sum(lost),
        "trials_with_loss": sum(map(bool, lost)),
        "doubled": len(found) - len(kept),
        "unacknowledged_but_kept": len(kept) - sum(map(len, trials)) + sum(lost),
    }
    print(json.dumps(result))
    return int(bool(result["lost"] or result["doubled"] or not result["acknowledged"]))


if __name__ == "__main__":
    sys.exit(main())
