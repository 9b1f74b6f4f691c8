"""The ledger on a real NFS mount: server and clients are one Linux kernel of its own, one row a scenario.

    python benchmarks/nfs_guest.py                         # a table
    python benchmarks/nfs_guest.py --only soft hard        # those scenarios whose names have one of the words
    python benchmarks/nfs_guest.py --page docs/explanation/ledger-nfs.md

The kernel is Debian's `user-mode-linux`, a virtual machine that is a process and needs no `/dev/kvm`. It has no network
but its own. A Debian 12 system is made once in `--work`; this interpreter's packages and this checkout are further
disks, and nothing that the guest writes stays. `nfs_inside.py` is what it runs, `nfs_scenarios.py` what is done there.

Needs Linux, root, Debian 12's `user-mode-linux`, `debootstrap` and `e2fsprogs`, 3 GB of memory and 5 GB of disk, and a
Python 3.11, as Debian 12 has. Takes some 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

NEEDED: Final = ("linux.uml", "debootstrap", "mke2fs")
INSTALLED: Final = "nfs-kernel-server,nfs-common,quota,python3,procps,kmod,util-linux,iproute2,udev,netbase"
MODULES: Final = Path("/usr/lib/uml/modules")
SIGN: Final = "@row "
"""What a line of the guest's console begins with that is meant for us."""

INIT: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/code/src:/site
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /site /code; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run; mount -o ro /dev/ubdb /site; mount -o ro /dev/ubdc /code
cd /tmp; python3 /code/benchmarks/nfs_inside.py /code/asked
echo o > /proc/sysrq-trigger; sleep 60
"""


HEAD: Final = """# The ledger on NFS

What a real NFS server and its clients do to a ledger: a Linux 6.1 kernel as client and server, in a virtual machine,
made by `python benchmarks/nfs_guest.py --page docs/explanation/ledger-nfs.md`. Each row is a real process that makes
metered calls of the SDKs against a loopback provider. What is booked is read on the server's own disk afterwards; what
is lost is what the process counted. Machine two has a network, a host name and a mount of its own. `slowest` is the
longest call of the process, its first one included, which imports the SDK: in such a machine that takes seconds, and
some 45 after it was started. The rows come from several runs, with two other jobs on the machine.

| what was done | calls | right answers | booked | lost | slowest | what is logged, once | what `doctor` says |
|---|---|---|---|---|---|---|---|
"""

TAIL: Final = """
Booked and lost together are the calls that were made.

**A server refuses late.** `write(2)` on NFS puts a row into the memory of the client, and a full disk, a quota, a
read-only export or a missing permission is told afterwards: at a close, at `fsync`, or with a later row that has
nothing to do with it. So the segment's place is asked once a second, at each `flush()` and when the process ends, and
where it has refused something its file is read: what is not there is lost, and counted. With `durability="fsync"` it is
asked at each call. What stays uncounted: rows that the server refuses within the last second of a process that is
killed, or that ends by `os._exit`, as children of `multiprocessing` do, with `durability="process"`.

**A server that is away.** With `soft`, a call waits until the client gives up, which takes several times `timeo` and
`retrans`; then the place is left alone ten times as long as that took, and calls do not wait. With `hard`, the call
that looks at the place waits for as long as the server is away, and nothing that a process could do in its own thread
changes that; nothing is lost then. Starting a child waits too: it closes the files that it does not need.

**Locks.** NFSv4 and NFSv3 with its lock service give locks between machines, of files, to those who may write them; so
directories are locked by a file `.lock` in them. With `nolock` machines know nothing of each other: seal on one only.

**Deleted.** A removed file that is open looks for long as if it were there; where this machine removed it, it has a
name like `.nfs...`. So its directory and its name are opened once a second, which asks the server. No reader, sealer or
shipment takes a `.nfs...` file for one of the ledger's.

