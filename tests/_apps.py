"""Small applications that call the real SDKs against a loopback provider; each returns what it got, as plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import anthropic
import boto3
import openai
from botocore.config import Config
from google import genai
from google.genai import types

CLAUDE = "claude-sonnet-5-5"
MESSAGES = [{"role": "user", "content": "Say hello."}]


@lru_cache
def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=10)


@lru_cache
def anthropic_client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=10)


@lru_cache
def bedrock_client(url: str) -> Any:
    return boto3.session.Session().client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(retries={"max_attempts": 0}),
    )


@lru_cache
def gemini_client(url: str) -> genai.Client:
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url, timeout=10_000))


def chat(url: str) -> Any:
    client = openai_client(url)
    return client.chat.completions.create(model="gpt-4o", messages=MESSAGES).model_dump()


def chat_raw(url: str) -> Any:
    client = openai_client(url)
    return client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES).text


def chat_stream(url: str) -> Any:
    client = openai_client(url)
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=options)
    return [chunk.model_dump() for chunk in stream]


def chat_streamed_lines(url: str) -> Any:
    client = openai_client(url)
    options = {"include_usage": True}
    streaming = client.chat.completions.with_streaming_response
    with streaming.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=options) as response:
        return list(response.iter_lines())


def responses(url: str) -> Any:
    client = openai_client(url)
    return client.responses.create(model="gpt-4o", input="Say hello.").model_dump()


def embeddings(url: str) -> Any:
    client = openai_client(url)
    return client.embeddings.create(model="text-embedding-3-small", input="hello").model_dump()


def refused(url: str) -> Any:
    client = openai_client(url)
    return client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def async_chat_stream(url: str) -> Any:
    async def run() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            return [chunk.model_dump() async for chunk in stream]

    return asyncio.run(run())


def messages(url: str) -> Any:
    return anthropic_client(url).messages.create(model=CLAUDE, max_tokens=64, messages=MESSAGES).model_dump()


def messages_stream(url: str) -> Any:
    with anthropic_client(url).messages.stream(model=CLAUDE, max_tokens=64, messages=MESSAGES) as stream:
        return [event.type for event in stream]


def messages_broken_off(url: str) -> Any:
    stream = anthropic_client(url).messages.create(model=CLAUDE, max_tokens=64, messages=MESSAGES, stream=True)
    first = next(iter(stream)).model_dump()
    stream.close()
    return first


CONVERSATION = [{"role": "user", "content": [{"text": "Say hello."}]}]


def converse(url: str) -> Any:
    reply = bedrock_client(url).converse(modelId="amazon.nova-pro-v1:0", messages=CONVERSATION)
    return reply["output"]


def converse_stream(url: str) -> Any:
    reply = bedrock_client(url).converse_stream(modelId="amazon.nova-pro-v1:0", messages=CONVERSATION)
    return list(reply["stream"])


def invoke_model(url: str) -> Any:
    body = b'{"max_tokens": 64, "messages": [], "anthropic_version": "bedrock-2023-05-31"}'
    reply = bedrock_client(url).invoke_model(modelId="anthropic.claude-sonnet-4-5-20250929-v1:0", body=body)
    return reply["body"].read()


def converse_refused(url: str) -> Any:
    return bedrock_client(url).converse(modelId="amazon.nova-pro-v1:0", messages=CONVERSATION)


def gemini(url: str) -> Any:
    return gemini_client(url).models.generate_content(model="gemini-2.5-flash", contents="hello").model_dump()


def gemini_stream(url: str) -> Any:
    stream = gemini_client(url).models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    return [chunk.model_dump() for chunk in stream]


def gemini_broken_off(url: str) -> Any:
    stream = gemini_client(url).models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    first = next(stream).model_dump()
    stream.close()
    return first


def gemini_interaction(url: str) -> Any:
    return gemini_client(url).interactions.create(model="gemini-2.5-flash", input="hello").model_dump(mode="json")


def gemini_refused(url: str) -> Any:
    return gemini_client(url).models.generate_content(model="gemini-2.5-flash", contents="hello")


APPS: dict[str, Callable[[str], Any]] = {
    app.__name__: app
    for app in (
        chat,
        chat_raw,
        chat_stream,
        chat_streamed_lines,
        responses,
        embeddings,
        async_chat_stream,
        messages,
        messages_stream,
        messages_broken_off,
        converse,
        converse_stream,
        invoke_model,
        gemini,
        gemini_stream,
        gemini_broken_off,
        gemini_interaction,
    )
}
"""Applications whose call succeeds."""

REFUSED: dict[str, Callable[[str], Any]] = {app.__name__: app for app in (refused, converse_refused, gemini_refused)}
"""Applications whose call the provider refuses."""


def outcome(app: Callable[[str], Any], url: str) -> tuple[str, Any]:
    """What an application sees: what its call returns, or the type and text of what it raises."""
    with suppress(KeyboardInterrupt):
        try:
            return "returned", app(url)
        except Exception as error:  # noqa: BLE001 -- whatever an application may see is what is compared
            return "raised", (type(error).__module__, type(error).__name__, str(error))
    return "interrupted", None
