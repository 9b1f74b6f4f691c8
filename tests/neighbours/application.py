"""One application beside another instrumentation: `application.py NEIGHBOUR LEDGER`; prints its spans as JSON.

The proxy of the environment answers for the providers. Each makes one call plainly and one as a stream, under the tag
`team`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spanledger

warnings.simplefilter("ignore")  # of other people's imports

MESSAGES = [{"role": "user", "content": "hello"}]
EXPORTER = InMemorySpanExporter()


def ask_openai(url: str) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        for _ in client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ):
            pass


def ask_anthropic(url: str) -> None:
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        client.messages.create(model="claude-opus-5", messages=MESSAGES, max_tokens=10)
        for _ in client.messages.create(model="claude-opus-5", messages=MESSAGES, max_tokens=10, stream=True):
            pass


def pydantic_ai(model: Callable[[str], Any]) -> Callable[[str], None]:
    def ask(url: str) -> None:
        from pydantic_ai import Agent

        Agent.instrument_all()

        async def both() -> None:
            agent = Agent(model(url))
            await agent.run("hello")
            async with agent.run_stream("hello") as answer:
                async for _ in answer.stream_text():
                    pass

        asyncio.run(both())

    return ask


def pydantic_openai(url: str) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="k"))


def pydantic_anthropic(url: str) -> Any:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0)
    return AnthropicModel("claude-opus-5", provider=AnthropicProvider(anthropic_client=client))


def langchain_openai(url: str) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o", base_url=f"{url}/v1", api_key="k", stream_usage=True)
    model.invoke("hello")
    for _ in model.stream("hello"):
        pass


def langchain_anthropic(url: str) -> None:
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(model="claude-opus-5", base_url=url, api_key="k")
    model.invoke("hello")
    for _ in model.stream("hello"):
        pass


def instrumentor(module: str, name: str) -> Callable[[], None]:
    return lambda: getattr(importlib.import_module(module), name)().instrument()


def logfire(sdk: str) -> Callable[[], None]:
    def start() -> None:
        import logfire as library

        getattr(library, f"instrument_{sdk}")()

    return start


def nothing() -> None:
    """The SDK's own tracing, if it has any."""


OFFICIAL, INFERENCE = "opentelemetry.instrumentation.genai", "openinference.instrumentation"
TRACELOOP = "opentelemetry.instrumentation"

NEIGHBOURS: dict[str, tuple[Callable[[], None], Callable[[str], None]]] = {
    "openai, alone": (nothing, ask_openai),
    "anthropic, with its own spans": (nothing, ask_anthropic),
    "official genai, openai": (instrumentor(f"{OFFICIAL}.openai", "OpenAIInstrumentor"), ask_openai),
    "official genai, anthropic": (instrumentor(f"{OFFICIAL}.anthropic", "AnthropicInstrumentor"), ask_anthropic),
    "OpenInference, openai": (instrumentor(f"{INFERENCE}.openai", "OpenAIInstrumentor"), ask_openai),
    "OpenInference, anthropic": (instrumentor(f"{INFERENCE}.anthropic", "AnthropicInstrumentor"), ask_anthropic),
    "OpenInference, LangChain with openai": (
        instrumentor(f"{INFERENCE}.langchain", "LangChainInstrumentor"),
        langchain_openai,
    ),
    "OpenInference, LangChain with anthropic": (
        instrumentor(f"{INFERENCE}.langchain", "LangChainInstrumentor"),
        langchain_anthropic,
    ),
    "OpenLLMetry, openai": (instrumentor(f"{TRACELOOP}.openai", "OpenAIInstrumentor"), ask_openai),
    "OpenLLMetry, anthropic": (instrumentor(f"{TRACELOOP}.anthropic", "AnthropicInstrumentor"), ask_anthropic),
    "OpenLLMetry, LangChain with openai": (
        instrumentor(f"{TRACELOOP}.langchain", "LangchainInstrumentor"),
        langchain_openai,
    ),
    "OpenLLMetry, LangChain with anthropic": (
        instrumentor(f"{TRACELOOP}.langchain", "LangchainInstrumentor"),
        langchain_anthropic,
    ),
    "Logfire, openai": (logfire("openai"), ask_openai),
    "Logfire, anthropic": (logfire("anthropic"), ask_anthropic),
    "pydantic-ai, openai": (nothing, pydantic_ai(pydantic_openai)),
    "pydantic-ai, anthropic": (nothing, pydantic_ai(pydantic_anthropic)),
}


def provide(name: str) -> None:
    """The global tracer provider: Logfire's own where Logfire is the neighbour."""
    if name.startswith("Logfire"):
        import logfire as library

        library.configure(
            send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(EXPORTER)]
        )
        return
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)


def main(name: str, ledger: str) -> None:
    """Runs the application and prints its spans."""
    provide(name)
    spanledger.instrument(ledger=ledger)
    start, ask = NEIGHBOURS[name]
    start()
    with spanledger.tag(team="growth"):
        ask("http://api.anthropic.com" if "anthropic" in name else "http://api.openai.com")
    spans = [
        {"name": span.name, "scope": span.instrumentation_scope.name, "attributes": dict(span.attributes or {})}
        for span in EXPORTER.get_finished_spans()
    ]
    print(json.dumps(spans, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
