"""SIGKILL trials of real processes: how many acknowledged charges are in the ledger afterwards, and how often twice.

    python benchmarks/kill_trials.py append   # the sink alone, as fast as it can
    python benchmarks/kill_trials.py calls    # metered calls of the openai SDK against a loopback server
    python benchmarks/kill_trials.py seal     # `seal` over segments that dead writers left
    python benchmarks/kill_trials.py compact  # `compact` over days of several files
    python benchmarks/kill_trials.py query    # a reader that asks while another process seals
    python benchmarks/kill_trials.py retain   # `retain` over sealed days, and charges that came late to rolled-up ones

Each trial forks a worker, kills it after a random time, and goes on with the next on the same ledger. Work that comes
to an end is first done once to its end, so that kills fall into all of it, however fast the machine is. An
acknowledgement is written by the worker, with a `write(2)` of its own, after the ledger call returned; what `seal` and
the others find on disk counts as acknowledged, and the ledger is read after every kill. Exits with 1 if a charge is
lost or doubled.
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
from datetime import date
from pathlib import Path
from typing import NamedTuple

from _checker import Checker, a_row

Acknowledge = Callable[[str], object]
CENT = 10_000
"""What a charge of `a_row` costs, in millionths."""


class Kind(NamedTuple):
    """One kind of trial: what the worker does until it is killed, and the column that an acknowledgement names.

    `prepare` puts something to work on into the ledger and returns what counts as acknowledged by that. Where the work
    `sums_up` charges, their number and cost are checked, for they have no ids any more.
    """

    work: Callable[[Path, Acknowledge, str], None]
    column: str
    most_seconds: float
    prepare: Callable[[Path, Checker], set[str]] | None = None
    needs_server: bool = False
    sums_up: bool = False
    ends: bool = False


def append(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Appends charges through the sink."""
    from spanledger import _ids
    from spanledger._types import Charge
    from spanledger.sinks.ledger import LedgerSink

    sink = LedgerSink(ledger)
    while True:
        row = {**a_row(_ids.uuid7(), 23), "team": "t" * 500}
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


