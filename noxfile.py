"""The version matrix: `nox -s versions` runs the conformance suite over every row of `tests/versions/sdk_versions.py`.

`nox -s versions -- --page` also writes the result as a page of the documentation; `nox -s older` runs the rows that CI
runs besides the newest, which `make test` has. `nox -s providers` does the same for the SDKs with suites of their own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import nox
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parent / "tests" / "versions"))

from sdk_versions import IN_THEIR_TESTS, PROVIDERS, VERSIONS, Suite, Version

nox.options.sessions = ["versions"]
nox.options.default_venv_backend = "venv"

PAGE = Path("docs/reference/sdk-versions.md")
HEAD = """# SDK versions

Each way to call x each way for it to end, sync and async, over the SDK versions that people run. Made by
`nox -s versions -- --page`; skipped are ways to call, and ways to end, that a version does not have.

| SDK | installed | why | passed | failed | skipped |
|---|---|---|---|---|---|
"""

PROVIDERS_PAGE = Path("docs/reference/providers.md")
SECTION = re.compile(r"^## Versions tried\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| ([a-z0-9-]+) \| [\d.]+ \|.*$", re.MULTILINE)
SECTION_HEAD = """## Versions tried

Each SDK's own suite over its versions. Made by `nox -s providers -- --page`; skipped are ways to call that a version
does not have. Those of openai and anthropic are in [SDK versions](sdk-versions.md).

| SDK | installed | why | passed | failed | skipped |
| --- | --- | --- | ---: | ---: | ---: |
"""

KINDS = ("pytest.PytestUnraisableExceptionWarning", "DeprecationWarning", "UserWarning")
QUIET = tuple(part for kind in KINDS for part in ("-W", f"ignore::{kind}"))
"""For SDKs that warn of much themselves."""


@nox.session
def versions(session: nox.Session) -> None:
    """Runs the whole matrix of openai and anthropic."""
    rows = [_version(session, version) for version in VERSIONS]
    if "--page" in session.posargs:
        PAGE.write_text(HEAD + "\n".join(rows) + "\n")
    _fail(session, rows)


@nox.session
def older(session: nox.Session) -> None:
    """Runs one older version of each SDK, for CI."""
    _fail(session, [_version(session, version) for version in VERSIONS if version.in_ci])


@nox.session
def providers(session: nox.Session) -> None:
    """Runs the suites of all other SDKs over their versions; `-- --page` writes them into the page on providers.

    Other words are the SDKs to run: of the rest the page keeps what it has.
    """
    chosen = {word for word in session.posargs if word != "--page"} or {suite.sdk for suite in PROVIDERS}
    rows = [_suite(session, suite) for suite in PROVIDERS if suite.sdk in chosen]
    if "--page" in session.posargs:
        page = PROVIDERS_PAGE.read_text()
        before, after = SECTION.split(page, maxsplit=1)
        kept = [row[0] for row in ROW.finditer(SECTION.findall(page)[0]) if row[1] not in chosen]
        PROVIDERS_PAGE.write_text(before + SECTION_HEAD + "\n".join(_in_order(kept + rows)) + "\n\n" + after)
    _fail(session, rows)


def _in_order(rows: list[str]) -> list[str]:
    order = {suite.sdk: place for place, suite in reversed(list(enumerate(PROVIDERS)))}
    return sorted(rows, key=lambda row: order[row.split("|")[1].strip()])


@nox.session
def pinned(session: nox.Session) -> None:
    """Runs an older boto3, and aiobotocore, which pins the botocore that it goes with, for CI."""
    _fail(session, [_suite(session, suite) for suite in PROVIDERS if suite.in_ci])


@nox.session
def oldest(session: nox.Session) -> None:
    """Runs the ledger, its money and OpenTelemetry on the oldest releases that the requirements let in, for CI."""
    lowest = [text for extra in (None, "ledger", "pandas", "polars", "otel") for text in _lowest(extra)]
    sdks = ("openai>=3", "anthropic>=2", "boto3>=1.40", "google-genai>=2", "aiohttp")
    suite = ("pytest", "pytest-asyncio", "hypothesis", "sybil", "opentelemetry-exporter-prometheus>=0.51b0")
    session.install("-q", "-e", ".", *lowest, *suite, *sdks)
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUIET, *(session.posargs or OLDEST))


OLDEST = (
    *(f"tests/ledger/test_{part}.py" for part in ("answer", "facts", "privacy", "query", "reading", "retain", "seal")),
    *(f"tests/ledger/test_{part}.py" for part in ("sharing", "verify")),
    *(f"tests/sinks/test_{part}.py" for part in ("metrics", "otel", "pending")),
    "tests/finops",
)
"""Where those releases are met: reading and writing Parquet and SQL, and the SDK of OpenTelemetry."""


def _lowest(extra: str | None) -> list[str]:
    """The requirements of an extra, or of all, each as its lowest version: those that hold for this Python."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    found = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    held = [Requirement(text) for text in found if "[" not in text]
    return [
        f"{need.name}=={next(iter(need.specifier)).version}"
        for need in held
        if need.marker is None or need.marker.evaluate()
    ]


@nox.session
def shipping(session: nox.Session) -> None:
    """Runs the tests that need an S3 server: s3fs pins the botocore that it goes with, too."""
    needs = ("pytest", "pytest-asyncio", "sybil", "httpx", "openai", "moto[server]>=5", "s3fs>=2025")
    session.install("-q", "--upgrade", "-e", ".[ship]", *needs)
    tests = ("tests/ledger/test_ship.py", "tests/ledger/test_away.py")
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUIET, *tests)


