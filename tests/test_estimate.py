"""What a stream does not say is estimated from the text of both sides, and the charge says so."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import boto3
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger import _estimate, _vocabulary
from spanledger._estimate import BLOCKS, LONGEST, class_of, estimate, family_of, features, tokens_of, weights
from spanledger._unreported import prompt_of
from spanledger.providers import _injection
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges

TRUTH = json.loads((Path(__file__).parent / "token_truth.json").read_text(encoding="utf-8"))
FAMILIES = sorted(weights())


def test_errors_measured_at_the_fit_are_within_what_we_promise() -> None:
    assert FAMILIES == ["cl100k", "claude", "claude-4.7", "o200k"]
    for family in FAMILIES:
        error = weights()[family]["error"]
        assert error["mean"] < 10
        assert error["worst"] < 40
        assert abs(error["bias"]) < 3


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_that_the_weights_were_not_fitted_on(family: str) -> None:
    found = {
        name: tokens_of(features(one["text"]), weights()[family]) / one["tokens"][family] - 1
        for name, one in TRUTH.items()
    }
    assert statistics.fmean(map(abs, found.values())) < 0.15, found  # short texts: the promise is of longer ones
    assert max(map(abs, found.values())) < 0.4, found


def test_over_all_tokenizers_texts_and_scripts_the_mean_error_is_what_we_promise() -> None:
    found = [
        abs(tokens_of(features(one["text"]), weights()[family]) / one["tokens"][family] - 1)
        for family in FAMILIES
        for one in TRUTH.values()
    ]
    assert statistics.fmean(found) < 0.1


@given(st.text())
def test_an_estimate_is_within_what_any_tokenizer_gives(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    for family in FAMILIES:
        assert 0 <= tokens_of(features(text), weights()[family]) <= max(4 * len(text), size)


@given(st.characters())
def test_every_character_has_one_class(character: str) -> None:
    first, name = max(block for block in BLOCKS if block[0] <= ord(character))
    assert class_of(character) == name
    assert first <= ord(character)


@pytest.mark.parametrize("text", [TRUTH["english"]["text"], TRUTH["chinese"]["text"], TRUTH["python"]["text"]])
def test_a_long_text_is_judged_by_slices(text: str) -> None:
    many = 40 * LONGEST // len(text)
    whole = tokens_of(features(text * many), weights()["claude"])
    assert estimate(text * many, "claude-3-opus").tokens == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize(
    ("model", "family", "known"),
    [
        ("gpt-4o-mini", "o200k", True),
        ("gpt-5.6-2026-05-01", "o200k", True),
        ("openai/gpt-4.1", "o200k", True),
        ("o3", "o200k", True),
        ("gpt-4-turbo", "cl100k", True),
        ("gpt-35-turbo", "cl100k", True),
        ("text-embedding-3-small", "cl100k", True),
        ("claude-3-5-sonnet-20241022", "claude", True),
        ("claude-opus-4-20250514", "claude", True),
        ("us.anthropic.claude-opus-4-6-v1:0", "claude", True),
        ("anthropic.claude-v2:1", "claude", True),
        ("claude-opus-4-7", "claude-4.7", True),
        ("anthropic/claude-opus-4.10", "claude-4.7", True),
        ("claude-sonnet-5", "claude-4.7", True),
        ("mistral-large", "o200k", False),
        ("", "o200k", False),
    ],
)
def test_families(model: str, family: str, known: bool) -> None:  # noqa: FBT001
    assert family_of(model) == (family, known)


def test_an_unknown_tokenizer_is_called_unknown() -> None:
    assert estimate("hello", "mistral-large").estimator == "classes/1, its tokenizer is not public"
    assert "classes/1, about " in estimate("hello", "claude-3-opus").estimator


HELLO: Any = [{"role": "user", "content": "Why is the bill of last month twice as high as the plan? " * 20}]
CHAT: Any = {"model": "gpt-4o-mini", "messages": HELLO, "stream": True}
ANSWER = "Two features had been switched to a larger model, and nobody had told the owners of the budget. " * 10
TOKENS = Tokens(input_tokens=275, output_tokens=190)
"""The server's usage is what tiktoken counts, within a few tokens."""


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: Reply(ANSWER, TOKENS)) as running:
        yield running


