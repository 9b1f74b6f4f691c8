"""Without spanledger, the bare SDKs read every reply of the loopback server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai import errors, types

from spanledger.testing import Fault, ProviderServer, Reply, Tokens, refused

HELLO = [{"role": "user", "content": "hello"}]
TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, cache_write_tokens=20, reasoning_tokens=10)
REPLY = Reply("one two three four", TOKENS)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture
def openai_client(server: ProviderServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=2) as client:
        yield client


@pytest.fixture
def anthropic_client(server: ProviderServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.base_url, api_key="any", max_retries=2) as client:
        yield client


@pytest.fixture
def bedrock(server: ProviderServer) -> Iterator[Any]:
    session = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    client = session.client("bedrock-runtime", endpoint_url=server.base_url, config=config)
    yield client
    client.close()


@pytest.fixture
def gemini(server: ProviderServer) -> Iterator[genai.Client]:
    with genai.Client(api_key="any", http_options=types.HttpOptions(base_url=server.base_url)) as client:
        yield client


def test_chat(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
    assert answer.choices[0].message.content == REPLY.text
    assert answer.model == "gpt-5-mini"
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.prompt_tokens_details.cached_tokens == 30
    assert answer.usage.completion_tokens == 40
    assert answer.usage.completion_tokens_details.reasoning_tokens == 10
    assert answer.usage.total_tokens == 140


@pytest.mark.parametrize("asked", [True, False])
def test_chat_stream_tells_usage_only_where_it_is_asked_to(openai_client: openai.OpenAI, asked: bool) -> None:  # noqa: FBT001
    options = {"stream_options": {"include_usage": asked}} if asked else {}
    with openai_client.chat.completions.create(model="gpt-5-mini", messages=HELLO, stream=True, **options) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == REPLY.text
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([140] if asked else [])
    assert len({chunk.id for chunk in chunks}) == 1


def test_chat_helpers(server: ProviderServer, openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.stream(
        model="gpt-5-mini", messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        assert stream.get_final_completion().usage.total_tokens == 140
    server.reply(Reply('{"city": "Oslo"}'))
    raw = openai_client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=HELLO)
    assert json.loads(raw.parse().choices[0].message.content) == {"city": "Oslo"}


@pytest.mark.parametrize("streamed", [True, False])
def test_completions(openai_client: openai.OpenAI, streamed: bool) -> None:  # noqa: FBT001
    answer = openai_client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hello", stream=streamed)
    texts = [chunk.choices[0].text for chunk in answer] if streamed else [answer.choices[0].text]
    assert "".join(texts) == REPLY.text


def test_responses(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="gpt-5-mini", input="hello")
    assert answer.output_text == REPLY.text
    assert answer.usage.input_tokens_details.cached_tokens == 30
    assert answer.usage.output_tokens_details.reasoning_tokens == 10
    assert openai_client.responses.retrieve(answer.id).id == answer.id


def test_responses_stream(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.create(model="gpt-5-mini", input="hello", stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.usage.total_tokens == 140
    with openai_client.responses.stream(model="gpt-5-mini", input="hello") as helper:
        assert helper.get_final_response().output_text == REPLY.text


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}])
def test_embeddings(server: ProviderServer, openai_client: openai.OpenAI, encoding: dict[str, Any]) -> None:
    answer = openai_client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=4, **encoding)
    assert [[round(number, 4) for number in one.embedding] for one in answer.data] == [[1.0, 0.5, 0.3333, 0.25]] * 2
    assert answer.usage.prompt_tokens == 100
    assert server.requests[0].json["encoding_format"] == encoding.get("encoding_format", "base64")


def test_azure(server: ProviderServer) -> None:
    with openai.AzureOpenAI(azure_endpoint=server.base_url, api_key="any", api_version="2024-10-21") as client:
        assert client.chat.completions.create(model="my-deployment", messages=HELLO).usage.total_tokens == 140
    assert server.requests[0].path == "/openai/deployments/my-deployment/chat/completions"
    assert server.requests[0].query == {"api-version": "2024-10-21"}


def test_messages(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=99, messages=HELLO)
    assert answer.content[0].text == REPLY.text
    assert answer.usage.input_tokens == 50
    assert answer.usage.cache_read_input_tokens == 30
    assert answer.usage.cache_creation_input_tokens == 20
    assert answer.usage.output_tokens == 40
    assert anthropic_client.messages.count_tokens(model="claude-sonnet-5", messages=HELLO).input_tokens == 100


def test_messages_stream(anthropic_client: anthropic.Anthropic) -> None:
    arguments: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": HELLO}
    with anthropic_client.messages.create(**arguments, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    with anthropic_client.messages.stream(**arguments) as helper:
        final = helper.get_final_message()
    assert (final.content[0].text, final.usage.input_tokens, final.usage.output_tokens) == (REPLY.text, 50, 40)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("platform", ["vertex", "bedrock", "foundry"])
def test_anthropic_on_other_clouds(server: ProviderServer, platform: str, streamed: bool) -> None:  # noqa: FBT001
    with _CLOUDS[platform](server.base_url) as client:
        answer = client.messages.create(
            model="anthropic.claude-sonnet-5", max_tokens=9, messages=HELLO, stream=streamed
        )
        outputs = [e.usage.output_tokens for e in answer if e.type == "message_delta"] if streamed else None
    assert (outputs if outputs is not None else [answer.usage.output_tokens]) == [40]


_CLOUDS: dict[str, Callable[[str], Any]] = {
    "vertex": lambda url: anthropic.AnthropicVertex(region="r", project_id="p", access_token="any", base_url=url),
    "bedrock": lambda url: anthropic.AnthropicBedrock(
        aws_access_key="any", aws_secret_key="any", aws_region="us-east-1", base_url=url
    ),
    "foundry": lambda url: anthropic.AnthropicFoundry(api_key="any", base_url=url),
}

QUESTION = [{"role": "user", "content": [{"text": "hello"}]}]


def test_converse(bedrock: Any) -> None:
    answer = bedrock.converse(modelId="us.amazon.nova-lite-v1:0", messages=QUESTION)
    assert answer["output"]["message"]["content"][0]["text"] == REPLY.text
    counts = {"inputTokens": 50, "outputTokens": 40, "totalTokens": 140}
    assert answer["usage"] == {**counts, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 20}


def test_converse_stream(server: ProviderServer, bedrock: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    events = list(bedrock.converse_stream(modelId=arn, messages=QUESTION)["stream"])
    texts = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(texts) == REPLY.text
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 140
    assert server.requests[0].path == f"/model/{arn}/converse-stream"


MODELS = [
    "anthropic.claude-sonnet-5",
    "amazon.nova-lite-v1:0",
    "amazon.titan-text-lite-v1",
    "meta.llama3-3-70b-instruct-v1:0",
    "mistral.mistral-small-2402-v1:0",
]


@pytest.mark.parametrize("model", MODELS)
def test_invoke_model(bedrock: Any, model: str) -> None:
    answer = bedrock.invoke_model(modelId=model, body=b"{}")
    assert json.loads(answer["body"].read())
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"] == "40"


@pytest.mark.parametrize("model", MODELS)
def test_invoke_model_stream(bedrock: Any, model: str) -> None:
    events = list(bedrock.invoke_model_with_response_stream(modelId=model, body=b"{}")["body"])
    last = json.loads(events[-1]["chunk"]["bytes"])
    assert last["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 40


def test_gemini(gemini: genai.Client) -> None:
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents="hello")
    assert answer.text == REPLY.text
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count) == (100, 30, 10)
    chunks = list(gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="hello"))
    assert "".join(chunk.text or "" for chunk in chunks) == REPLY.text
    embedded = gemini.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert len(embedded.embeddings) == 2


class TestFaults:
    """What goes wrong at a provider reaches the SDK as the SDK knows it."""

    def test_openai_retries_what_was_refused(self, server: ProviderServer, openai_client: openai.OpenAI) -> None:
        server.reply(refused(429), refused(500))
        assert openai_client.responses.create(model="gpt-5-mini", input="hello").output_text == REPLY.text
        assert [exchange.reply.status for exchange in server.exchanges] == [429, 500, 200]

    def test_openai_bad_request(self, server: ProviderServer, openai_client: openai.OpenAI) -> None:
        server.reply(refused(400))
        with pytest.raises(openai.BadRequestError, match="refused with 400"):
            openai_client.chat.completions.create(model="gpt-5-mini", messages=HELLO)

    def test_anthropic_retries_what_was_refused(
        self, server: ProviderServer, anthropic_client: anthropic.Anthropic
    ) -> None:
        server.reply(refused(429), refused(529))
        anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO)
        assert [exchange.reply.status for exchange in server.exchanges] == [429, 529, 200]

    def test_bedrock_throttles(self, server: ProviderServer, bedrock: Any) -> None:
        server.reply(refused(429))
        with pytest.raises(bedrock.exceptions.ThrottlingException, match="refused with 429"):
            bedrock.converse(modelId="amazon.nova-lite-v1:0", messages=QUESTION)

    def test_gemini_refuses(self, server: ProviderServer, gemini: genai.Client) -> None:
        server.reply(refused(400))
        with pytest.raises(errors.ClientError, match="INVALID_ARGUMENT"):
            gemini.models.generate_content(model="gemini-2.5-flash", contents="hello")

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("cut", openai.APIConnectionError),
            ("error", openai.APIError),
            ("malformed", json.JSONDecodeError),
            ("hold", openai.APITimeoutError),
        ],
    )
    def test_openai_stream(
        self, server: ProviderServer, openai_client: openai.OpenAI, kind: Any, error: type[Exception]
    ) -> None:
        server.reply(Reply(fault=Fault(kind, after=2)))
        client = openai_client.with_options(timeout=0.3)
        stream = client.chat.completions.create(model="gpt-5-mini", messages=HELLO, stream=True)
        next(stream)
        next(stream)
        with pytest.raises(error):
            next(stream)
        stream.close()

    def test_anthropic_error_event(self, server: ProviderServer, anthropic_client: anthropic.Anthropic) -> None:
        server.reply(Reply(fault=Fault("error", after=3)))
        stream = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            list(stream)

    def test_bedrock_stream_fails(self, server: ProviderServer, bedrock: Any) -> None:
        server.reply(Reply(fault=Fault("error", after=2)))
        stream = bedrock.converse_stream(modelId="amazon.nova-lite-v1:0", messages=QUESTION)["stream"]
        with pytest.raises(EventStreamError, match="the model failed"):
            list(stream)
        stream.close()

    def test_a_whole_body_is_cut(self, server: ProviderServer, openai_client: openai.OpenAI) -> None:
        server.reply(Reply(fault=Fault("cut")))
        answer = openai_client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
        assert answer.choices[0].message.content == REPLY.text
        assert len(server.requests) == 2

    def test_nothing_at_all_comes(self, server: ProviderServer, openai_client: openai.OpenAI) -> None:
        server.reply(Reply(fault=Fault("hold")))
        with pytest.raises(openai.APITimeoutError):
            openai_client.with_options(timeout=0.2, max_retries=0).responses.create(model="m", input="hello")

    def test_bedrock_body_is_no_json(self, server: ProviderServer, bedrock: Any) -> None:
        server.reply(Reply(amend=lambda _: ["no object"]))
        answer = bedrock.invoke_model(modelId=MODELS[0], body=b"{}")
        assert json.loads(answer["body"].read()) == ["no object"]

    def test_unknown_endpoint(self, server: ProviderServer, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="no endpoint POST /v1/moderations"):
            openai_client.moderations.create(input="hello")
        assert server.exchanges == []

    def test_refusal_reaches_boto3_as_a_client_error(self, server: ProviderServer, bedrock: Any) -> None:
        server.reply(refused(400))
        with pytest.raises(ClientError, match="ValidationException"):
            bedrock.invoke_model(modelId=MODELS[0], body=b"{}")


def test_every_sdk_comes_here_by_its_environment(server: ProviderServer) -> None:
    with server.environment():
        with openai.OpenAI() as client:
            client.responses.create(model="gpt-5-mini", input="hello")
        with anthropic.Anthropic() as client:
            client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO)
        bedrock = boto3.Session().client("bedrock-runtime")
        bedrock.converse(modelId="amazon.nova-lite-v1:0", messages=QUESTION)
        bedrock.close()
        with genai.Client() as client:
            client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    assert [request.headers["host"] for request in server.requests] == [
        "api.openai.com",
        "api.anthropic.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "generativelanguage.googleapis.com",
    ]
