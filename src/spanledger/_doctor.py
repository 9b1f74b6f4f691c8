"""The command `doctor`: what is hooked, which SDK versions are installed, what was swallowed and what was lost."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from spanledger import _faults, _meter
from spanledger._settings import misspelt, read

if TYPE_CHECKING:
    from spanledger.cli import Commands


class Supported(NamedTuple):
    """A library, the major versions that spanledger is tested with (`None` is no upper end), and who installs it."""

    name: str
    first: int
    last: int | None
    extra: str = ""


SUPPORTED: Final = (
    Supported("openai", 1, 3),
    Supported("anthropic", 0, 2),
    Supported("boto3", 1, 1),
    Supported("google-genai", 1, 3),
    Supported("opentelemetry-api", 1, 1),
    Supported("duckdb", 1, 2, "ledger"),
    Supported("pyarrow", 18, None, "ledger"),
)


ABOUT: Final = """Says which SDKs are installed and whether their versions are supported, and with LEDGER what the
processes that write it have lost or swallowed. What is hooked is known in the application only: call
spanledger.cli.main(["doctor"]) there. Exit code 1 where charges were lost or a line cannot be read."""


def add_commands(commands: Commands) -> None:
    """Adds the command `doctor`."""
    does = "what is hooked, which versions are installed, what was lost"
    parser = commands.add_parser("doctor", help=does, description=ABOUT)
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
        remedy = f": to ask questions of a ledger, pip install 'spanledger[{library.extra}]'" if library.extra else ""
        return f"not installed{remedy}"
    major = int(found.partition(".")[0])
    known = library.first <= major and (library.last is None or major <= library.last)
    return f"{found}, {'supported' if known else f'not tested: {library.first} to {library.last} are'}"


def _process() -> Iterator[str]:
    """This process only: another one's faults stand in the ledger that it writes."""
    described, faults = _meter.describe(), _faults.snapshot()
    yield "this process"
    yield f"  metering: {'yes' if described['metering'] else NOT_METERING}"
    yield from _hooks(described["hooks"])
    yield f"  charges lost: {faults['lost']}"
    for place, fault in faults["faults"].items():
        yield f"  fault {place}: {fault['count']} times, last: {fault['message']}"
    for name, meant in misspelt().items():
        yield f"  {name} is no setting" + (f": did you mean {meant}?" if meant else "")


NOT_METERING: Final = "no (an application says what is hooked in it: call spanledger.cli.main(['doctor']) there)"


def _hooks(states: Mapping[str, str]) -> Iterator[str]:
    """Modules by state, in a line each; one that could not be hooked says why."""
    for state, meaning in (("hooked", "hooked"), ("waiting", "waiting for the import of")):
        found = [module for module, its in states.items() if its == state]
        if found:
            yield f"  {meaning}: {', '.join(found)}"
    for module, state in states.items():
        if state not in ("hooked", "waiting", "off"):
            yield f"  {module}: {state}"


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
