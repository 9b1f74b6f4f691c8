"""A mock provider that nobody here wrote (npm `@copilotkit/aimock`), with its chaos on: no charge is lost or doubled.

Needs `make .aimock` (node and npm); where that is absent the suite is skipped. Every call is made without retries, so
that each is one HTTP request, of which the mock lets one in twenty fail in each of four ways.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai import types

from spanledger import _faults
from spanledger.testing import capture_charges

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SPANLEDGER_AIMOCK", ROOT / ".aimock")) / "node_modules/.bin/llmock"
pytestmark = pytest.mark.skipif(
    not (BINARY.exists() and shutil.which("node")), reason="aimock is not installed: `make .aimock` does it, with npm"
)

MESSAGES = [{"role": "user", "content": "hello"}]
CONVERSATION = [{"role": "user", "content": [{"text": "hello"}]}]
REPLY = {
    "content": "One two three four five six seven eight nine ten.",
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 40,
        "total_tokens": 140,
        "input_tokens": 100,
        "output_tokens": 40,
    },
}
CALLS = 40
CHAOS = {"drop": 0.05, "ratelimit": 0.05, "disconnect": 0.05, "malformed": 0.05}


@pytest.fixture(scope="module", params=["calm", "chaos"])
def mock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, bool]]:
    """The mock's URL, and whether it makes things fail."""
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": [{"match": {"userMessage": "hello"}, "response": REPLY}]}))
    chaos = [word for name, rate in CHAOS.items() for word in (f"--chaos-{name}", str(rate))]
    port = free_port()
    command = [str(BINARY), "--port", str(port), "-f", str(fixtures), "--log-level", "silent"]
    with subprocess.Popen(command + (chaos if request.param == "chaos" else [])) as process:
        wait_for(port)
        yield f"http://127.0.0.1:{port}", request.param == "chaos"
        process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the mock did not start")


def openai_calls(url: str) -> dict[str, Callable[[], Any]]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
    usage: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    return {
        "chat": lambda: client.chat.completions.create(model="gpt-4o", messages=MESSAGES),
        "chat stream": lambda: list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **usage)),
        "responses": lambda: client.responses.create(model="gpt-4o", input="hello"),
        "responses stream": lambda: list(client.responses.create(model="gpt-4o", input="hello", stream=True)),
    }


def anthropic_calls(url: str) -> dict[str, Callable[[], Any]]:
    client = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    options: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": MESSAGES}
    return {
        "messages": lambda: client.messages.create(**options),
        "messages stream": lambda: list(client.messages.create(**options, stream=True)),
    }


def bedrock_calls(url: str) -> dict[str, Callable[[], Any]]:
    """Not ConverseStream: boto3 itself cannot read what this mock sends there."""
    client = boto3.session.Session().client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )
    options: dict[str, Any] = {"modelId": "amazon.nova-pro-v1:0", "messages": CONVERSATION}
    return {
        "converse": lambda: client.converse(**options),
    }


def gemini_calls(url: str) -> dict[str, Callable[[], Any]]:
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url, api_version="v1beta"))
    options: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hello"}
    return {
        "gemini": lambda: client.models.generate_content(**options),
        "gemini stream": lambda: list(client.models.generate_content_stream(**options)),
    }


PROVIDERS = {
    "openai": openai_calls,
    "anthropic": anthropic_calls,
    "bedrock": bedrock_calls,
    "gemini": gemini_calls,
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that the mock cut under an SDK's hands
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_call_is_one_charge(mock: tuple[str, bool], provider: str) -> None:
    url, chaotic = mock
    _faults.reset()
    failed = 0
    with capture_charges() as charges:
        for name, call in PROVIDERS[provider](url).items():
            for _ in range(CALLS):
                before = len(charges)
                raised = attempt(call)
                gc.collect(0)
                assert len(charges) == before + 1, (name, raised, charges[before:])
                charge = charges[-1]
                failed += raised is not None
                right = (charge.status, charge.input_tokens, charge.output_tokens) == ("ok", 100, 40)
                assert right or (chaotic and charge.cost_status != "exact"), (name, raised, charge.row)
    assert _faults.snapshot() == {"lost": 0, "faults": {}}
    assert answered(url) >= len(charges) - failed
    assert (failed > 0) == chaotic, raised


def attempt(call: Callable[[], Any]) -> str | None:
    """What the application saw fail, as text: an exception that is kept would keep its response alive."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- whatever the chaos made of it
        return repr(error)
    return None


def answered(url: str) -> int:
    """How many requests the mock says it has answered."""
    with urllib.request.urlopen(f"{url}/__aimock/journal?limit=10000") as response:  # noqa: S310 -- loopback
        return len(json.load(response))