def seal_all(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Seals what is closed."""
    from spanledger.ledger._seal import seal

    acknowledge("")
    seal(ledger)


def compact_all(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Merges every day."""
    from spanledger.ledger._compact import compact

    acknowledge("")
    compact(ledger, date(2030, 1, 1))


def roll_up(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Rolls up every day."""
    from spanledger.ledger._retain import Plan, retain

    acknowledge("")
    retain(ledger, Plan(date(2030, 1, 1), ("team",)))


def query_while_sealing(ledger: Path, acknowledge: Acknowledge, _: str) -> None:
    """Asks, again and again, while a child seals and merges; any other answer than the first ends it in error."""
    from spanledger import Ledger

    sealer = os.fork()
    if not sealer:
        seal_all(ledger, lambda _: None, "")
        compact_all(ledger, lambda _: None, "")
        os._exit(0)
    reader = Ledger(ledger)
    first = sum(row["charges"] for row in reader.cost("day"))
    acknowledge("")
    while sum(row["charges"] for row in reader.cost("day")) == first:
        pass
    (ledger / "wrong-answer").touch()


def leave_segments(ledger: Path, _: Checker) -> set[str]:
    """Two closed segments of two days, as writers that died leave them."""
    from spanledger import _ids

    (ledger / "open").mkdir(parents=True, exist_ok=True)
    ids = set()
    for _segment in range(2):
        rows = [a_row(_ids.uuid7(), 20 + number % 2) for number in range(150)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (ledger / "open" / f"host-1-{_ids.uuid7()}.jsonl").write_text(text)
        ids |= {row["charge_id"] for row in rows}
    return ids


def leave_sealed(ledger: Path, checker: Checker) -> set[str]:
    """The same, sealed."""
    ids = leave_segments(ledger, checker)
    checker.ask("seal", ledger)
    return ids


KINDS = {
    "append": Kind(append, "charge_id", 0.05),
    "calls": Kind(calls, "response_id", 0.4, needs_server=True),
    "seal": Kind(seal_all, "charge_id", 0.3, leave_segments, ends=True),
    "compact": Kind(compact_all, "charge_id", 0.3, leave_sealed, ends=True),
    "query": Kind(query_while_sealing, "charge_id", 0.3, leave_segments),
    "retain": Kind(roll_up, "charge_id", 0.5, leave_sealed, sums_up=True, ends=True),
}


def seconds_to_its_end(kind: Kind, folder: Path, checker: Checker) -> float:
    """How long the work of a trial takes, and a tenth more: done once, on a ledger of its own."""
    ledger = folder / "first.ledger"
    if kind.prepare:
        kind.prepare(ledger, checker)
    worker, start = os.fork(), time.monotonic()
    if not worker:
        kind.work(ledger, lambda _: None, "")
        os._exit(0)
    os.waitpid(worker, 0)
    return 1.1 * (time.monotonic() - start)


def run_trial(kind: Kind, ledger: Path, acknowledgements: Path, base_url: str, seconds: float) -> set[str]:
    """Runs a worker for `seconds` after its first acknowledgement, kills it, and returns what it acknowledged."""
    acknowledgements.unlink(missing_ok=True)
    fd = os.open(acknowledgements, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    worker = os.fork()
    if not worker:
        os.setpgid(0, 0)
        try:
            kind.work(ledger, lambda key: os.write(fd, key.encode() + b"\n"), base_url)
        finally:
            os._exit(1)
    while not acknowledgements.stat().st_size:
        time.sleep(0.001)
    time.sleep(seconds)
    os.killpg(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    os.close(fd)
    # A kill can also tear an acknowledgement, where it crosses from one page of memory to the next.
    whole, _, _ = acknowledgements.read_text().rpartition("\n")
    return {line for line in whole.split("\n") if line}


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
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()


def found_in(ledger: Path, column: str) -> list[str]:
    """What stands in the ledger, every row of every file."""
    from spanledger import Ledger

    return [row[column] for row in Ledger(ledger).charges(columns=[column], history=True)]


def run_trials(asked: argparse.Namespace, kind: Kind, ledger: Path) -> Iterator[set[str]]:
    """Runs the trials, and gives what each acknowledged. What was there to work on is counted after every kill."""
    chance = random.Random(asked.seed)  # noqa: S311 -- when to kill, not a secret
    acknowledgements = ledger.with_name("acknowledged")
    total = 0
    with Checker() as checker, loopback_server(needed=kind.needs_server) as base_url:
        most = seconds_to_its_end(kind, ledger.parent, checker) if kind.ends else kind.most_seconds
        for _ in range(asked.trials):
            prepared = kind.prepare(ledger, checker) if kind.prepare else set()
            done = run_trial(kind, ledger, acknowledgements, base_url, chance.uniform(0, most))
            total += len(prepared)
            if prepared:
                read = checker.ask("sums" if kind.sums_up else "read", ledger)
                right = (total, total * CENT) if kind.sums_up else (total, total)
                assert read == right, f"the ledger reads wrong after a kill: {read}, not {right}"
                assert not (ledger / "wrong-answer").exists(), "a reader got a wrong answer"
            yield prepared | done
        if total and not kind.sums_up:
            assert checker.ask("finish", ledger) == (total, total), "the ledger reads wrong after sealing ended"


def main() -> int:
    """Runs the trials and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    kind = KINDS[asked.kind]
    _import_once(kind)
    with tempfile.TemporaryDirectory() as folder:
        trials = list(run_trials(asked, kind, ledger := Path(folder) / "spend.ledger"))
        result = {"kind": asked.kind, **(counted if kind.sums_up else judged)(trials, ledger, kind)}
    print(json.dumps(result))
    return int(bool(result["lost"] or result["doubled"] or not result["acknowledged"]))


def counted(trials: list[set[str]], ledger: Path, _: Kind) -> dict[str, int]:
    """The number of charges that were there against the number in the sums."""
    from spanledger import Ledger

    acknowledged = sum(map(len, trials))
    found = sum(row["charges"] for row in Ledger(ledger).cost())
    lost = max(acknowledged - found, 0)
    told = {"trials": len(trials), "acknowledged": acknowledged, "lost": lost, "trials_with_loss": int(lost > 0)}
    return {**told, "doubled": max(found - acknowledged, 0), "unacknowledged_but_kept": 0}


def judged(trials: list[set[str]], ledger: Path, kind: Kind) -> dict[str, int]:
    """What was acknowledged against what was found."""
    found = found_in(ledger, kind.column)
    kept = set(found)
    lost = [len(acknowledged - kept) for acknowledged in trials]
    acknowledged = sum(map(len, trials))
    return {
        "trials": len(trials),
        "acknowledged": acknowledged,
        "lost": sum(lost),
        "trials_with_loss": sum(map(bool, lost)),
        "doubled": len(found) - len(kept),
        "unacknowledged_but_kept": len(kept) - acknowledged + sum(lost),
    }


def _import_once(kind: Kind) -> None:
    """What workers need, before they fork. No connection to an engine is made here."""
    import spanledger.sinks.ledger

    if kind.needs_server:
        import openai  # noqa: F401
    if kind.prepare:
        import duckdb  # noqa: F401
        import pyarrow as pa  # noqa: F401

        import spanledger.ledger._compact
        import spanledger.ledger._retain  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