@nox.session
def layers(session: nox.Session) -> None:
    """Runs beneath LangChain, LiteLLM, pydantic-ai and the agents of OpenAI; what those leave open is not ours.

    With it go the tests that ask other large libraries for their names and prices.
    """
    frameworks = ("langchain-anthropic", "langchain-openai", "litellm", "openai-agents", "pydantic-ai-slim[anthropic]")
    asked = ("langfuse>=5", "mlflow-skinny>=3.17", "openinference-semantic-conventions")
    needs = ("-e", ".[genai-prices,otel,ledger]", "pytest", "pytest-asyncio", "sybil", *frameworks, *asked)
    session.install("-q", "--upgrade", *needs)
    quiet = ("-p", "no:cacheprovider", "-W", "ignore", "-p", "no:unraisableexception")
    tests = ("tests/providers/test_layers.py", "tests/otel/test_names_of_others.py", "tests/prices/test_cli.py")
    session.run("python", "-m", "pytest", "-q", "-rs", *quiet, *tests)


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


def _version(session: nox.Session, version: Version) -> str:
    needs = (version.requirement, *version.needs)
    return _tried(session, version.sdk, needs, version.why, ("tests/versions",), {"SPANLEDGER_SDK": version.sdk})


def _suite(session: nox.Session, suite: Suite) -> str:
    needs = ("httpx", *IN_THEIR_TESTS, *suite.requirements)
    return _tried(session, suite.sdk, needs, suite.why, (*QUIET, *suite.tests), {})


def _tried(  # noqa: PLR0913, PLR0917 -- the two above are its callers
    session: nox.Session,
    sdk: str,
    needs: tuple[str, ...],
    why: str,
    arguments: tuple[str, ...],
    env: dict[str, str],
) -> str:
    """Installs one version and runs its suite; returns its row of the table."""
    session.install("-q", "--upgrade", "-e", ".", "pytest", "pytest-asyncio", "sybil", *needs)
    report = Path(session.create_tmp()) / "report.xml"
    session.run(
        *("python", "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider", *arguments),
        env=env,
        success_codes=[0, 1, 5],
    )
    found = session.run(
        *("python", "-c", f"from importlib.metadata import version; print(version({sdk!r}))"), silent=True
    )
    return f"| {sdk} | {str(found).strip()} | {why} | {_counts(report)} |"


def _counts(report: Path) -> str:
    """How many tests passed, failed and were skipped, as cells."""
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 -- written by pytest a moment ago
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return f"{passed} | {failed} | {counts['skipped']}"


def _fail(session: nox.Session, rows: list[str]) -> None:
    """Ends the session where a version has failures, or nothing that passed."""
    session.log("\n".join(rows))
    bad = [row for row in rows if row.split("|")[5].strip() != "0" or row.split("|")[4].strip() == "0"]
    if bad:
        session.error("\n".join(bad))
