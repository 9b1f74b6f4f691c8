"""Kills sealing, merging and rolling up after every single system call that can change a file, and reads each time.

    python benchmarks/kill_every_syscall.py            # every call
    python benchmarks/kill_every_syscall.py --stride 5 # every fifth, for the tests

A process is traced (ptrace, Linux) while it seals, merges and rolls up a small ledger; it is killed right after its
n-th call, for each n until it lives to the end. After each kill the ledger is read as it stands, then all of it is done
to the end and it is read again. Both times it must have exactly the charges that it had: the n-th costs 3^n millionths,
so that no other charges than each once have their number and their sum. Prints one JSON object; exits with 1 if not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from _checker import Checker, a_row

TRACEME, SYSCALL, SETOPTIONS, SYSCALL_INFO = 0, 24, 0x4200, 0x420E
SYSGOOD, EXITKILL = 1, 1 << 20
CHANGING = {
    1: "write", 18: "pwrite64", 20: "writev", 73: "flock", 74: "fsync", 75: "fdatasync", 76: "truncate",
    77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 90: "chmod", 91: "fchmod",
    258: "mkdirat", 263: "unlinkat", 264: "renameat", 268: "fchmodat", 285: "fallocate", 296: "pwritev",
    316: "renameat2", 326: "copy_file_range",
}  # fmt: skip
OPENING = {2: 1, 257: 2, 437: 2}
"""`open`, `openat` and the argument that has their flags: they change something where they may create a file."""
"""By number on x86-64; a kill after any other call finds the same files as a kill after the last of these."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def seal_merge_and_roll_up(ledger: Path) -> None:
    """What is traced."""
    from spanledger.ledger._compact import compact
    from spanledger.ledger._retain import Plan, retain
    from spanledger.ledger._seal import seal

    seal(ledger)
    compact(ledger, date(2030, 1, 1))
    retain(ledger, Plan(date(2030, 1, 1), ()))


def make_ledger(path: Path) -> tuple[int, int]:
    """Two segments over two days, with torn lines; returns how many charges, and what they cost in millionths."""
    (path / "open").mkdir(parents=True)
    for start in (0, 10):
        name, rows = f"from-{start}", range(start, start + 10)
        lines = [json.dumps({**a_row(f"c{row}", 22 + row % 2), "list_cost": micros(3**row)}) + "\n" for row in rows]
        (path / "open" / f"{name}.jsonl").write_text("".join(lines) + '{"charge_id": "torn')
    return 20, sum(3**row for row in range(20))


def micros(amount: int) -> str:
    """An amount in millionths, as a ledger has it."""
    return f"{amount // 1_000_000}.{amount % 1_000_000:06}"


def changing_call(pid: int) -> str:
    """The name of the call that the stopped process is entering, where it can change a file."""
    if platform.machine() != "x86_64":
        return "call"
    info = (ctypes.c_uint8 * 88)()
    libc.ptrace(SYSCALL_INFO, pid, ctypes.c_void_p(88), ctypes.cast(info, ctypes.c_void_p))
    words = [int.from_bytes(bytes(info[at : at + 8]), "little") for at in range(24, 80, 8)]
    if words[0] in OPENING:
        return "open to create" if words[1 + OPENING[words[0]]] & os.O_CREAT else ""
    return CHANGING.get(words[0], "")


def run_until(ledger: Path, last: int) -> tuple[bool, str]:
    """Traces sealing and kills it after its `last`-th changing call; true where it came to its end before."""
    pid = os.fork()
    if not pid:
        libc.ptrace(TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        seal_merge_and_roll_up(ledger)
        os._exit(0)
    os.waitpid(pid, 0)
    libc.ptrace(SETOPTIONS, pid, None, ctypes.c_void_p(SYSGOOD | EXITKILL))
    changing, entering, name = 0, True, ""
    while True:
        libc.ptrace(SYSCALL, pid, None, None)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "sealing failed"
            return True, ""
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            continue
        if entering:
            name = changing_call(pid)
        elif name:
            changing += 1
            if changing == last:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return False, name
        entering = not entering


def main() -> int:
    """Kills, reads, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1)
    asked = parser.parse_args()
    import duckdb  # noqa: F401
    import pyarrow as pa  # noqa: F401

    import spanledger.ledger._compact
    import spanledger.ledger._retain  # noqa: F401 -- once; connections are made in the traced process

    killed: Counter[str] = Counter()
    wrong: list[Any] = []
    with tempfile.TemporaryDirectory() as folder, Checker() as checker:
        right = make_ledger(model := Path(folder) / "model")
        for last in range(1, 1_000_000, asked.stride):
            shutil.copytree(model, ledger := Path(folder) / f"after-{last}")
            finished, name = run_until(ledger, last)
            found = [checker.ask("sums", ledger), checker.ask("retain", ledger)]
            wrong += [] if found == [right] * 2 else [(last, name, found)]
            shutil.rmtree(ledger)
            if finished:
                break
            killed[name] += 1
    print(json.dumps({"kills": sum(killed.values()), "after": dict(killed), "charges": right[0], "wrong": wrong}))
    return int(bool(wrong or not killed))


if __name__ == "__main__":
    sys.exit(main())
