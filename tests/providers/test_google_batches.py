"""Batches of the Gemini API, the real SDK: each result is a charge at batch price, once, however it is got."""

from __future__ import annotations

import io
import json
from contextlib import AsyncExitStack
from types import SimpleNamespace
from uuid import uuid4

import pytest
from google.genai import _api_client, batches, types
from tests.providers._google import MODES, Caller, client_of, closing

import spanledger
from spanledger.testing import capture_charges

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

if not hasattr(types, "InlinedResponse"):
    pytest.skip("this google-genai has no batches of the Gemini API", allow_module_level=True)

MODEL = "gemini-2.5-flash"
MADE = "2026-05-28T20:26:40.250000Z"
EMBEDS = hasattr(batches.Batches, "create_embeddings")
WRITES = "destination" in _api_client.BaseApiClient.download_file.__kwdefaults__


@pytest.fixture
def number():
    """No two tests share a batch: what is booked is remembered."""
    return uuid4().hex[:12]


@pytest.fixture(params=MODES)
async def call(request, canned):
    async with AsyncExitStack() as stack:
        server = SimpleNamespace(base_url=canned.url)
        yield Caller(await stack.enter_async_context(closing(client_of(server))), request.param)


def generated(number, prompt):
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": 5, "totalTokenCount": prompt + 5}
    part = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    return {"candidates": [part], "modelVersion": MODEL, "responseId": f"r{number}{prompt}", "usageMetadata": usage}


def inline(number):
    """The second request failed."""
    good = [{"response": generated(number, prompt)} for prompt in (100, 200)]
    return {"inlinedResponses": {"inlinedResponses": [good[0], {"error": {"code": 3, "message": "no"}}, good[1]]}}


def job(number, output=None, state="BATCH_STATE_SUCCEEDED"):
    about = {"model": f"models/{MODEL}", "createTime": MADE, "state": state, **({"output": output} if output else {})}
    return {"name": f"batches/{number}", "metadata": about, **({"done": True} if output else {})}


def lines(*results):
    return b"".join(json.dumps(result).encode() + b"\n" for result in results)


def file_of(number):
    return lines(
        {"key": "a", "response": generated(number, 100)},
        {"key": "b", "error": {"code": 3, "message": "no"}},
        {"key": "c", "response": generated(number, 200)},
    )


async def order(call, canned, number):
    canned.answer(job(number, state="BATCH_STATE_PENDING"))
    src = [{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}]
    await call("batches.create", model=MODEL, src=src)


async def ask(call, canned, number, output):
    canned.answer(job(number, output))
    return await call("batches.get", name=f"batches/{number}")


def both(charges):
    assert [charge.usage for charge in charges] == [{"input": 100, "output": 5}, {"input": 200, "output": 5}]
    assert {(charge.operation, charge.status, charge.usage_source) for charge in charges} == {
        ("generate_content", "ok", "reported")
    }
    assert {(charge.cost_status, charge.price_context["batch"], charge.stream) for charge in charges} == {
        ("exact", "true", False)
    }
    assert len({charge.call_id for charge in charges}) == 1
    assert {charge.provider_name for charge in charges} == {"gcp.gemini"}


async def test_inline_results_are_booked_when_the_batch_is_asked_about(call, canned, charges, number):
    await order(call, canned, number)
    await ask(call, canned, number, None)
    assert charges == []
    found = await ask(call, canned, number, inline(number))
    assert len(found.dest.inlined_responses) == 3
    both(charges)
    assert {charge.started_at.isoformat() for charge in charges} == {"2026-05-28T20:26:40.250000+00:00"}
    await ask(call, canned, number, inline(number))
    assert len(charges) == 2


async def test_they_cost_half_of_what_a_call_costs(call, canned, charges, number):
    await ask(call, canned, number, inline(number))
    canned.answer(generated(number, 100))
    await call("models.generate_content", model=MODEL, contents="hi")
    assert charges[0].list_cost * 2 == charges[-1].list_cost


async def test_they_belong_to_whom_the_batch_was_ordered_for(call, canned, charges, number):
    with spanledger.tag(team="growth", job="nightly"):
        await order(call, canned, number)
    with spanledger.tag(team="collector"):
        await ask(call, canned, number, inline(number))
    assert {(charge.team, charge.tags["job"], charge.request_model) for charge in charges} == {
        ("growth", "nightly", MODEL)
    }


async def test_the_results_of_an_operation_are_found_as_well(call, canned, charges, number):
    canned.answer({**job(number), "done": True, "response": inline(number)})
    await call("batches.get", name=f"batches/{number}")
    both(charges)


async def test_a_page_of_batches_books_what_is_in_it(call, canned, charges, number):
    canned.answer({"operations": [job(f"{number}a", inline(number)), job(f"{number}b", inline(number))]})
    await call("batches.list")
    assert len(charges) == 4
    assert len({charge.call_id for charge in charges}) == 2