def openai_of(server: ProviderServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0)


def near(found: int | None, truth: int) -> bool:
    return found is not None and abs(found - truth) <= 0.15 * truth


def test_a_stream_without_usage_is_estimated(server: ProviderServer) -> None:
    with openai_of(server) as client, capture_charges() as charges:
        list(client.chat.completions.create(**CHAT))
    (charge,) = charges
    assert (charge.status, charge.usage_source) == ("ok", "estimated")
    assert near(charge.input_tokens, 275)
    assert near(charge.output_tokens, 190)
    assert charge.cost_status in ("estimated", "unknown")  # unknown where the book has no such model


def test_its_cost_says_that_it_is_an_estimate_and_by_what(server: ProviderServer) -> None:
    with (
        openai.OpenAI(
            base_url="http://openai.com/v1", api_key="any", max_retries=0, http_client=through(server)
        ) as client,
        capture_charges() as charges,
    ):
        list(client.chat.completions.create(**CHAT, stream_options={"include_usage": False}))
    (charge,) = charges
    assert charge.provider_name == "openai"
    assert charge.cost_status == "estimated"
    assert charge.list_cost is not None
    assert charge.cost_reason.startswith("estimated tokens (classes/1, about ")
    assert charge.cost_reason.endswith(" %): the stream ended before its usage")


def through(server: ProviderServer) -> Any:
    """An HTTP client that reaches every host by way of the loopback server."""
    return openai.DefaultHttpxClient(proxy=server.base_url)


def test_one_broken_off_is_a_lower_bound_of_what_was_seen(server: ProviderServer) -> None:
    with openai_of(server) as client, capture_charges() as charges:
        stream = client.chat.completions.create(**CHAT)
        seen = "".join(next(stream).choices[0].delta.content or "" for _ in range(100))
        stream.close()
    (charge,) = charges
    assert (charge.status, charge.usage_source) == ("aborted", "partial")
    assert near(charge.input_tokens, 275)
    assert charge.output_tokens == estimate(seen, "gpt-4o-mini").tokens


def test_one_that_is_cut_or_fails_is_too(server: ProviderServer) -> None:
    server.reply(*(Reply(ANSWER, TOKENS, fault=Fault(kind, 60)) for kind in ("cut", "error")))  # type: ignore[arg-type]
    with openai_of(server) as client, capture_charges() as charges:
        for _ in range(2):
            with pytest.raises(Exception, match=r"(?i)peer closed|connection|failed|incomplete"):
                list(client.chat.completions.create(**CHAT))
    assert [one.usage_source for one in charges] == ["partial", "partial"]
    assert all(near(one.input_tokens, 275) and 50 < one.output_tokens < 100 for one in charges)


def test_one_dropped_unread_is_billed_its_input(server: ProviderServer) -> None:
    with openai_of(server) as client, capture_charges() as charges:
        client.chat.completions.create(**CHAT).close()
    assert near(charges[0].input_tokens, 275)
    assert charges[0].output_tokens == 0


def test_broken_off_after_its_last_text_it_is_whole(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_injection.asking, "enabled", False)
    with openai_of(server) as client, capture_charges() as charges:
        for chunk in (stream := client.chat.completions.create(**CHAT)):
            if chunk.choices[0].finish_reason:
                break
        stream.close()
    assert [(one.status, one.usage_source) for one in charges] == [("ok", "estimated")]


