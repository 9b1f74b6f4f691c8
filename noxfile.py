"""The version matrix: `nox -s versions` runs the conformance suite over every row of `tests/versions/sdk_versions.py`.

`nox -s versions -- --page` also writes the result as a page of the documentation; `nox -s older` runs the rows that CI
runs besides the newest, which `make test` has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import nox

sys.path.insert(0, str(Path(__file__).parent / "tests" / "versions"))

from sdk_versions import PROVIDERS, VERSIONS, Version

nox.options.sessions = ["versions"]
nox.options.default_venv_backend = "venv"

PAGE = Path("docs/reference/sdk-versions.md")
HEAD = """# SDK versions

Each way to call x each way for it to end, sync and async, over the SDK versions that people run. Made by
`nox -s versions -- --page`; skipped are ways to call that a version does not have.

| SDK | installed | why | passed | failed | skipped |
|---|---|---|---|---|---|
"""


@nox.session
def versions(session: nox.Session) -> None:
    """Runs the whole matrix."""
    rows = [_run(session, version) for version in VERSIONS]
    if "--page" in session.posargs:
        PAGE.write_text(HEAD + "\n".join(rows) + "\n")
    failed = [row for row in rows if row.split("|")[5].strip() != "0"]
    if failed:
        session.error("\n".join(failed))


@nox.session
def older(session: nox.Session) -> None:
    """Runs one older version of each SDK, for CI."""
    rows = [_run(session, version) for version in VERSIONS if version.in_ci]
    session.log("\n".join(rows))
    if any(row.split("|")[5].strip() != "0" for row in rows):
        session.error("a version that CI runs has failures")


@nox.session
def providers(session: nox.Session) -> None:
    """Runs the suites of google-genai and aiobotocore over their versions."""
    for requirements, tests in PROVIDERS:
        _suite(session, requirements, tests)


@nox.session
def pinned(session: nox.Session) -> None:
    """Runs the suite of aiobotocore, which pins the botocore that it goes with, over its newest version, for CI."""
    _suite(session, *PROVIDERS[-1])


@nox.session
def shipping(session: nox.Session) -> None:
    """Runs the tests that need an S3 server: s3fs pins the botocore that it goes with, too."""
    tests = ("tests/ledger/test_ship.py", "tests/ledger/test_away.py")
    _suite(session, ("moto[server]>=5", "openai", "s3fs>=2025"), tests, project=".[ship]")


def _suite(session: nox.Session, requirements: tuple[str, ...], tests: tuple[str, ...], *, project: str = ".") -> None:
    """Installs some SDKs and runs their tests; old ones warn of much themselves."""
    kinds = ("pytest.PytestUnraisableExceptionWarning", "DeprecationWarning", "UserWarning")
    quiet = [part for kind in kinds for part in ("-W", f"ignore::{kind}")]
    session.install("-q", "--upgrade", "-e", project, "pytest", "pytest-asyncio", "sybil", "httpx", *requirements)
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *quiet, *tests)


@nox.session
def neighbours(session: nox.Session) -> None:
    """Runs beside each other instrumentation; `-- --page` writes the page, any other word is for pytest."""
    session.install("-q", "--upgrade", "-e", ".[ledger,otel]", "pytest", "pytest-asyncio", "sybil")
    session.install("-q", "--upgrade", "pip>=25.1")  # that knows groups
    session.install("-q", "--group", "neighbours")
    docs = "docs" if "--page" in session.posargs else ""
    chosen = [word for word in session.posargs if word != "--page"]
    session.run(
        *("python", "-m", "pytest", "-q", "tests/neighbours", "-p", "no:cacheprovider", *chosen),
        env={"SPANLEDGER_NEIGHBOURS": "1", "SPANLEDGER_DOCS": docs},
    )


def _run(session: nox.Session, version: Version) -> str:
    """Installs one version and runs the suite; returns its row of the table."""
    session.install(
        "-q", "--upgrade", "-e", ".", "pytest", "pytest-asyncio", "sybil", version.requirement, *version.needs
    )
    report = Path(session.create_tmp()) / "report.xml"
    session.run(
        *("python", "-m", "pytest", "-q", "tests/versions", f"--junitxml={report}", "-p", "no:cacheprovider"),
        env={"SPANLEDGER_SDK": version.sdk},
        success_codes=[0, 1],
    )
    found = session.run(
        *("python", "-c", f"from importlib.metadata import version; print(version({version.sdk!r}))"), silent=True
    )
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 -- written by pytest a moment ago
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    installed = str(found).strip()
    return f"| {version.sdk} | {installed} | {version.why} | {passed} | {failed} | {counts['skipped']} |"
