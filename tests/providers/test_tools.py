"""What tools cost beside tokens is counted by what was done, never by what was allowed."""

import pytest

TOKENS = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
SEARCH = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}}
OPENED = {**SEARCH, "action": {"type": "open_page", "url": "http://x"}}
FILES = {"type": "file_search_call", "id": "fs", "status": "completed", "queries": []}
ALLOWED = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs"]}, {"type": "image_generation"}]
DONE = {
    "nothing was done": ([], {}),
    "two searches": ([SEARCH, SEARCH], {"web_search": 2}),
    "a page that a search found": ([SEARCH, OPENED], {"web_search": 1}),
    "a search in files": ([FILES], {"file_search": 1}),
}


def response(output):
    body = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-mini", "status": "completed"}
    return {**body, "output": output, "tools": ALLOWED, "usage": TOKENS}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("done", DONE)
def test_a_response_is_billed_for_what_its_tools_did(canned, client, charges, done, stream):
    output, fees = DONE[done]
    body = response(output)
    canned.answer([{"type": "response.completed", "sequence_number": 1, "response": body}] if stream else body)
    answer = client.responses.create(model="gpt-5-mini", input="hi", tools=ALLOWED, stream=stream)
    if stream:
        assert len(list(answer)) == 1
    assert [charge.usage for charge in charges] == [{"input": 11, "output": 7, **fees}]


def events_of(output):
    begun = {**response([]), "status": "in_progress", "usage": None}
    done = [
        {"type": "response.output_item.done", "sequence_number": 2, "output_index": place, "item": item}
        for place, item in enumerate(output)
    ]
    delta = {"type": "response.output_text.delta", "item_id": "m", "delta": "what was found ", "output_index": 9}
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        *done,
        {**delta, "sequence_number": 3, "content_index": 0, "logprobs": []},
        {"type": "response.completed", "sequence_number": 4, "response": response(output)},
    ]


@pytest.mark.parametrize("done", DONE)
def test_a_stream_that_is_left_has_cost_what_its_tools_had_done(canned, client, charges, done):
    output, fees = DONE[done]
    for _ in range(2):
        canned.answer(events_of(output))
        stream = client.responses.create(model="gpt-5-mini", input="hi", tools=ALLOWED, stream=True)
        for event in stream:
            if event.type == "response.output_text.delta" and not charges:
                stream.close()
                break
    left, read = charges
    assert (left.status, left.usage_source) == ("aborted", "partial")
    assert {unit: count for unit, count in left.usage.items() if "search" in unit} == fees
    assert left.output_tokens > 0
    assert read.usage == {"input": 11, "output": 7, **fees}


@pytest.mark.parametrize("searches", [None, 0, 3])
def test_a_message_is_billed_for_the_searches_that_it_reports(canned, claude, charges, searches):
    used = {} if searches is None else {"server_tool_use": {"web_search_requests": searches}}
    usage = {"input_tokens": 11, "output_tokens": 7, **used}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    canned.answer({**message, "stop_reason": "end_turn", "usage": usage})
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    asked = [{"role": "user", "content": "hi"}]
    claude.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=asked, tools=tools)
    (charge,) = charges
    assert charge.usage.get("web_search", 0) == (searches or 0)
    assert charge.usage["input"] == 11
