"""What goes on in the background is booked once: a later answer takes the place of the first charge."""

import openai
import pytest
from tests.providers._either import settled

import spanledger
from spanledger import _ids

USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 950,
}
UNITS = {"input": 800, "cache_read": 100, "output": 30, "reasoning": 20}


# The SDK announces the end of the Sora API; those who still call it are billed.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
def number():
    """An id that no other test has."""
    return f"resp_{_ids.span_id()}"


def response(number, status, usage=None, **more):
    return {
        "id": number,
        "object": "response",
        "created_at": 1,
        "model": "gpt-5-mini-2025-08-07",
        "status": status,
        "background": True,
        "output": [],
        "usage": usage,
        **more,
    }


def begin(client, **kwargs):
    return client.responses.create(model="gpt-5-mini", input="hi", background=True, **kwargs)


def test_a_poll_that_finds_it_over_takes_the_place_of_the_first_charge(canned, client, charges, number):
    canned.answer(response(number, "queued"))
    canned.answer(response(number, "in_progress"))
    canned.answer(response(number, "completed", USAGE))
    canned.answer(response(number, "completed", USAGE))
    with spanledger.tag(team="growth", customer="acme"):
        begin(client)
    with spanledger.tag(team="poller"):
        for _ in range(3):
            client.responses.retrieve(number)
    first, second = charges
    assert (first.usage, first.cost_status) == (None, "unknown")
    assert "background" in first.cost_reason
    assert (second.corrects, second.call_id, second.started_at) == (first.charge_id, first.call_id, first.started_at)
    assert (second.usage, second.usage_source, second.status) == (UNITS, "reported", "ok")
    assert (second.team, second.customer, second.request_model) == ("growth", "acme", "gpt-5-mini")
    assert second.duration_ms >= first.duration_ms
    assert second.response_id == number


