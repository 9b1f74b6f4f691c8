"""What the tests of exits call with: a client of each SDK, and one manner in which sync and async streams are read."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

import anthropic
import boto3
import openai
from botocore.config import Config
from google import genai
from google.genai import types


class Clients:
    """A client of each SDK, made on first use, that names its provider's own host and comes to the loopback server."""

    def __init__(self, timeout: float, retries: int) -> None:
        self._timeout = timeout
        self._retries = retries
        self._options: dict[str, Any] = {"timeout": timeout, "max_retries": retries}

    @cached_property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(**self._options)

    @cached_property
    def async_openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**self._options)

    @cached_property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(**self._options)

    @cached_property
    def async_anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(**self._options)

    @cached_property
    def bedrock(self) -> Any:
        retries = {"total_max_attempts": self._retries + 1, "mode": "standard"}
        config = Config(read_timeout=self._timeout, retries=retries)
        return boto3.Session().client("bedrock-runtime", config=config)

    @cached_property
    def gemini(self) -> genai.Client:
        attempts = types.HttpRetryOptions(attempts=self._retries + 1, initial_delay=0.01, jitter=0)
        options = types.HttpOptions(timeout=int(self._timeout * 1000), retry_options=attempts)
        return genai.Client(http_options=options)

    async def close(self) -> None:
        for name in ("openai", "anthropic", "bedrock", "gemini"):
            if name in vars(self):
                vars(self)[name].close()
        for name in ("async_openai", "async_anthropic"):
            if name in vars(self):
                await vars(self)[name].close()
        if "gemini" in vars(self):
            await self.gemini.aio.aclose()


class Awaited:
    """A sync stream, or what opens one, in the manners of an async one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aenter__(self) -> Awaited:
        return Awaited(self._stream.__enter__())

    async def __aexit__(self, *exc_info: object) -> None:
        self._stream.__exit__(*exc_info)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self._stream:
            yield event

    def close(self) -> None:
        self._stream.close()


class Later:
    """An async stream that is still to be awaited, as a context manager of the stream."""

    def __init__(self, pending: Any) -> None:
        self._pending = pending

    async def __aenter__(self) -> Any:
        opened = await self._pending if inspect.isawaitable(self._pending) else self._pending
        self._opened = opened
        return await opened.__aenter__() if hasattr(opened, "__aenter__") else opened

    async def __aexit__(self, *exc_info: object) -> None:
        opened = self._opened
        await (opened.__aexit__(*exc_info) if hasattr(opened, "__aexit__") else opened.aclose())
