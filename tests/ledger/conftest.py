"""Rows and ledgers as capture writes them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from spanledger import Ledger, _ids
from spanledger._types import Charge
from spanledger.sinks.ledger import LedgerSink

_serial = itertools.count()


def make_row(**changes: Any) -> dict[str, Any]:
    """A charge of 2026-11-23 for 0.01; `None` leaves a column out."""
    row = {
        "charge_id": _ids.uuid7(1_795_000_000_000_000_000 + next(_serial) * 1_000_000),
        "started_at": "2026-11-23T10:00:00.000001Z",
        "provider_name": "openai",
        "operation": "chat",
        "billed_model": "gpt-5",
        "status": "ok",
        "team": "growth",
        "input_tokens": 100,
        "output_tokens": 10,
        "usage": {"input": 100, "output": 10},
        "usage_source": "reported",
        "currency": "USD",
        "list_cost": "0.01",
        "contracted_cost": "0.01",
        "effective_cost": "0.01",
        "costs": {"input": "0.004", "output": "0.006"},
        "cost_status": "exact",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture(name="row")
def _row() -> Callable[..., dict[str, Any]]:
    return make_row


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger that is not there yet."""
    return Ledger(tmp_path / "spend.ledger")


@pytest.fixture
def book(ledger: Ledger) -> Callable[..., None]:
    """Appends rows through the real sink, in one segment."""
    sink = LedgerSink(ledger.path)

    def append(*rows: dict[str, Any]) -> None:
        for row in rows:
            sink.book(Charge(row))

    return append


@pytest.fixture
def write_segment(ledger: Ledger) -> Callable[..., Path]:
    """Writes bytes, or rows, as a segment of another process."""

    def write(content: bytes | list[dict[str, Any]], name: str | None = None) -> Path:
        if isinstance(content, list):
            content = b"".join(orjson.dumps(row) + b"\n" for row in content)
        path = ledger.path / "open" / f"{name or f'other-1-{_ids.uuid7()}'}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a process of its own, and waits for it."""

    def run(source: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / f"script{next(_serial)}.py"
        script.write_text(source)
        command = [sys.executable, str(script), *arguments]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env)

    return run


@pytest.fixture
def opened_by(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a command to its end, and gives what the kernel says of every file that it opens, by `strace`."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("strace is not installed")

    def watch(*command: str) -> list[str]:
        log = tmp_path / "opened"
        watched = [strace, "-f", "-s", "4096", "-e", "trace=open,openat,creat,memfd_create", "-o", str(log), *command]
        without_caches = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(watched, check=True, capture_output=True, timeout=120, env=without_caches)
        return log.read_text().splitlines()

    return watch


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of ledgers elsewhere go to a directory of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def read_from_bucket(tmp_path: Path) -> Callable[[], list[str]]:
    """Says which objects the S3 server has given out since it was asked last, in its own words."""
    log, seen = tmp_path / "s3.log", 0

    def read() -> list[str]:
        nonlocal seen
        lines = log.read_text().splitlines()
        fresh, seen = lines[seen:], len(lines)
        return [found[1] for line in fresh if (found := re.search(r'"GET /finance/(ledger/\S+) HTTP', line))]

    return read


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a bucket at an S3 server on loopback."""
    pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    named = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in {**named, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    log = tmp_path / "s3.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out) as server:
        while not listens(port):
            time.sleep(0.1)
        boto3.client("s3").create_bucket(Bucket="finance")
        yield "s3://finance/ledger"
        s3fs.S3FileSystem.clear_instance_cache()
        server.terminate()


def listens(port: int) -> bool:
    """Whether a server takes connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
