"""Real backends on loopback. `make backends` installs them and names their place; else these tests are skipped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spanledger import Ledger
from spanledger.testing import ProviderServer, Reply, Request, Tokens

PLACE = "SPANLEDGER_BACKENDS"
SHOP = Path(__file__).with_name("shop.py")
STARTING = 240


def program(*parts: str) -> str:
    """The path of a backend's program; skips where it is not there."""
    place = os.environ.get(PLACE)
    if not place:
        pytest.skip(f"{PLACE} is not set: run `make backends`")
    path = Path(place, *parts)
    if not path.exists():
        pytest.skip(f"{path} is not installed: run `make backends`")
    return str(path.absolute())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def fetch(url: str, body: Any = None) -> Any:
    """The JSON answer of a loopback server."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 -- loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        text = response.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def eventually(ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: int = 60) -> Any:
    """Asks until the answer is enough; gives the last answer."""
    answer = None
    for _ in range(seconds * 2):
        answer = ask()
        if enough(answer):
            break
        time.sleep(0.5)
    return answer


@contextmanager
def running(command: list[str], health: str, folder: Path, **environment: str) -> Iterator[None]:
    """A server process, from the moment that it answers."""
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=out, stderr=out, start_new_session=True
        )
        try:
            if not eventually(lambda: process.poll() is not None or _answers(health), bool, STARTING):
                pytest.fail(f"{command[0]} does not answer: {log.read_text()[-2000:]}")
            if process.poll() is not None:
                pytest.fail(f"{command[0]} has stopped: {log.read_text()[-2000:]}")
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _answers(url: str) -> bool:
    try:
        fetch(url)
    except (OSError, urllib.error.URLError):
        return False
    return True


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Arize Phoenix; gives its address."""
    port, folder = free_port(), tmp_path_factory.mktemp("phoenix")
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running([program("phoenix", "bin", "phoenix"), "serve"], f"{url}/healthz", folder, **settings):
        yield url


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow; gives its address."""
    port, folder = free_port(), tmp_path_factory.mktemp("mlflow")
    command = [program("mlflow", "bin", "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/health", folder, MLFLOW_DISABLE_TELEMETRY="true"):
        yield url


class Shop:
    """What the shop did: its ledger, and the process until it is told to go."""

    def __init__(self, ledger: Path, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ledger = ledger

    def rows(self, where: str = "true") -> list[dict[str, Any]]:
        """Its charges."""
        found: list[dict[str, Any]] = (
            Ledger(self.ledger).sql(f"SELECT * FROM charges WHERE {where}").to_arrow().to_pylist()
        )
        return found

    def total(self, what: str = "list_cost", where: str = "true") -> Any:
        """A sum over its charges."""
        return (
            Ledger(self.ledger)
            .sql(f"SELECT sum({what}) AS total FROM charges WHERE {where}")
            .to_arrow()
            .to_pylist()[0]["total"]
        )


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Runs the shop with exporters of the test's choice, up to the point where all spans are out."""
    opened: list[Shop] = []
    calls = iter(range(10**6))

    def answer(request: Request) -> Reply:
        number = next(calls)
        written = 50 if "anthropic" in request.headers.get("host", "") else 0
        return Reply(usage=Tokens(1000 + 10 * number, 100 + number, 200, written))

    with ProviderServer(answer) as server:
        with server.environment():
            environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

        def start(**settings: Any) -> Shop:
            ledger = tmp_path / f"{settings['project']}.ledger"
            argument = json.dumps({"sampling": 1.0, "traces": [], **settings, "ledger": str(ledger)})
            process = subprocess.Popen(
                [sys.executable, str(SHOP), argument],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            opened.append(Shop(ledger, process))
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            return opened[-1]

        yield start
        for shop in opened:
            shop.process.communicate("\n", timeout=60)
            assert shop.process.returncode == 0


@pytest.fixture(scope="session")
def tools() -> dict[str, Callable[..., Any]]:
    """Helpers for tests: `fetch`, `eventually`, `program`, `free_port`, `running`."""
    return {
        "fetch": fetch,
        "eventually": eventually,
        "program": program,
        "free_port": free_port,
        "running": running,
    }
