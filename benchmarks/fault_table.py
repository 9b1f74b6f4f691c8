"""What happens to charges in the places and kinds of process where applications run: one row each.

    python benchmarks/fault_table.py            # a table
    python benchmarks/fault_table.py --json     # for the tests

Every scenario is a real process that books charges through the sink of `instrument`. `returned` is how many of its
calls came back as if nothing were wrong, `booked` how many charges the ledger has, `lost` how many the process counted
as lost, and `doctor` what another process is told. Nothing may be missing: booked + lost = calls.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

PRELUDE = """
import json, multiprocessing, os, resource, shutil, signal, sys, threading, time, warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from spanledger import _faults, _ids
from spanledger._types import Charge
from spanledger.sinks import ledger as sinks
ledger = Path(sys.argv[1])
returned = 0

def call(sink, times=1):
    global returned
    for _ in range(times):
        row = {"charge_id": _ids.uuid7(), "started_at": "2026-11-23T10:00:00.000000Z", "provider_name": "openai",
               "operation": "chat", "status": "ok", "cost_status": "exact", "list_cost": "0.01", "currency": "USD"}
        sink.book(Charge(row))
        returned += 1

def child(path):
    call(sinks.LedgerSink(path), 5)

def look_now():
    if sink._segment:
        sink._segment.look_at = 0

def tell():
    sink.close()
    print(json.dumps({"returned": returned, "lost": _faults.snapshot()["lost"]}))

sink = sinks.LedgerSink(ledger)
"""


class Scenario(NamedTuple):
    """What is done, in a process of its own, and how many calls it makes in all of its processes."""

    name: str
    source: str
    calls: int
    lost: int = 0
    needs_root: bool = False


SCENARIOS = (
    Scenario("plain process", "call(sink, 10); tell()", 10),
    Scenario(
        "os.fork, both sides go on",
        "call(sink, 5)\npid = os.fork()\nif not pid:\n    call(sink, 5); os._exit(0)\n"
        "os.waitpid(pid, 0)\ncall(sink, 5); tell()",
        15,
    ),
    Scenario(
        "os.fork in a thread while others write",
        """
threads = [threading.Thread(target=call, args=(sink, 500)) for _ in range(3)]
[thread.start() for thread in threads]
def forking():
    pid = os.fork()
    if not pid:
        call(sink, 5); os._exit(0)
    os.waitpid(pid, 0)
forker = threading.Thread(target=forking); forker.start(); forker.join()
[thread.join() for thread in threads]
tell()
""",
        1505,
    ),
    *(
        Scenario(
            f"multiprocessing, {method}",
            f"if __name__ == '__main__':\n    call(sink, 5)\n    context = multiprocessing.get_context('{method}')\n"
            "    workers = [context.Process(target=child, args=(ledger,)) for _ in range(3)]\n"
            "    [worker.start() for worker in workers]; [worker.join() for worker in workers]\n    tell()",
            20,
        )
        for method in ("fork", "spawn", "forkserver")
    ),
    Scenario(
        "process pool",
        "if __name__ == '__main__':\n    with ProcessPoolExecutor(2) as pool:\n"
        "        list(pool.map(child, [ledger] * 4))\n    call(sink); tell()",
        21,
    ),
    Scenario(
        "gunicorn, pre-fork with preload",
        """
import subprocess, urllib.request
app = '''
import os, sys
sys.argv = ["x", os.environ["LEDGER"]]
exec(os.environ["PRELUDE"])
call(sink, 1)
def application(environ, start):
    call(sink, 1)
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]
'''
folder = Path(sys.argv[2])
(folder / "app.py").write_text(app)
command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", "unix:" + str(folder / "g.sock"), "app"]
env = {**os.environ, "LEDGER": str(ledger), "PRELUDE": open(__file__).read().split("#--")[0]}
server = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.DEVNULL)
import http.client, socket
def get():
    connection = socket.socket(socket.AF_UNIX); connection.connect(str(folder / "g.sock"))
    connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    while connection.recv(4096):
        pass
while not (folder / "g.sock").exists():
    time.sleep(0.05)
for _ in range(10):
    get()
