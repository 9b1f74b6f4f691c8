"""The first process of the guest of `nfs_guest.py`: serves NFS to itself, runs the scenarios, tells of each in JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import fault_scenarios
import nfs_scenarios
from fault_table import booked, doctor_of
from nfs_scenarios import SCENARIOS, Scenario

from spanledger.testing import ProviderServer

EXPORT: Final = Path("/srv/disk")
SCRATCH: Final = Path("/tmp/scenario")  # noqa: S108 -- the guest's own memory


def do(*command: str, check: bool = True) -> str:
    """Runs a command and returns what it said. Raises `RuntimeError`."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if check and done.returncode:
        msg = f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return done.stdout


def disks() -> dict[str, tuple[str, str]]:
    """What may be exported: a device and the options that it is mounted with."""
    do("mkfs.ext4", "-q", "/dev/ubdd")
    do("mount", "/dev/ubdd", "/mnt")
    for name, features in (("small", ()), ("quota", ("-O", "quota"))):
        do("truncate", "-s", "64M", f"/mnt/{name}.img")
        do("mkfs.ext4", "-q", *features, f"/mnt/{name}.img")
    do("truncate", "-s", "1G", "/mnt/big.img")
    do("mkfs.ext4", "-q", "/mnt/big.img")
    return {
        name: (f"/mnt/{name}.img", "loop,usrquota" if name == "quota" else "loop") for name in ("big", "small", "quota")
    }


def second_machine() -> list[str]:
    """A network and a host name of its own; returns what a command is to be run under to be there."""
    keeper = subprocess.Popen(["unshare", "--net", "--uts", "sleep", "infinity"])
    time.sleep(0.5)
    there = ["nsenter", "-t", str(keeper.pid), "--net", "--uts"]
    do("ip", "link", "add", "server", "type", "veth", "peer", "name", "client", "netns", str(keeper.pid))
    do("ip", "address", "add", "10.9.0.1/24", "dev", "server")
    do("ip", "link", "set", "server", "up")
    do(*there, "hostname", "two")
    do(*there, "ip", "link", "set", "lo", "up")
    do(*there, "ip", "address", "add", "10.9.0.2/24", "dev", "client")
    do(*there, "ip", "link", "set", "client", "up")
    return there


def services() -> None:
    """The server and what locks need."""
    do("hostname", "one")
    do("ip", "link", "set", "lo", "up")
    for module in ("nfsd", "nfs", "nfsv3", "nfsv4", "loop", "veth", "quota_v2"):
        do("modprobe", module, check=False)
    do("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd", check=False)
    do("mount", "-t", "rpc_pipefs", "pipefs", "/run/rpc_pipefs", check=False)
    for folder in (EXPORT, Path("/one"), Path("/two"), Path("/run/rpcbind"), Path("/run/sendsigs.omit.d")):
        folder.mkdir(parents=True, exist_ok=True)
    do("rpcbind", "-w")
    for name in ("nfsv4gracetime", "nfsv4leasetime"):
        Path("/proc/fs/nfsd", name).write_text("10\n")
    do("nfsdcld", check=False)
    do("rpc.statd", "--no-notify")
    do("rpc.mountd")
    do("rpc.nfsd", "8")


def mounted(scenario: Scenario, there: list[str], disk: tuple[str, str]) -> None:
    """Exports the disk of a scenario and mounts it twice."""
    device, options = disk
    do("mount", "-o", options, device, str(EXPORT))
    for left in EXPORT.glob("s*"):
        shutil.rmtree(left)
    if scenario.disk == "quota":
        do("quotaon", str(EXPORT), check=False)
        do("setquota", "-u", "1000", "1024", "1024", "0", "0", str(EXPORT))
    do("exportfs", "-o", f"{scenario.export},no_subtree_check,insecure,fsid=7", "*:/srv/disk")
    near, far = ([], "127.0.0.1:/srv/disk"), (there, "10.9.0.1:/srv/disk")
    places = {"/one": far if "network(" in scenario.source else near}
    places["/two"] = near if "vers=3" in scenario.mount else far  # the locks of NFSv3 need services in each network
    for place, (under, source) in places.items():
        do(*under, "mount", "-t", "nfs", "-o", f"{scenario.mount},nosharecache", source, place)


def put_back() -> None:
    """Everything as it was before a scenario."""
    do("rpc.nfsd", "8", check=False)
    do("ip", "link", "set", "server", "up")
    for place in ("/two", "/one"):
        do("umount", "-f", place, check=False)
        do("umount", "-l", place, check=False)
    do("exportfs", "-ua")
    for _ in range(20):
        do("exportfs", "-f", check=False)
        do("umount", str(EXPORT), check=False)
        if not os.path.ismount(EXPORT):
            return
        time.sleep(1)


def outcome(scenario: Scenario, url: str, number: int) -> dict[str, Any]:
    """Runs one scenario on its mounts and asks the server's own disk afterwards."""
    place = Path("/one") / f"s{number}"
    (EXPORT / place.name).mkdir(exist_ok=True)
    (EXPORT / place.name).chmod(0o755)
    if scenario.disk == "quota":
        os.chown(EXPORT / place.name, 1000, 1000)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(mode=0o777)
    SCRATCH.chmod(0o777)
    program = fault_scenarios.PRELUDE.rpartition("if __name__")[0] + nfs_scenarios.PRELUDE + scenario.source
    (SCRATCH / "scenario.py").write_text(program)
    (SCRATCH / "right").touch()
    (SCRATCH / "right").chmod(0o666)
    command = [sys.executable, "-W", "ignore", str(SCRATCH / "scenario.py"), str(place / "l"), str(SCRATCH), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=SCRATCH)
    if done.returncode:
        return {"name": scenario.name, "failed": (done.stderr + done.stdout)[-3000:]}
    told = json.loads(done.stdout.splitlines()[-1])
    logged = [line for line in done.stderr.splitlines() if line.startswith("spanledger could not")]
    os.sync()
    do("umount", "/one", check=False)
    ledger = EXPORT / place.name / "l"
    right, lost, slowest = told.pop("right"), told.pop("lost"), told.pop("slowest")
    calls = right if scenario.calls < 0 else scenario.calls
    found = booked(ledger)
    return {
        "name": scenario.name + "".join(f"; {key}: {value!r}" for key, value in told.items()),
        "calls": calls,
        "right": right,
        "booked": found,
        "lost": lost,
        "slowest": f"{slowest:.2f} s",
        "logged": _plain((logged or ["nothing"])[0]),
        "doctor": _plain(doctor_of(ledger)),
        "ok": found + lost == calls == right and scenario.lost in (None, lost),
    }


def _plain(text: str) -> str:
    """The text without what differs from run to run."""
    return re.sub(r"one-\d+-[0-9a-f-]{36}", "SEGMENT", re.sub(r"(/srv/disk|/one)/s\d+/", ".../", text))


def main() -> int:
    """Runs the scenarios whose names have one of the words."""
    words = Path(sys.argv[1]).read_text().splitlines()
    services()
    there, parts = second_machine(), disks()
    with ProviderServer() as server:
        for number, scenario in enumerate(SCENARIOS):
            if words and not any(word in scenario.name for word in words):
                continue
            print("begins:", scenario.name, flush=True)
            try:
                mounted(scenario, there, parts[scenario.disk])
                row = outcome(scenario, server.base_url, number)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                row = {"name": scenario.name, "failed": str(error)[-3000:]}
            with suppress(RuntimeError):
                put_back()
            print(f"\n@row {json.dumps(row)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