**Late to see.** A machine may see a new ledger, or what another one sealed, up to a minute late (`acdirmax`).
"""


def why_not() -> str:
    """What is missing here, or nothing."""
    absent = [name for name in NEEDED if not shutil.which(name)]
    if absent:
        return f"nfs_guest: needs {', '.join(absent)}: apt-get install user-mode-linux debootstrap e2fsprogs"
    same = sys.version_info[:2] == (3, 11)
    return "" if same else "nfs_guest: needs Python 3.11, as its packages are used in a guest that has that"


def image(target: Path, source: Path, megabytes: int) -> Path:
    """An ext4 image with the files of a directory."""
    target.unlink(missing_ok=True)
    command = ["mke2fs", "-q", "-t", "ext4", "-d", str(source), str(target), f"{megabytes}m"]
    subprocess.run(command, check=True)
    return target


def debian(work: Path) -> Path:
    """The image of the system, made once."""
    target, root = work / "root.ext4", work / "root"
    if target.exists():
        return target
    command = ["debootstrap", "--variant=minbase", f"--include={INSTALLED}", "bookworm", str(root)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    shutil.copytree(MODULES, root / "lib/modules", dirs_exist_ok=True, symlinks=True)
    (root / "sbin/guest").write_text(INIT)
    (root / "sbin/guest").chmod(0o755)
    return image(target, root, 2500)


def packages(work: Path) -> Path:
    """The image of this interpreter's packages, made once."""
    target = work / "site.ext4"
    return target if target.exists() else image(target, Path(sysconfig.get_path("purelib")), 2048)


def code(work: Path, asked: list[str]) -> Path:
    """The image of this checkout as it is now."""
    checkout, staged = Path(__file__).parents[1], work / "code"
    shutil.rmtree(staged, ignore_errors=True)
    for name in ("src", "benchmarks"):
        shutil.copytree(checkout / name, staged / name, ignore=shutil.ignore_patterns("__pycache__"))
    (staged / "asked").write_text("\n".join(asked))
    return image(work / "code.ext4", staged, 128)


def scratch(work: Path) -> Path:
    """An empty disk for what the guest exports."""
    (target := work / "scratch.raw").unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(2 << 30)
    return target


def command(work: Path, asked: list[str]) -> list[str]:
    """What boots the guest. What it writes to its system goes to a file beside, which is thrown away."""
    (beside := work / "system.cow").unlink(missing_ok=True)
    disks = [f"ubd0={beside},{debian(work)}", f"ubd1r={packages(work)}", f"ubd2r={code(work, asked)}"]
    console = ["con=null", "con0=null,fd:1", "quiet"]
    start = ["linux.uml", "mem=3000M", "root=/dev/ubda", "rw", "init=/sbin/guest"]
    return [*start, *disks, f"ubd3={scratch(work)}", *console]


def rows(work: Path, asked: list[str]) -> Iterator[dict[str, Any]]:
    """Boots the guest and gives what its scenarios told; the whole console is kept in `console.log`."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with (
        (work / "console.log").open("w") as log,
        subprocess.Popen(command(work, asked), text=True, errors="replace", **quiet) as guest,
    ):
        assert guest.stdout is not None
        for line in guest.stdout:
            log.write(line)
            log.flush()
            if line.startswith(SIGN):
                yield json.loads(line.removeprefix(SIGN))


def written(row: dict[str, Any]) -> str:
    """A row of the page."""
    cells = [row[name] for name in ("name", "calls", "right", "booked", "lost", "slowest", "logged", "doctor")]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    """Prints the rows, and writes the page where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "spanledger-nfs")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 2
    asked.work.mkdir(parents=True, exist_ok=True)
    told = []
    for row in rows(asked.work, asked.only):
        told.append(row)
        print(f"FAILED {row['name']}: {row['failed']}" if "failed" in row else written(row), flush=True)
    if asked.page:
        asked.page.write_text(HEAD + "\n".join(map(written, told)) + "\n" + TAIL)
    return int(not told or not all(row.get("ok") for row in told))


if __name__ == "__main__":
    sys.exit(main())