server.terminate(); server.wait()
returned += 11
tell()
""",
        11,
    ),
    Scenario("no directory above", "call(sink, 10); tell()", 10),
    Scenario("a file where the ledger should be", "ledger.write_text(''); call(sink, 10); tell()", 10, lost=10),
    Scenario(
        "permission denied",
        "ledger.mkdir(); (ledger / 'open').mkdir(); (ledger / 'open').chmod(0o500); ledger.chmod(0o500)\n"
        "os.geteuid() or os.setresuid(65534, 65534, 65534)\ncall(sink, 10); tell()",
        10,
        lost=10,
    ),
    Scenario(
        "disk full (less free than the reserve)",
        "call(sink, 5); sinks.RESERVE_BYTES = 1 << 62; look_now(); call(sink, 5); tell()",
        10,
        lost=5,
    ),
    Scenario(
        "quota (a write takes only a part), then space again",
        "call(sink, 3)\nsize = sink.segment.stat().st_size\nsoft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard)); call(sink)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); call(sink, 3); tell()",
        7,
        lost=1,
    ),
    Scenario(
        "directory deleted under the process",
        "call(sink, 1); shutil.rmtree(ledger); call(sink, 4); look_now(); call(sink, 5); tell()",
        10,
        lost=5,
    ),
    Scenario(
        "clock jumps back a day",
        "call(sink, 3); real = time.time_ns; time.time_ns = lambda: real() - 86_400_000_000_000\n"
        "look_now(); call(sink, 3); sink.close(); call(sink, 4); tell()",
        10,
    ),
    Scenario(
        "frozen and thawed (SIGSTOP, as AWS Lambda does)",
        "call(sink, 3)\nif not os.fork():\n    time.sleep(0.3); os.kill(os.getppid(), signal.SIGCONT); os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGSTOP); sink.flush(); call(sink, 7); tell()",
        10,
    ),
    Scenario("no /tmp", "os.environ['TMPDIR'] = '/nonexistent'; call(sink, 10); tell()", 10),
    Scenario(
        "segment rotated by age while threads write",
        "sinks.ROTATE_SECONDS = 0.0\n"
        "threads = [threading.Thread(target=call, args=(sink, 200)) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\nwhile any(thread.is_alive() for thread in threads):\n    look_now()\n"
        "[thread.join() for thread in threads]\nassert len(list(ledger.glob('open/*'))) > 1; tell()",
        800,
    ),
    Scenario("durability=fsync", "sink = sinks.LedgerSink(ledger, durability='fsync'); call(sink, 10); tell()", 10),
)


def run(scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Runs one scenario and asks the ledger and the doctor afterwards."""
    ledger = folder / "deep" / "down" / "l" if scenario.name == "no directory above" else folder / "l"
    script = folder / "scenario.py"
    script.write_text(f"{PRELUDE}#--\n{scenario.source}\n")
    folder.chmod(0o755)
    command = [sys.executable, "-W", "ignore", str(script), str(ledger), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return {"scenario": scenario.name, "error": done.stderr[-2000:]}
    told = json.loads(done.stdout.splitlines()[-1])
    doctor = subprocess.run(
        [sys.executable, "-m", "spanledger", "doctor", str(ledger)], capture_output=True, text=True, check=False
    )
    lines = doctor.stdout.splitlines()
    about = [line.strip() for line in lines if " lost " in line] or lines[-1:]
    return {
        "scenario": scenario.name,
        "calls": scenario.calls,
        "returned": told["returned"],
        "booked": booked(ledger),
        "lost": told["lost"],
        "doctor": (doctor.stderr if doctor.returncode > 1 else about[0]).strip()[:100],
        "seen": "log: " + done.stderr.strip().splitlines()[-1][:100] if done.stderr.strip() else "nothing",
    }


def booked(ledger: Path) -> int:
    """The charges in the ledger, none where there is none."""
    count = f"len(Ledger({str(ledger)!r}).charges(columns=['charge_id'], history=True))"
    source = f"from spanledger import Ledger; print({count})"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else 0


def main() -> int:
    """Prints a table, or JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    rows = []
    for scenario in SCENARIOS:
        if asked.only in scenario.name:
            with tempfile.TemporaryDirectory() as folder:
                rows.append({**run(scenario, Path(folder)), "expected_lost": scenario.lost})
            if asked.json:
                print(json.dumps(rows[-1]), flush=True)
            else:
                row = rows[-1]
                print(
                    f"{row['scenario']:52} {row.get('calls')} calls, {row.get('booked')} booked, {row.get('lost')} lost"
                )
                print(f"    application: {row.get('seen', row.get('error'))}; doctor: {row.get('doctor')}", flush=True)
    right = [row.get("booked", 0) + row.get("lost", -1) == row.get("calls") for row in rows]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
