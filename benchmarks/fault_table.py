"""What happens to charges in the places and kinds of process where applications run: one row each.

    python benchmarks/fault_table.py                                          # a table
    python benchmarks/fault_table.py --page docs/explanation/ledger-faults.md # and as a page

Every scenario of `fault_scenarios.py` is a real process that makes metered calls of the openai SDK against a loopback
provider. `right` is how many of its calls got the answer that the provider sent, `booked` how many charges the ledger
has afterwards, `lost` how many the process counted as lost, `doctor` what another process is told. Nothing may be
missing: booked + lost = calls.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fault_scenarios import PRELUDE, SCENARIOS, Scenario
from file_systems import library

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.testing import ProviderServer

HEAD = """# The ledger in bad places

What was done, what the application saw of it, what was lost, and what `spanledger doctor` says afterwards. Each row
is a real process that makes metered calls of the openai SDK against a loopback provider, and each is a test. Made
by `python benchmarks/fault_table.py --page docs/explanation/ledger-faults.md`.

Booked and lost together are always the calls that were made: nothing is missing without being counted. The
application's answers are right in every row, and a failing place is looked at again every five seconds, so nothing
spins.

| what was done | calls | right answers | booked | lost | what is logged, once | what `doctor` says |
|---|---|---|---|---|---|---|
"""

TAIL = """
Bounds: `durability="process"` loses nothing when the process dies, by whatever signal, and what the kernel had not
yet written when the machine does (Linux writes within about 30 seconds); `durability="fsync"` loses nothing then
either. A process has one segment open, of at most 64 MiB or an hour; 32 MiB of the disk are left to the
application.

What a real NFS server and its clients do to a ledger has [a page of its own](ledger-nfs.md). Two of its lessons are in
the table above too, by libraries that answer as such a file system does.
"""


class Told(NamedTuple):
    """How a scenario ended."""

    scenario: Scenario
    right: int
    booked: int
    lost: int
    logged: str
    doctor: str
    also: dict[str, Any]


def missing(scenario: Scenario) -> str:
    """Why a scenario cannot run here, or nothing."""
    if scenario.needs == "mount":
        able = shutil.which("unshare") and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
        return "" if able and able.returncode == 0 else "mounts need root and a name space of their own"
    if scenario.needs == "cc":
        return "" if shutil.which("cc") else "there is no C compiler"
    return "" if not scenario.needs or find_spec(scenario.needs) else f"{scenario.needs} is not installed"


def run(scenario: Scenario, folder: Path, url: str) -> Told:
    """Runs one scenario and asks the ledger and the doctor afterwards. Raises `RuntimeError` with what it printed."""
    ledger = folder / "deep" / "down" / "l" if scenario.name == "no directory above" else folder / "l"
    (folder / "prelude.py").write_text(PRELUDE.replace('if __name__ == "__main__":', "if True:"))
    (folder / "scenario.py").write_text(PRELUDE + scenario.source)
    folder.chmod(0o755)
    (folder / "right").touch()
    (folder / "right").chmod(0o666)
    command = [sys.executable, "-W", "ignore", str(folder / "scenario.py"), str(ledger), str(folder), url]
    whole = [*_before(scenario, folder), *command]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    told = json.loads(done.stdout.splitlines()[-1])
    left = folder / "out" if (folder / "out").exists() else ledger
    logged = [line for line in done.stderr.splitlines() if line.startswith("spanledger could not")]
    said = [_without_names(text, left.parent) for text in ((logged or [""])[0], doctor_of(left))]
    return Told(scenario, told.pop("right"), booked(left), told.pop("lost"), *said, told)


def _without_names(text: str, folder: Path) -> str:
    """The text without what differs from run to run."""
    return re.sub(r"[\w.]+-\d+-[0-9a-f-]{36}", "SEGMENT", text.replace(str(folder), "..."))


def _before(scenario: Scenario, folder: Path) -> list[str]:
    """What the command is run under."""
    if scenario.needs == "mount":
        return ["unshare", "-m"]
    if not scenario.file_system:
        return []
    return ["env", f"LD_PRELOAD={library(scenario.file_system, folder)}", f"REFUSED={folder / 'refused'}"]


def doctor_of(ledger: Path) -> str:
    """What the doctor says of losses, or of the ledger where there are none."""
    command = [sys.executable, "-m", "spanledger", "doctor", str(ledger)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    about = [line.partition(": ")[2] for line in lines if ": lost " in line] or lines[-1:]
    return (done.stderr if done.returncode > 1 else about[0]).strip()


def booked(ledger: Path) -> int:
    """The charges in the ledger, every row of it; none where there is none."""
    try:
        return len(Ledger(ledger).charges(columns=["charge_id"], history=True))
    except LedgerError:
        return 0


def _rows(only: str) -> Iterator[Told]:
    with ProviderServer() as server:
        for scenario in SCENARIOS:
            if only not in scenario.name:
                continue
            if reason := missing(scenario):
                print(f"{scenario.name}: skipped, {reason}", file=sys.stderr)
                continue
            with tempfile.TemporaryDirectory() as folder:
                yield run(scenario, Path(folder), server.base_url)


def line(told: Told) -> str:
    """A row of the page."""
    name = told.scenario.name + "".join(f"; {key}: {value!r}" for key, value in told.also.items())
    cells = (name, told.scenario.calls, told.right, told.booked, told.lost, told.logged or "nothing", told.doctor)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    """Prints the table, and writes the page where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    rows = []
    for told in _rows(asked.only):
        rows.append(told)
        print(line(told), flush=True)
    if asked.page:
        asked.page.write_text(HEAD + "\n".join(map(line, rows)) + "\n" + TAIL)
    return int(not all(told.booked + told.lost == told.scenario.calls == told.right for told in rows))


if __name__ == "__main__":
    sys.exit(main())
