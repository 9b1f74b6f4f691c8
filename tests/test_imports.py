"""What is imported when: `import spanledger` costs the application little, and drags in none of its optional parts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ALLOWED = {"opentelemetry", "orjson", "spanledger", "wrapt"}
OF_THEIRS = {"importlib_metadata", "typing_extensions", "zipp"}
"""What opentelemetry-api imports, by version and platform."""

UNLISTED = {"_xxsubinterpreters"}
"""Python's own, though its list of its own does not have it."""

LIST_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"

CAPTURE = """
import tempfile, spanledger
spanledger.instrument(ledger=tempfile.mkdtemp() + "/spend.ledger", tags={"team": "growth"})
with spanledger.workflow("research", customer="acme"), spanledger.tag(feature="search"):
    spanledger.current_tags()
"""


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded once it ran the code."""
    run = subprocess.run([sys.executable, "-c", f"{code}\n{LIST_MODULES}"], capture_output=True, check=True, text=True)
    return set(json.loads(run.stdout))


def foreign(modules: set[str]) -> set[str]:
    """The top-level packages among them that are neither Python's own nor the interpreter's set-up."""
    set_up = {name.partition(".")[0] for name in modules_after("")}
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - UNLISTED - set_up


@pytest.mark.parametrize("code", ["import spanledger", CAPTURE])
def test_the_capture_half_imports_four_packages(code: str) -> None:
    assert foreign(modules_after(code)) <= ALLOWED | OF_THEIRS


@pytest.mark.parametrize("code", ["import spanledger", CAPTURE])
def test_the_capture_half_leaves_the_query_half_and_the_opentelemetry_sdk_alone(code: str) -> None:
    later = ("spanledger.ledger", "spanledger.finops", "spanledger.testing")
    loaded = modules_after(code)
    assert not [name for name in loaded if name.startswith((*later, "opentelemetry.sdk"))]


def test_instrument_imports_no_sdk() -> None:
    assert not foreign(modules_after(CAPTURE)) & {"anthropic", "boto3", "botocore", "google", "openai"}


def test_an_sdk_that_is_imported_later_is_metered() -> None:
    code = CAPTURE + "import openai; assert openai._base_client.SyncAPIClient.request.__spanledger_wrapped__\n"
    assert "openai" in foreign(modules_after(code))