async def test_an_async_stream_that_breaks_off_is_completed_by_a_poll(canned, async_client, charges, number):
    created = {"type": "response.created", "sequence_number": 0, "response": response(number, "in_progress")}
    canned.answer([created, {"type": "response.queued", "sequence_number": 1, "response": response(number, "queued")}])
    canned.answer(response(number, "completed", USAGE))
    stream = await begin(async_client, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await async_client.responses.retrieve(number)
    assert [(charge.status, charge.usage) for charge in charges] == [("aborted", None), ("ok", UNITS)]
    assert charges[1].corrects == charges[0].charge_id


@pytest.mark.parametrize("kind", ["AzureOpenAI", "AsyncAzureOpenAI", "AsyncOpenAI"])
async def test_other_clients_poll_too(canned, charges, number, kind):
    where = (
        {"azure_endpoint": canned.url, "api_version": "2025-04-01-preview"}
        if "Azure" in kind
        else {"base_url": canned.url}
    )
    client = getattr(openai, kind)(api_key="any", max_retries=0, **where)
    for status, usage in (("queued", None), ("in_progress", None), ("completed", USAGE), ("completed", USAGE)):
        canned.answer(response(number, status, usage))
    await settled(begin(client))
    for _ in range(3):
        await settled(client.responses.retrieve(number))
    await settled(client.close())
    assert [charge.usage for charge in charges] == [None, UNITS]
    assert charges[1].corrects == charges[0].charge_id
    assert {charge.provider_name == "azure.ai.openai" for charge in charges} == {"Azure" in kind}


def test_a_stream_of_a_stored_response_completes_it_too(canned, client, charges, number):
    canned.answer(response(number, "queued"))
    canned.answer(
        [{"type": "response.completed", "sequence_number": 9, "response": response(number, "completed", USAGE)}]
    )
    begin(client)
    assert len(list(client.responses.retrieve(number, stream=True, starting_after=1))) == 1
    assert [charge.usage for charge in charges] == [None, UNITS]


def test_cancelling_completes_it_with_what_was_used(canned, client, charges, number):
    canned.answer(response(number, "queued"))
    canned.answer(response(number, "cancelled", USAGE))
    begin(client)
    client.responses.cancel(number)
    assert [charge.usage for charge in charges] == [None, UNITS]


def test_raw_polls_complete_it(canned, client, charges, number):
    canned.answer(response(number, "queued"))
    canned.answer(response(number, "completed", USAGE))
    begin(client)
    client.responses.with_raw_response.retrieve(number)
    assert [charge.usage for charge in charges] == [None, UNITS]


def test_a_get_of_what_others_made_books_nothing(canned, client, charges, number):
    canned.answer(response(number, "completed", USAGE))
    canned.answer({"error": {"message": "no such response"}}, status=404)
    assert client.responses.retrieve(number).usage.input_tokens == 900
    with pytest.raises(Exception, match="no such response"):
        client.responses.retrieve("resp_other")
    assert charges == []


def test_a_response_in_the_foreground_awaits_nothing(canned, client, charges, number):
    canned.answer(response(number, "completed", USAGE, background=False))
    canned.answer(response(number, "completed", USAGE, background=False))
    client.responses.create(model="gpt-5-mini", input="hi")
    client.responses.retrieve(number)
    assert [charge.usage for charge in charges] == [UNITS]


def test_a_workflow_counts_it_once(canned, client, charges, number):
    canned.answer(response(number, "queued"))
    canned.answer(response(number, "completed", USAGE))
    with spanledger.workflow("nightly") as run:
        begin(client)
    assert (run.charges, run.unpriced) == (1, 1)
    client.responses.retrieve(number)
    assert run.charges == 1
    assert {charge.workflow_id for charge in charges} == {run.workflow_id}


def video(number, status, **more):
    return {"id": number, "object": "video", "model": "sora-2", "status": status, "size": "1280x720", **more}


def test_a_video_is_billed_by_the_second_once_it_is_made(canned, client, charges, number):
    canned.answer(video(number, "queued", seconds="8"))
    canned.answer(video(number, "in_progress", seconds="8"))
    canned.answer(video(number, "completed", seconds="8"))
    client.videos.create(model="sora-2", prompt="a cat", seconds="8")
    client.videos.retrieve(number)
    client.videos.retrieve(number)
    first, second = charges
    assert (first.usage, first.usage_source, first.list_cost) == ({"video_seconds": 8}, "request", None)
    assert first.cost_reason == "usage: the video is not made yet"
    assert (second.usage, second.usage_source, second.corrects) == ({"video_seconds": 8}, "reported", first.charge_id)
    assert second.price_context == {"size": "1280x720"}


def test_a_video_that_fails_is_not_billed(canned, client, charges, number):
    canned.answer(video(number, "queued", seconds="8"))
    canned.answer(video(number, "failed", seconds="8"))
    client.videos.create(model="sora-2", prompt="a cat", seconds="8")
    client.videos.retrieve(number)
    assert [(charge.cost_status, charge.list_cost) for charge in charges][1] == ("not_billed", 0)


def test_an_extension_bills_what_it_adds_not_the_whole_film(canned, client, charges, number):
    canned.answer(video(number, "queued", seconds="12"))
    canned.answer(video(number, "completed", seconds="12"))
    client.videos.extend(prompt="go on", seconds="4", video=("a.mp4", b"film"))
    client.videos.retrieve(number)
    assert [charge.usage for charge in charges] == [{"video_seconds": 4}, {"video_seconds": 4}]


def test_a_video_that_is_downloaded_has_been_made(canned, client, charges, number):
    canned.answer(video(number, "queued", seconds="8", size="1792x1024"))
    canned.answer(b"film" * 99, "video/mp4")
    canned.answer(b"film" * 99, "video/mp4")
    client.videos.create(model="sora-2", prompt="a cat", seconds="8")
    for _ in range(2):
        assert client.videos.download_content(number).read() == b"film" * 99
    assert [charge.usage_source for charge in charges] == ["request", "reported"]
    assert charges[1].corrects == charges[0].charge_id
    assert (charges[1].usage, charges[1].request_model) == ({"video_seconds": 8}, "sora-2")
    assert charges[1].price_context == {"size": "1792x1024"}


def test_a_remix_is_a_video_of_its_own(canned, client, charges, number):
    canned.answer(video(number, "completed", seconds="4"))
    client.videos.remix("video_other", prompt="in blue")
    assert [charge.usage for charge in charges] == [{"video_seconds": 4}]