def test_responses_broken_off(server: ProviderServer) -> None:
    with openai_of(server) as client, capture_charges() as charges:
        stream = client.responses.create(model="gpt-4o-mini", input=HELLO[0]["content"], stream=True)
        for _, event in zip(range(80), stream, strict=False):
            assert event.type
        stream.close()
    (charge,) = charges
    assert (charge.status, charge.usage_source) == ("aborted", "partial")
    assert near(charge.input_tokens, 275)
    assert 50 < charge.output_tokens < 120


def test_anthropic_broken_off_has_its_input_exactly(server: ProviderServer) -> None:
    tokens = Tokens(input_tokens=300, output_tokens=400, cache_read_tokens=200)
    server.reply(Reply(ANSWER, tokens))
    with (
        anthropic.Anthropic(base_url=server.base_url, api_key="any", max_retries=0) as client,
        capture_charges() as charges,
    ):
        stream = client.messages.create(model="claude-opus-4-7", messages=HELLO, max_tokens=900, stream=True)
        seen = ""
        for event in stream:
            seen += event.delta.text if event.type == "content_block_delta" else ""
            if seen.count(" ") == 60:
                break
        stream.close()
    (charge,) = charges
    assert (charge.status, charge.usage_source) == ("aborted", "partial")
    assert (charge.input_tokens, charge.cache_read_tokens) == (300, 200)
    assert charge.output_tokens == estimate(seen, "claude-opus-4-7").tokens > 60
    if charge.cost_status != "unknown":
        assert charge.cost_status == "partial"
        assert charge.cost_reason.startswith("estimated output tokens (classes/1, about ")


def test_bedrock_broken_off(server: ProviderServer) -> None:
    messages = [{"role": "user", "content": [{"text": HELLO[0]["content"]}]}]
    body = json.dumps({"messages": HELLO, "max_tokens": 9, "anthropic_version": "any"})
    with capture_charges() as charges:
        session = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1")
        client = session.client("bedrock-runtime", endpoint_url=server.base_url)
        stream = client.converse_stream(modelId="amazon.nova-lite-v1:0", messages=messages)["stream"]
        for _ in zip(range(60), stream, strict=False):
            pass
        stream.close()
        model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
        stream = client.invoke_model_with_response_stream(modelId=model, body=body)["body"]
        for _ in zip(range(60), stream, strict=False):
            pass
        stream.close()
        client.close()
    assert [(one.status, one.usage_source) for one in charges] == [("aborted", "partial")] * 2
    assert all(50 < one.output_tokens < 130 for one in charges)
    assert near(charges[0].input_tokens, 275)
    assert charges[1].input_tokens == TOKENS.input_tokens


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}


def test_an_image_is_never_counted_as_text(server: ProviderServer) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]
    with openai_of(server) as client, capture_charges() as charges:
        list(client.chat.completions.create(model="gpt-4o-mini", messages=parts, stream=True))
    assert charges[0].input_tokens < 30
    assert charges[0].usage_source == "partial"


def test_no_text_of_a_prompt_is_kept(server: ProviderServer) -> None:
    with openai_of(server) as client, capture_charges() as charges:
        list(client.chat.completions.create(**CHAT))
    assert "bill" not in json.dumps(charges[0].row)
    assert "budget" not in json.dumps(charges[0].row)


