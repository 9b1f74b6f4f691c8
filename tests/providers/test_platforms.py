"""Each client class of the SDKs is a charge of the provider whose price applies."""

import json

import anthropic
import openai
import pytest

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
TELL = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}
UNITS = {"input": 11, "output": 7}
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5]}

CLIENTS = {
    "Anthropic": ("anthropic", {"api_key": "any"}),
    "AnthropicBedrock": ("aws.bedrock", {"aws_access_key": "a", "aws_secret_key": "s", "aws_region": "us-east-1"}),
    "AnthropicBedrockMantle": ("aws.bedrock", {"api_key": "any", "aws_region": "us-east-1"}),
    "AnthropicVertex": ("gcp.vertex_ai", {"region": "us-east5", "project_id": "p", "access_token": "t"}),
    "AnthropicFoundry": ("azure.ai.inference", {"api_key": "any"}),
    "AnthropicAWS": ("anthropic", {"api_key": "any", "aws_region": "us-east-1", "workspace_id": "w"}),
}


# A stream of Bedrock is an AWS event stream: the recorded corpus has those.
FORMS = [
    (kind, streamed) for kind in CLIENTS for streamed in (False, True) if (kind, streamed) != ("AnthropicBedrock", True)
]


@pytest.mark.parametrize(("kind", "streamed"), FORMS)
def test_every_client_of_anthropic(canned, charges, kind, streamed):
    provider_name, settings = CLIENTS[kind]
    usage = {"input_tokens": 11, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": usage}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    if streamed:
        body = b"".join(
            b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
        )
        canned.answer(body, "text/event-stream")
    else:
        canned.answer(MESSAGE)
    made = getattr(anthropic, kind)(base_url=canned.url, max_retries=0, **settings)
    with made as client:
        answer = client.messages.create(**TELL, stream=streamed)
        if streamed:
            assert [event.type for event in answer] == [event["type"] for event in events]
    (charge,) = charges
    assert (charge.provider_name, charge.usage, charge.stream) == (provider_name, UNITS, streamed)
    assert (charge.request_model, charge.response_model) == ("claude-haiku-4-5", "claude-haiku-4-5-20251001")


@pytest.mark.parametrize("kind", ["AzureOpenAI", "AsyncAzureOpenAI"])
async def test_azure_and_its_deployments(canned, charges, kind):
    canned.answer(COMPLETION)
    client = getattr(openai, kind)(azure_endpoint=canned.url, api_version="2024-10-21", api_key="any", max_retries=0)
    answer = client.chat.completions.create(model="mine", messages=TELL["messages"])
    if kind.startswith("Async"):
        answer = await answer
        await client.close()
    else:
        client.close()
    assert answer.usage.prompt_tokens == 11
    assert canned.asked[0][1].startswith("/openai/deployments/mine/chat/completions")
    (charge,) = charges
    assert (charge.provider_name, charge.request_model, charge.usage) == ("azure.ai.openai", "mine", UNITS)


@pytest.mark.parametrize("name", ["images", "audio", "embeddings"])
def test_azure_rewrites_urls_of_every_kind(canned, charges, name):
    calls = {
        "images": (
            {"created": 1, "data": [{"url": "http://x"}]},
            lambda client: client.images.generate(model="dall-e-3", prompt="hi"),
            {"images": 1},
        ),
        "audio": (
            {"text": "hi", "usage": {"type": "duration", "seconds": 4}},
            lambda client: client.audio.transcriptions.create(model="whisper", file=("a.wav", b"RIFF")),
            {"audio_seconds": 4},
        ),
        "embeddings": (
            {"object": "list", "model": "e", "data": [VECTOR], "usage": {"prompt_tokens": 3, "total_tokens": 3}},
            lambda client: client.embeddings.create(model="mine", input="hi", encoding_format="float"),
            {"input": 3},
        ),
    }
    body, call, units = calls[name]
    canned.answer(body)
    with openai.AzureOpenAI(azure_endpoint=canned.url, api_version="2024-10-21", api_key="any") as client:
        call(client)
    assert [(charge.provider_name, charge.usage) for charge in charges] == [("azure.ai.openai", units)]


def test_the_completions_of_before_messages_have_no_usage_and_say_so(canned, claude, charges):
    body = {
        "type": "completion",
        "id": "compl_1",
        "completion": " hi",
        "stop_reason": "stop_sequence",
        "model": "claude-2.1",
    }
    canned.answer(body)
    claude.post("/v1/complete", cast_to=object, body={"model": "claude-2.1", "prompt": "\n\nHuman: hi\n\nAssistant:"})
    (charge,) = charges
    assert (charge.operation, charge.response_id, charge.usage) == ("text_completion", "compl_1", None)
    assert (charge.cost_status, charge.status, charge.finish_reasons) == ("unknown", "ok", ("stop_sequence",))
