"""Beside whichever other instrumentation, one span a call carries usage, and that one has our tags and cost.

`nox -s neighbours` installs them all and runs this: a minute and a half, so that it is not among the other tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from tests.neighbours.application import NEIGHBOURS

from spanledger import Ledger
from spanledger.testing import ProviderServer, Reply, Tokens

APPLICATION = Path(__file__).with_name("application.py")
NEEDS = {
    "official genai, openai": "opentelemetry-instrumentation-genai-openai",
    "official genai, anthropic": "opentelemetry-instrumentation-genai-anthropic",
    "OpenInference, openai": "openinference-instrumentation-openai",
    "OpenInference, anthropic": "openinference-instrumentation-anthropic",
    "OpenInference, LangChain with openai": "openinference-instrumentation-langchain",
    "OpenInference, LangChain with anthropic": "openinference-instrumentation-langchain",
    "OpenLLMetry, openai": "opentelemetry-instrumentation-openai",
    "OpenLLMetry, anthropic": "opentelemetry-instrumentation-anthropic",
    "OpenLLMetry, LangChain with openai": "opentelemetry-instrumentation-langchain",
    "OpenLLMetry, LangChain with anthropic": "opentelemetry-instrumentation-langchain",
    "Logfire, openai": "logfire",
    "Logfire, anthropic": "logfire",
    "pydantic-ai, openai": "pydantic-ai-slim",
    "pydantic-ai, anthropic": "pydantic-ai-slim",
}
USAGE = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")

DOCS = os.environ.get("SPANLEDGER_DOCS")
PAGE = Path("reference", "neighbours.md")
HEAD = """# Beside other instrumentations

One call made plainly and one as a stream, in a process of its own beside each library. One span a call carries usage;
it has the tags and the cost of the charge. Whose span it is stands in the fourth column. Made by
`nox -s neighbours -- --page`.

| Beside | Version | Spans | Carriers of usage, and whose | Charges |
|---|---|---|---|---|
"""


pytestmark = pytest.mark.skipif(not os.environ.get("SPANLEDGER_NEIGHBOURS"), reason="run `nox -s neighbours`")


def installed(name):
    package = NEEDS.get(name) or name.partition(",")[0]
    try:
        return version(package)
    except PackageNotFoundError:
        return pytest.skip(f"{package} is not installed: run `nox -s neighbours`")


@pytest.fixture(scope="session")
def page():
    """The rows of the page of results, written when all tests have passed."""
    rows = []
    yield rows
    if DOCS and len(rows) == len(NEIGHBOURS):
        Path(DOCS, PAGE).write_text(HEAD + "\n".join(rows) + "\n")


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_one_span_a_call_carries_usage_with_our_tags_and_cost(name, page, tmp_path):
    release = installed(name)
    with ProviderServer(lambda _: Reply(usage=Tokens(1000, 500))) as server, server.environment():
        done = subprocess.run(
            [sys.executable, str(APPLICATION), name, str(tmp_path / "l")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout.splitlines()[-1])
    rows = Ledger(tmp_path / "l").charges().to_arrow().to_pylist()
    carriers = [span for span in spans if any(usage in span["attributes"] for usage in USAGE)]
    assert len(carriers) == len(rows) == 2
    assert {span["attributes"]["spanledger.charge_id"] for span in carriers} == {row["charge_id"] for row in rows}
    for span in carriers:
        assert span["attributes"]["spanledger.team"] == "growth"
    costs = sorted(span["attributes"]["gen_ai.usage.cost"] for span in carriers)
    assert costs == sorted(float(row["list_cost"]) for row in rows)
    whose = ", ".join(sorted({f"`{span['scope']}`" for span in carriers}))
    page.append(f"| {name} | {release} | {len(spans)} | {len(carriers)}: {whose} | {len(rows)} |")
