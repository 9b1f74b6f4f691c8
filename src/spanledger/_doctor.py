"""The command `doctor`: what is hooked, which SDK versions are installed, what was swallowed and what was lost."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from spanledger import _faults, _meter
from spanledger._settings import read

if TYPE_CHECKING:
    from spanledger.cli import Commands


class Supported(NamedTuple):
    """A library and the major versions that spanledger is tested with; `None` is no upper end."""

    name: str
    first: int
    last: int | None


SUPPORTED: Final = (
    Supported("openai", 1, 3),
    Supported("anthropic", 0, 2),
    Supported("boto3", 1, 1),
    Supported("google-genai", 1, 3),
    Supported("opentelemetry-api", 1, 1),
    Supported("duckdb", 1, 2),
    Supported("pyarrow", 18, None),
)


def add_commands(commands: Commands) -> None:
    """Adds the command `doctor`."""
    parser = commands.add_parser("doctor", help="what is hooked, which versions are installed, what was lost")
    parser.add_argument("ledger", nargs="?", metavar="LEDGER", help="a ledger directory to look at as well")
    parser.set_defaults(run=_run)


def _run(asked: argparse.Namespace) -> int:
    print("\n".join(_libraries()))
    print("\n".join(_process()))
    return _ledger(Path(asked.ledger)) if asked.ledger else 0


def _libraries() -> Iterator[str]:
    yield "libraries"
    for library in SUPPORTED:
        yield f"  {library.name}: {_state(library)}"


def _state(library: Supported) -> str:
    try:
        found = version(library.name)
    except PackageNotFoundError:
        return "not installed"
    major = int(found.partition(".")[0])
    known = library.first <= major and (library.last is None or major <= library.last)
    return f"{found}, {'supported' if known else f'not tested: {library.first} to {library.last} are'}"


def _process() -> Iterator[str]:
    """This process only: another one's faults stand in the ledger that it writes."""
    described, faults = _meter.describe(), _faults.snapshot()
    yield "this process"
    yield f"  metering: {'yes' if described['metering'] else 'no'}"
    for module, state in described["hooks"].items():
        yield f"  {module}: {state}"
    yield f"  charges lost: {faults['lost']}"
    for place, fault in faults["faults"].items():
        yield f"  fault {place}: {fault['count']} times, last: {fault['message']}"


def _space(path: Path) -> str:
    """What is free for charges, and that none are written where it is less than they leave to the application."""
    reserve, free = read({})["min_free_mb"], shutil.disk_usage(path).free >> 20
    bound = f"{free} MiB are free on its disk, {reserve} of them for the application alone (min_free_mb)"
    return bound if free >= reserve else f"{bound}: charges are not written, and are lost"


def _ledger(path: Path) -> int:
    from spanledger.ledger._health import health

    found = health(path)
    print(f"ledger {path}")
    print("\n".join(f"  {line}" for line in [_space(path), *str(found).splitlines()]))
    return 0 if found.ok else 1