@pytest.mark.parametrize(
    ("body", "text", "opaque"),
    [
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "x", "content": [{"type": "text", "text": "b"}]}]},
            "a\nb",
            0,
        ),
        ({"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "prompt": "b"}, "b\na", 0),
        ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {"data": "zzz"}}]}]}, "a", 1),
        ({"input": "a", "previous_response_id": "resp_1"}, "a", 1),
        ({"body": b'{"inputText": "a"}'}, "a", 0),
        ({"body": b"no json"}, "", 0),
        ({"messages": [{"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}]}, "f\n{}", 0),
        ({"tools": [{"name": "f"}]}, '[{"name":"f"}]', 0),
        ({"messages": 7, "temperature": 0.5, "user": "me"}, "", 0),
    ],
)
def test_the_text_of_a_request(body: dict[str, Any], text: str, opaque: int) -> None:
    found = prompt_of(body)
    assert (found.text, found.opaque) == (text, bool(opaque))


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_message_is_read(value: Any) -> None:
    assert prompt_of({"messages": value}).text is not None


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "deep"


def test_a_message_without_end_is_cut_and_noted() -> None:
    assert prompt_of({"messages": nested(300)}).opaque


@pytest.fixture
def vocabulary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(_vocabulary, "ready", {})
    monkeypatch.setattr(_vocabulary, "_begun", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_no_vocabulary_on_disk_none_is_loaded(vocabulary: Path) -> None:
    _vocabulary._load("o200k")
    assert _vocabulary.ready == {}
    assert list(vocabulary.iterdir()) == []


def test_where_the_system_has_no_temporary_directory_there_is_none(
    vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    assert _vocabulary.path_of(_vocabulary.VOCABULARIES["o200k"]) is None
    assert list(vocabulary.iterdir()) == []


def test_one_with_another_hash_is_left_alone(vocabulary: Path) -> None:
    path = vocabulary / "fb374d419588a4632f3f557e76b4b70aebbca790"
    path.write_bytes(b"IQ== 0\n")
    assert _vocabulary.path_of(_vocabulary.VOCABULARIES["o200k"]) == path
    _vocabulary._load("o200k")
    assert _vocabulary.ready == {}
    assert path.read_bytes() == b"IQ== 0\n"


TIKTOKEN = '''
"""Stands where tiktoken would: it tells what is asked of it."""
import threading
class Encoding:
    def encode_ordinary(self, text):
        return text.split()
def get_encoding(name):
    print(name, threading.current_thread().name, threading.current_thread().daemon, flush=True)
    return Encoding()
'''

LOADING = """
import hashlib, sys, threading
from pathlib import Path
from spanledger import _estimate, _vocabulary
folder, = sys.argv[1:]
known = _vocabulary.VOCABULARIES["o200k"]
name = hashlib.sha1(known.url.encode()).hexdigest()
(Path(folder) / name).write_bytes(b"a vocabulary")
_vocabulary.VOCABULARIES["o200k"] = known._replace(sha256=hashlib.sha256(b"a vocabulary").hexdigest())
first = _estimate.estimate("one two three", "gpt-4o")
for thread in threading.enumerate():
    if thread.name == "spanledger-vocabulary":
        thread.join()
for _ in range(3):
    then = _estimate.estimate("one two three", "gpt-4o")
print(first.estimator.partition(",")[0], then.estimator, then.tokens, _estimate.estimate("a b", "mistral").estimator)
"""


def test_tiktoken_loads_once_in_a_thread_of_its_own_and_counts_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "tiktoken.py").write_text(TIKTOKEN)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path)], env=env, check=True, capture_output=True, text=True
    )
    loaded, counted = done.stdout.splitlines()
    assert loaded == "o200k_base spanledger-vocabulary True"
    assert counted.endswith("tiktoken/o200k 3 classes/1, its tokenizer is not public")
    assert counted.startswith(("classes/1 ", "tiktoken/o200k "))  # the thread may have been faster


def test_the_weights_load_on_first_need_only() -> None:
    code = (
        "import sys, spanledger; print('spanledger._estimate' in sys.modules, 'spanledger._unreported' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False False\n"


def test_sets_cover_what_is_fitted() -> None:
    for family in FAMILIES:
        assert set(weights()[family]) == {"error", *_estimate.SETS}


def test_a_charge_is_booked_though_the_estimate_fails(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanledger import _faults, _unreported

    monkeypatch.setattr(_unreported, "APIS", None)
    _faults.reset()
    with openai_of(server) as client, capture_charges() as charges:
        list(client.chat.completions.create(**CHAT))
    assert [(one.status, one.usage, one.cost_status) for one in charges] == [("ok", None, "unknown")]
    assert "estimate what a stream did not report: TypeError" in _faults.counts
    _faults.reset()
