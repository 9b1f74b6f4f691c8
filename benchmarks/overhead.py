"""What metering adds to a call beside the bare SDK: instructions (repeatable) and CPU microseconds (noisy).

    python benchmarks/overhead.py [--peers genai] [--cpu] [--cases chat:10,stream:2] [--json FILE]

The harness is that of the shared directory (`../shared/overhead`, or `SPANLEDGER_SHARED`): zero-network transports, the
whole process counted, deferred work drained inside the window. Each contender has a virtual environment of its own
under `--work`, with the same SDK versions. Instruction counts need gcc and valgrind and hold for comparison on any
machine; microseconds hold as ratios to `bare` in the same run, and `bare2` beside `bare` shows how much is noise.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = "chat:10,stream:2,embed:2,achat:10,resp:8,amsg:10,amstream:3,converse:10,convstream:3,invoke:10"
OURS = ("spanledger_ledger", "spanledger_sampled_out", "spanledger_tracer", "spanledger")
"""No provider, an SDK tracer that drops every trace, an SDK tracer, and tracer and meter."""


def main() -> int:
    """Makes what is missing, measures, prints one table."""
    options = _options()
    harness = _harness(options.work)
    if harness is None:
        print(
            "the harness is not here: put the shared directory beside the repository, or name it in SPANLEDGER_SHARED"
        )
        return 2
    contenders = ["bare", *OURS, *(name for name in options.peers.split(",") if name)]
    for name in dict.fromkeys(_venv_of(harness, contender) for contender in contenders):
        _make_venv(harness, name)
    counted = _count(harness, contenders, options.cases)
    print(_table(counted))
    if options.cpu:
        _time(harness, contenders)
    if options.json:
        Path(options.json).write_text(json.dumps(counted, indent=1))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", help="contenders of the harness, such as genai,traceloop")
    parser.add_argument("--cases", default=CASES, help="case:calls, separated by commas")
    parser.add_argument("--cpu", action="store_true", help="measure CPU microseconds too, in interleaved rounds")
    parser.add_argument("--json", default="", help="where to keep the counts")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "spanledger-overhead")
    return parser.parse_args()


def _harness(work: Path) -> Path | None:
    """A copy of the harness that may be written to; its environments are kept from run to run."""
    shared = Path(os.environ.get("SPANLEDGER_SHARED", ROOT.parent / "shared")) / "overhead"
    if not shared.is_dir():
        return None
    for source in shared.rglob("*"):
        target = work / source.relative_to(shared)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for source in (ROOT / "benchmarks" / "contenders").glob("*.py"):
        shutil.copyfile(source, work / "contenders" / source.name)
    if not (work / "vg.so").exists() and shutil.which("gcc"):
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", "vg.so", "vg.c"], cwd=work, check=True)
    return work


def _venv_of(harness: Path, contender: str) -> str:
    source = (harness / "contenders" / f"{contender}.py").read_text()
    found = re.search(r'^VENV = "([^"]+)"', source, re.MULTILINE)
    return found[1] if found else contender


def _make_venv(harness: Path, name: str) -> None:
    """Installs what the harness pins for this name; for ours, the pins of `bare` and this checkout."""
    python = harness / "venvs" / name / "bin" / "python"
    if not python.exists():
        venv.create(python.parent.parent, with_pip=True)
    pins = _pins(harness, "bare" if name == "spanledger" else name)
    ours = ["-e", str(ROOT)] if name == "spanledger" else []
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins, *ours], check=True)


def _pins(harness: Path, name: str) -> list[str]:
    """What `mk NAME ...` installs in the harness's own set-up, so that there is one place for pins."""
    script = (harness / "setup.sh").read_text()
    variables = dict(re.findall(r'^([A-Z]+)="?([^"\n]*)"?$', script, re.MULTILINE))
    line = re.search(rf"^mk {re.escape(name)}\s+(.*)$", script, re.MULTILINE)
    if line is None:
        msg = f"the harness has no environment {name!r}"
        raise SystemExit(msg)
    words = re.sub(r"\$([A-Z]+)", lambda match: variables[match[1]], line[1]).split()
    return ["--pre" if word.startswith("--prerelease") else word for word in words]


def _count(harness: Path, contenders: list[str], cases: str) -> dict[str, dict[str, float]]:
    result = harness / "results" / "icount.json"
    result.parent.mkdir(exist_ok=True)
    result.unlink(missing_ok=True)
    command = [
        sys.executable,
        "icount.py",
        "--contenders",
        ",".join(contenders),
        "--cases",
        cases,
        "--json",
        str(result),
    ]
    subprocess.run(command, cwd=harness, check=True, stdout=subprocess.DEVNULL)
    return {name: one["instr"] for name, one in json.loads(result.read_text()).items()}


def _table(counted: dict[str, dict[str, float]]) -> str:
    """Millions of instructions a call, and what each contender adds to the bare SDK."""
    bare = counted["bare"]
    lines = [f"{'million instructions a call':30}" + "".join(f"{case:>12}" for case in bare)]
    lines.append(f"{'bare SDK':30}" + "".join(f"{count / 1e6:12.2f}" for count in bare.values()))
    for name, counts in counted.items():
        if name != "bare":
            added = "".join(f"{_added(counts.get(case), base):>12}" for case, base in bare.items())
            lines.append(f"{'+ ' + name:30}{added}")
    return "\n".join(lines)


def _added(count: float | None, base: float) -> str:
    return "-" if count is None else f"+{(count - base) / 1e6:.2f}"


def _time(harness: Path, contenders: list[str]) -> None:
    command = [sys.executable, "run.py", "--contenders", ",".join(["bare2", *contenders]), "--rounds", "9"]
    pinned = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    subprocess.run([*pinned, *command, "--cases", "chat,stream,amsg,converse"], cwd=harness, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
