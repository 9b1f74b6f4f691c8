"""Bodies of the recorded kinds that earlier readers got wrong."""

from spanledger.providers import anthropic, bedrock
from spanledger.providers._reading import Request


def usage_of(api, *events, headers=None):
    state = {}
    for event in events:
        api.fold(state, event)
    return dict(api.read(state, Request("m", headers=headers or {})).usage.units)


def test_iterations_leave_the_reasoning_of_the_message_in_its_place():
    iteration = {"type": "message", "input_tokens": 3, "output_tokens": 215, "cache_creation_input_tokens": 2750}
    usage = {**iteration, "output_tokens_details": {"thinking_tokens": 84}, "iterations": [iteration]}
    body = {"type": "message", "model": "claude-sonnet-5", "usage": usage}
    assert usage_of(anthropic.MESSAGES, body) == {"input": 3, "output": 131, "reasoning": 84, "cache_write": 2750}


def test_what_an_advisor_thought_is_not_the_messages_own_reasoning():
    own = {"type": "message", "input_tokens": 5, "output_tokens": 10}
    advice = {"type": "advisor_message", "model": "claude-fable-5", "input_tokens": 7, "output_tokens": 99}
    usage = {"input_tokens": 5, "output_tokens": 10, "output_tokens_details": {"thinking_tokens": 4}}
    body = {"type": "message", "model": "claude-sonnet-5", "usage": {**usage, "iterations": [own, advice]}}
    assert usage_of(anthropic.MESSAGES, body) == {
        "input": 5,
        "output": 6,
        "reasoning": 4,
        "input@claude-fable-5": 7,
        "output@claude-fable-5": 99,
    }


def test_an_openai_model_on_bedrock_counts_what_the_cache_served_in_its_input():
    usage = {"prompt_tokens": 151, "completion_tokens": 61, "prompt_tokens_details": {"cached_tokens": 64}}
    body = {"object": "chat.completion", "model": "openai.gpt-oss-20b-1:0", "usage": usage}
    headers = {"x-amzn-bedrock-input-token-count": "151", "x-amzn-bedrock-output-token-count": "61"}
    api = bedrock.APIS["InvokeModel"]
    assert usage_of(api, body, headers=headers) == {"input": 87, "cache_read": 64, "output": 61}


def test_a_titan_stream_counts_its_output_in_its_last_chunk():
    first = {"outputText": "a", "index": 0, "totalOutputTextTokenCount": None, "inputTextTokenCount": 6}
    last = {"outputText": "b", "index": 0, "totalOutputTextTokenCount": 3.0, "inputTextTokenCount": None}
    assert usage_of(bedrock.APIS["InvokeModelWithResponseStream"], first, last) == {"input": 6, "output": 3}
