"""Results of a batch are charges at batch price when they are downloaded, each once in however many downloads."""

import json
import os
import subprocess
import sys
import time

import anthropic
import openai
import pytest
from tests.providers._either import settled

import spanledger
from spanledger import _ids
from spanledger.providers import _batches

MADE = 1_780_000_000  # 2026-05-28T20:26:40Z


@pytest.fixture
def number():
    """An id that no other test has."""
    return _ids.span_id()


def answer(custom_id, body, status=200):
    return {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": {"status_code": status, "body": body}}


def chat(number, tokens):
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": MADE,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5},
    }


def embedding(tokens):
    vector = {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": "text-embedding-3-small", "data": [vector], "usage": usage}


def lines(*results):
    return b"".join(json.dumps(result).encode() + b"\n" for result in results)


def output(number):
    return lines(
        answer("a", chat(number, 100)),
        answer("b", embedding(7)),
        answer("c", {"error": {"message": "no"}}, status=400),
        {"id": "batch_req_d", "custom_id": "d", "response": None, "error": {"code": "batch_expired"}},
        answer("e", {"id": "modr-1", "model": "omni-moderation-latest", "results": []}),
    )


def batch(number, **more):
    made = {"id": f"batch_{number}", "object": "batch", "endpoint": "/v1/chat/completions", "created_at": MADE}
    return {**made, "status": "completed", "input_file_id": "file-in", "completion_window": "24h", **more}


def test_each_result_is_a_charge_at_batch_price(canned, client, charges, number):
    canned.answer(output(number), "application/octet-stream")
    assert client.files.content(f"file-{number}").content == output(number)
    assert [charge.usage for charge in charges] == [{"input": 100, "output": 5}, {"input": 7}]
    assert [charge.operation for charge in charges] == ["chat", "embeddings"]
    assert all(charge.price_context["batch"] == "true" for charge in charges)
    assert {(charge.usage_source, charge.status, charge.stream) for charge in charges} == {("reported", "ok", False)}
    assert charges[0].started_at.timestamp() == MADE
    assert charges[0].response_model == "gpt-5-mini-2025-08-07"
    assert charges[0].call_id == charges[1].call_id


def test_a_second_download_books_nothing(canned, client, charges, number):
    for _ in range(2):
        canned.answer(output(number), "application/octet-stream")
        client.files.content(f"file-{number}")
    assert len(charges) == 2


def test_a_result_belongs_to_whom_the_batch_was_ordered_for(canned, client, charges, number):
    canned.answer(batch(number, status="validating"))
    canned.answer(batch(number, output_file_id=f"file-{number}"))
    canned.answer(lines(answer("a", embedding(7))), "application/octet-stream")
    with spanledger.tag(team="growth", customer="acme", job="nightly"):
        client.batches.create(input_file_id="file-in", endpoint="/v1/embeddings", completion_window="24h")
    with spanledger.tag(team="collector", host="worker-1"):
        made = client.batches.retrieve(f"batch_{number}")
        client.files.content(made.output_file_id)
    (charge,) = charges
    assert (charge.team, charge.customer, charge.tags) == ("growth", "acme", {"job": "nightly"})
    assert charge.started_at.timestamp() == MADE


def test_a_result_of_somebody_elses_batch_belongs_to_whom_downloads_it(canned, client, charges, number):
    canned.answer(lines(answer("a", embedding(7))), "application/octet-stream")
    with spanledger.tag(team="collector"):
        client.files.content(f"file-{number}")
    assert charges[0].team == "collector"


async def test_a_download_that_streams(canned, async_client, charges, number):
    canned.answer(output(number), "application/octet-stream")
    async with async_client.files.with_streaming_response.content(f"file-{number}") as response:
        read = [piece async for piece in response.iter_bytes(7)]
    assert b"".join(read) == output(number)
    assert len(charges) == 2


def test_a_workflow_counts_the_results_of_its_batch(canned, client, charges, number):
    canned.answer(batch(number, status="validating"))
    canned.answer(batch(number, output_file_id=f"file-{number}"))
    canned.answer(output(number), "application/octet-stream")
    with spanledger.workflow("nightly") as run:
        client.batches.create(input_file_id="file-in", endpoint="/v1/embeddings", completion_window="24h")
    client.batches.retrieve(f"batch_{number}")
    client.files.content(f"file-{number}")
    assert run.charges == 2
    assert {charge.workflow_id for charge in charges} == {run.workflow_id}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff\xe0 a picture", b'{"prompt": "hi"}\n{"prompt": "ho"}\n', b"{broken\n{}\n[1]\n", b"{" * 99],
)
def test_any_other_file_books_nothing(canned, client, charges, content):
    canned.answer(content, "application/octet-stream")
    assert client.files.content("file-other").content == content
    assert charges == []


def message_batch(number, **more):
    return {
        "id": f"msgbatch_{number}",
        "type": "message_batch",
        "processing_status": "ended",
        "created_at": "2026-05-28T20:26:40.250000Z",
        "request_counts": {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0},
        **more,
    }


def message(number, tokens):
    return {
        "id": f"msg_{number}_{tokens}",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": tokens, "output_tokens": 5, "service_tier": "batch"},
    }


def message_results(number):
    return lines(
        {"custom_id": "a", "result": {"type": "succeeded", "message": message(number, 10)}},
        {"custom_id": "b", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}}},
        {"custom_id": "c", "result": {"type": "succeeded", "message": message(number, 20)}},
    )