async def test_results_in_a_file_are_booked_when_it_is_downloaded(call, canned, charges, number):
    with spanledger.tag(team="growth"):
        await order(call, canned, number)
    found = await ask(call, canned, number, {"responsesFile": f"files/batch-{number}"})
    assert charges == []
    for _ in range(2):
        canned.answer(file_of(number), "application/octet-stream")
        assert await call("files.download", file=found.dest.file_name) == file_of(number)
    both(charges)
    assert {(charge.team, charge.started_at.isoformat()) for charge in charges} == {
        ("growth", "2026-05-28T20:26:40.250000+00:00")
    }


@pytest.mark.skipif(not WRITES, reason="this google-genai downloads into memory only")
async def test_a_file_that_is_written_to_disk_is_read_there(call, canned, charges, number, tmp_path):
    target, content = tmp_path / "results.jsonl", file_of(number)[:-1]
    canned.answer(content, "application/octet-stream")
    assert await call("files.download", file=f"files/batch-{number}", destination=target) is None
    assert target.read_bytes() == content
    both(charges)


@pytest.mark.skipif(not WRITES, reason="this google-genai downloads into memory only")
async def test_a_refused_download_does_not_read_what_was_there_before(call, canned, charges, number, tmp_path):
    target = tmp_path / "results.jsonl"
    target.write_bytes(file_of(number))
    canned.answer({"error": {"code": 404, "message": "no", "status": "NOT_FOUND"}}, status=404)
    with pytest.raises(Exception, match="NOT_FOUND"):
        await call("files.download", file=f"files/batch-{number}", destination=target)
    assert charges == []


@pytest.mark.skipif(not WRITES, reason="this google-genai downloads into memory only")
async def test_what_is_written_elsewhere_is_read_on_its_way(call, canned, charges, number):
    target = io.BytesIO()
    canned.answer(file_of(number)[:-1], "application/octet-stream")
    await call("files.download", file=f"files/batch-{number}", destination=target)
    assert target.getvalue() == file_of(number)[:-1]
    both(charges)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0 a picture", b'{"prompt": 1}\n{"key": 1}\n', b"{broken\n[1]\n"]
)
async def test_any_other_file_books_nothing(call, canned, charges, content, tmp_path):
    canned.answer(content, "application/octet-stream")
    assert await call("files.download", file="files/other") == content
    if WRITES:
        canned.answer(content, "application/octet-stream")
        await call("files.download", file="files/other", destination=tmp_path / "other")
    assert charges == []


@pytest.mark.skipif(not EMBEDS, reason="this google-genai has no batches of embeddings")
@pytest.mark.filterwarnings("ignore:batches.create_embeddings")
async def test_embeddings_inline_and_in_a_file(call, canned, charges, number):
    one = {"response": {"tokenCount": 7, "embedding": {"values": [0.5]}}}
    canned.answer(job(number, state="BATCH_STATE_PENDING"))
    src = {"inlined_requests": {"contents": [{"parts": [{"text": "hi"}]}]}}
    await call("batches.create_embeddings", model="gemini-embedding-001", src=src)
    asked = job(number, {"inlinedResponses": {"inlinedResponses": [one]}})
    asked["metadata"]["model"] = "models/gemini-embedding-001"
    canned.answer(asked)
    await call("batches.get", name=f"batches/{number}")
    canned.answer(lines({"key": "a", **one}), "application/octet-stream")
    await call("files.download", file=f"files/batch-{number}")
    assert [(charge.usage, charge.operation) for charge in charges] == [({"input": 7}, "embeddings")] * 2
    assert (charges[0].request_model, charges[0].cost_status) == ("gemini-embedding-001", "exact")


HOSTILE = [
    {"metadata": 1},
    {"name": 7},
    {"name": "batches/h", "metadata": {"output": {"inlinedResponses": []}}},
    {"name": "batches/h", "response": 5, "metadata": {"createTime": 3, "model": [], "output": {"responsesFile": 9}}},
    {"name": "batches/h", "response": {"inlinedResponses": {"inlinedResponses": [None, {"response": 1}]}}},
    {"operations": [1, None, {"name": None}]},
]


@pytest.mark.parametrize("body", HOSTILE)
def test_a_batch_of_another_form_books_nothing(body):
    from spanledger.providers import _batches, _google_batches

    state: dict = {}
    _google_batches.fold_jobs(state, body)
    tally = SimpleNamespace(state=state, call=SimpleNamespace(api=_google_batches.RETRIEVE, request=None))
    _batches.learn(tally)
    assert "_results" not in state


def test_nothing_is_seen_while_nothing_is_metered(canned):
    server = SimpleNamespace(base_url=canned.url)
    canned.answer(b"{}", "application/octet-stream")
    with capture_charges():
        pass
    assert client_of(server).files.download(file="files/other") == b"{}"
