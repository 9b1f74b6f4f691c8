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
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests._otlp import Receiver
from tests.backends._browser import DOCS
from tests.backends._places import Totals, table

from spanledger import Ledger, cli
from spanledger.testing import ProviderServer, Reply, Request, Tokens

PLACE = "SPANLEDGER_BACKENDS"
ROOT = Path(__file__).parent.parent.parent
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
        return int(one.getsockname()[1])


def fetch(url: str, body: Any = None) -> Any:
    """The answer of an HTTP API: JSON as it is, all else as text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 -- loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        text = response.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def eventually(ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: int = 60) -> Any:
    """Asks until the answer is enough; gives the last answer."""
    answer = None
    for _ in range(seconds * 4):
        answer = ask()
        if enough(answer):
            break
        time.sleep(0.25)
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


SPANS = """query { projects { edges { node { id name costSummary { total { cost } } spans(first: 1000) { edges { node {
  id name context { spanId } tokenCountPrompt tokenCountCompletion metadata costSummary { total { cost } }
  trace { traceId session { sessionId } } } } } } } } }"""


@dataclass
class Phoenix:
    """A running Phoenix."""

    url: str
    priced: bool = False

    def project(self, name: str) -> Any:
        """One project with all its spans, `None` where it has none."""
        projects = fetch(f"{self.url}/graphql", {"query": SPANS})["data"]["projects"]["edges"]
        return next((edge["node"] for edge in projects if edge["node"]["name"] == name), None)

    def spans(self, project: str, at_least: int = 1) -> dict[str, Any]:
        """The spans of a project by id, once there are so many."""
        return eventually(lambda: self._spans(project), lambda found: len(found) >= at_least)

    def _spans(self, name: str) -> dict[str, Any]:
        project = self.project(name)
        return (
            {edge["node"]["context"]["spanId"]: edge["node"] for edge in project["spans"]["edges"]} if project else {}
        )


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
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
        yield Phoenix(url)


@dataclass
class MLflow:
    """A running MLflow."""

    url: str

    def experiment(self, name: str) -> str:
        """The id of a new experiment."""
        return str(fetch(f"{self.url}/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"])

    def traces(self, experiment: str, at_least: int = 0) -> list[Any]:
        """What it says of each trace, once there are so many."""
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        asked = {"locations": [place], "max_results": 500}
        search = f"{self.url}/api/3.0/mlflow/traces/search"
        return eventually(lambda: fetch(search, asked).get("traces", []), lambda some: len(some) >= at_least)

    def spans(self, trace_id: str) -> list[Any]:
        """The spans of a trace; attributes are JSON."""
        return list(fetch(f"{self.url}/api/3.0/mlflow/traces/get?trace_id={trace_id}")["trace"]["spans"])


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    port, folder = free_port(), tmp_path_factory.mktemp("mlflow")
    command = [program("mlflow", "bin", "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/health", folder, MLFLOW_DISABLE_TELEMETRY="true"):
        yield MLflow(url)


@dataclass
class Prometheus:
    """A running Prometheus, with our alert rules."""

    url: str
    targets: Path

    def scrape(self, project: str) -> int:
        """Scrapes one more application from now on, labelled as `project`; gives the port that it is to listen at."""
        port = free_port()
        groups = json.loads(self.targets.read_text())
        groups.append({"targets": [f"127.0.0.1:{port}"], "labels": {"project": project}})
        self.targets.write_text(json.dumps(groups))
        return port

    def ask(self, query: str, label: str, enough: Callable[[Any], bool] = bool) -> dict[str, float]:
        """The values of an expression by a label, once they are enough."""

        def asked() -> dict[str, float]:
            answer = fetch(f"{self.url}/api/v1/query?query={quote(query)}")
            return {row["metric"].get(label, ""): float(row["value"][1]) for row in answer["data"]["result"]}

        return dict(eventually(asked, enough))


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    pytest.importorskip("prometheus_client", reason="opentelemetry-exporter-prometheus is not installed")
    binary, web = program("prometheus", "usr", "bin", "prometheus"), program("prometheus", "usr/share/prometheus/web")
    port, folder = free_port(), tmp_path_factory.mktemp("prometheus")
    targets, config = folder / "targets.json", folder / "prometheus.yml"
    targets.write_text("[]")
    config.write_text(
        f"global: {{scrape_interval: 1s}}\nrule_files: ['{ROOT}/deploy/prometheus/spanledger.rules.yml']\n"
        f"scrape_configs: [{{job_name: shop, file_sd_configs: [{{files: ['{targets}'], refresh_interval: 1s}}]}}]\n"
    )
    command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.local-assets={web}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/-/ready", folder):
        yield Prometheus(url, targets)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker."""
    return program("prometheus", "usr", "bin", "promtool")


@pytest.fixture(scope="session")
def fetched() -> Callable[..., Any]:
    """`fetch`, for a test that asks a backend what nobody else asks."""
    return fetch


Compared = dict[str, dict[str, Totals]]

COMPARED = pytest.StashKey[Compared]()

HEAD = """# Side by side

One application makes 100 calls in 20 visits, through three SDKs, and every backend is then asked over its own API what
it has. Metrics and the ledger have every call whatever a sampler drops; backends of spans have what was sampled, and
agree with the ledger's rows of the same traces. Made by `make backends SPANLEDGER_DOCS=docs`; each run compares anew
and fails where two places differ. Phoenix counts no tokens of embeddings, so it stands beside the ledger's chats.

"""


@pytest.fixture
def side_by_side(pytestconfig: pytest.Config) -> Compared:
    """What the test compares, by sampling and place; it is printed when the tests are over."""
    return pytestconfig.stash.setdefault(COMPARED, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the ledger and each backend side by side."""
    compared = config.stash.get(COMPARED, {})
    if not compared:
        return
    terminalreporter.section("the ledger and each backend, side by side")
    terminalreporter.write(table(compared))
    if docs := os.environ.get(DOCS):
        Path(docs, "explanation", "side-by-side.md").write_text(HEAD + table(compared))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


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
        return Ledger(self.ledger).sql(f"SELECT sum({what}) FROM charges WHERE {where}").to_arrow()[0][0].as_py()


@pytest.fixture
def open_shop(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., Shop]]:
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
            argument = json.dumps({"sampling": 1.0, "traces": [], "visits": 4, **settings, "ledger": str(ledger)})
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
        assert receiver.fileno() >= 0  # exporters say their last while it still listens
        for shop in opened:
            shop.process.communicate("\n", timeout=60)
            assert shop.process.returncode == 0


@pytest.fixture
def priced(phoenix: Phoenix, open_shop: Callable[..., Shop], capsys: pytest.CaptureFixture[str]) -> None:
    """Phoenix has our prices, and has begun to use them: it looks for new ones every few seconds."""
    if phoenix.priced:
        return
    to_phoenix = [{"endpoint": f"{phoenix.url}/v1/traces"}]
    first = open_shop(project="first", traces=to_phoenix, visits=1)
    assert cli.main(["push-prices", "phoenix", phoenix.url, str(first.ledger)]) == 0
    assert "5 models" in capsys.readouterr().out
    for attempt in range(20):
        open_shop(project=f"attempt {attempt}", traces=to_phoenix, visits=1)
        spans = phoenix.spans(f"attempt {attempt}", len(first.rows()) + 2).values()
        phoenix.priced = all(span["costSummary"]["total"]["cost"] for span in spans if span["tokenCountPrompt"])
        if phoenix.priced:
            return
    pytest.fail("Phoenix does not use the prices")