@pytest.mark.parametrize("beta", [False, True])
def test_results_of_a_message_batch(canned, claude, charges, number, beta):
    url = f"{canned.url}/v1/messages/batches/msgbatch_{number}/results"
    canned.answer(message_batch(number, processing_status="in_progress"))
    for _ in range(2):
        canned.answer(message_batch(number, results_url=url))
        canned.answer(message_results(number), "application/x-jsonl")
    batches = (claude.beta if beta else claude).messages.batches
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with spanledger.tag(team="growth"):
        batches.create(requests=[{"custom_id": "a", "params": params}])
    for _ in range(2):
        assert [result.custom_id for result in batches.results(f"msgbatch_{number}")] == ["a", "b", "c"]
    assert [charge.usage for charge in charges] == [{"input": 10, "output": 5}, {"input": 20, "output": 5}]
    assert {(charge.team, charge.operation, charge.provider_name) for charge in charges} == {
        ("growth", "chat", "anthropic")
    }
    assert all(charge.price_context == {"batch": "true", "service_tier": "batch"} for charge in charges)
    assert {charge.started_at.isoformat() for charge in charges} == {"2026-05-28T20:26:40.250000+00:00"}


def test_results_that_are_not_read_to_the_end_are_charged_as_far_as_they_were(canned, claude, charges, number):
    url = f"{canned.url}/v1/messages/batches/msgbatch_{number}/results"
    more = lines(*({"custom_id": f"x{n}", "result": {"type": "errored", "error": {}}} for n in range(4000)))
    canned.answer(message_batch(number, results_url=url))
    canned.answer(message_results(number) + more, "application/x-jsonl")
    results = claude.messages.batches.results(f"msgbatch_{number}")
    assert next(results).custom_id == "a"
    results.close()
    assert {charge.usage_source for charge in charges} == {"reported"}
    assert 1 <= len(charges) <= 2


@pytest.mark.parametrize("beta", [False, True])
async def test_results_of_a_message_batch_read_by_an_async_client(canned, charges, number, beta):
    url = f"{canned.url}/v1/messages/batches/msgbatch_{number}/results"
    async with anthropic.AsyncAnthropic(base_url=canned.url, api_key="any", max_retries=0) as client:
        batches = (client.beta if beta else client).messages.batches
        for _ in range(2):
            canned.answer(message_batch(number, results_url=url))
            canned.answer(message_results(number), "application/x-jsonl")
            results = await batches.results(f"msgbatch_{number}")
            assert [result.custom_id async for result in results] == ["a", "b", "c"]
    assert [charge.usage for charge in charges] == [{"input": 10, "output": 5}, {"input": 20, "output": 5}]


@pytest.mark.parametrize("kind", ["AzureOpenAI", "AsyncAzureOpenAI", "AsyncOpenAI"])
@pytest.mark.parametrize("raw", [False, True])
async def test_results_that_other_clients_download(canned, charges, number, kind, raw):
    where = {"azure_endpoint": canned.url, "api_version": "2024-10-21"} if "Azure" in kind else {"base_url": canned.url}
    client = getattr(openai, kind)(api_key="any", max_retries=0, **where)
    canned.answer(output(number), "application/octet-stream")
    files = client.files.with_raw_response if raw else client.files
    answer = await settled(files.content(f"file-{number}"))
    assert answer.content == output(number)
    await settled(client.close())
    assert [charge.usage for charge in charges] == [{"input": 100, "output": 5}, {"input": 7}]
    assert {charge.provider_name == "azure.ai.openai" for charge in charges} == {"Azure" in kind}
    assert all(charge.price_context["batch"] == "true" for charge in charges)


SCRIPT = """
import sys, openai
from spanledger.testing import capture_charges
with capture_charges() as charges, openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any") as client:
    client.files.content(sys.argv[2])
print(*[charge.charge_id for charge in charges])
"""


def test_another_process_books_the_same_charges(canned, client, charges, number):
    for _ in range(2):
        canned.answer(output(number), "application/octet-stream")
    client.files.content(f"file-{number}")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, canned.url, f"file-{number}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.stdout.split() == [charge.charge_id for charge in charges]


@pytest.mark.parametrize("value", [None, -1, 2**70, "yesterday", "", [], 1.5])
def test_a_time_that_is_none_is_not_known(value):
    assert _batches._instant_of(value) == 0


@pytest.mark.parametrize("streaming", [False, True])
def test_of_a_file_with_other_lines_only_the_first_is_decoded(canned, client, charges, monkeypatch, streaming):
    from spanledger.providers import _body

    content = b'{"messages": []}\n' * 5000
    decoded = []
    original = _body._object_of
    monkeypatch.setattr(_body, "_object_of", lambda line, prefix: decoded.append(line) or original(line, prefix))
    canned.answer(content, "application/octet-stream")
    if streaming:
        with client.files.with_streaming_response.content("file-training") as response:
            assert b"".join(response.iter_bytes(1000)) == content
    else:
        assert client.files.content("file-training").content == content
    assert (len(decoded) < 500, charges) == (True, [])


def test_a_time_without_an_offset_is_utc_wherever_it_is_read(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert _batches._instant_of("2026-11-16T12:00:00") == _batches._instant_of("2026-11-16T12:00:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()
