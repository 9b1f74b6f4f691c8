"""No word of a prompt, an answer, a tool or an error is in the ledger, in a span, in a metric or in a log."""

from __future__ import annotations

import contextlib
import logging

import anthropic
import boto3
import openai
import pytest
from google import genai

import spanledger
from spanledger.testing import Fault, ProviderServer, Reply, Tokens

WORD = "xyzzy-plugh"
HELLO = [{"role": "user", "content": f"say {WORD}"}]
TOOL = {"type": "function", "function": {"name": WORD, "description": WORD, "parameters": {"type": "object"}}}


def ask_openai(url):
    with openai.OpenAI(api_key=WORD, base_url=f"{url}/v1", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[TOOL])
        list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
        client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True).close()
        client.responses.create(model="gpt-4o", input=WORD, instructions=WORD)
        client.embeddings.create(model="text-embedding-3-small", input=WORD)


def ask_anthropic(url):
    with anthropic.Anthropic(api_key=WORD, base_url=url, max_retries=0) as client:
        client.messages.create(model="claude-opus-5", max_tokens=9, messages=HELLO, system=WORD)
        with client.messages.stream(model="claude-opus-5", max_tokens=9, messages=HELLO) as stream:
            next(iter(stream))


def ask_bedrock(url):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": WORD, "region_name": "us-east-1"}
    client = boto3.client("bedrock-runtime", endpoint_url=url, **keys)
    said = [{"role": "user", "content": [{"text": WORD}]}]
    client.converse(modelId="amazon.nova-lite-v1:0", messages=said)
    client.close()


def ask_gemini(url):
    with genai.Client(api_key=WORD, http_options={"base_url": url}) as client:
        client.models.generate_content(model="gemini-2.5-flash", contents=WORD)


ASK = {"openai": ask_openai, "anthropic": ask_anthropic, "bedrock": ask_bedrock, "gemini": ask_gemini}


def echoing(body):
    """An error that repeats what it was sent, as providers do."""
    if isinstance(body.get("error"), dict):
        body["error"]["message"] = f"cannot read {WORD}"
    return body


REPLIES = {
    "answered": Reply(f"the word is {WORD}", Tokens(100, 40)),
    "refused": Reply(status=400, amend=echoing),
    "malformed": Reply(f"the word is {WORD}", Tokens(100, 40), fault=Fault("malformed", 1)),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("sdk", ASK)
def test_no_text_is_kept(telemetry, metered, tmp_path, caplog, sdk, reply):  # noqa: PLR0913, PLR0917
    caplog.set_level(logging.DEBUG, "spanledger")
    with ProviderServer(lambda _: REPLIES[reply]) as server, contextlib.suppress(Exception):
        ASK[sdk](server.base_url)
    assert metered
    assert server.requests
    assert WORD in "".join(request.body.decode() for request in server.requests)
    spanledger.uninstrument()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert [path.name for path in kept if WORD.encode() in path.read_bytes()] == []
    spans = [span for span in telemetry.spans() if span.instrumentation_scope.name == "spanledger"]
    assert WORD not in "".join(span.to_json() for span in spans)
    assert WORD not in str(telemetry.reader.get_metrics_data().to_json() if telemetry.spans() else "")
    assert WORD not in "".join(record.getMessage() for record in caplog.records if record.name == "spanledger")
