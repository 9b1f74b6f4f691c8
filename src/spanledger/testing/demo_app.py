"""A small multi-tenant application: it calls three providers through their SDKs, and says who each call is for.

Customers upload documents and ask questions. `summarize` and `search` are one call or two each; `resolve` is an agentic
chain: a plan, the research that it calls for in a function of its own, and an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import spanledger

if TYPE_CHECKING:
    from anthropic import Anthropic
    from openai import OpenAI

    from spanledger._workflow import Run


class Clients(NamedTuple):
    """The SDK clients of the application, made once, as usual."""

    openai: OpenAI
    anthropic: Anthropic
    bedrock: Any


class Document(NamedTuple):
    """A text that a customer has uploaded."""

    customer: str
    text: str


class Ticket(NamedTuple):
    """A question to the support of a customer."""

    customer: str
    question: str


@contextmanager
def connected() -> Iterator[Clients]:
    """The clients, with what the environment says of hosts and keys."""
    import anthropic
    import boto3
    import openai

    bedrock = boto3.Session().client("bedrock-runtime")
    with openai.OpenAI() as openai_client, anthropic.Anthropic() as anthropic_client:
        yield Clients(openai_client, anthropic_client, bedrock)
    bedrock.close()


@spanledger.tag(team="content", feature="summarize", customer=lambda document: document.customer)
def summarize(document: Document, clients: Clients) -> str:
    """One call of Anthropic."""
    message = clients.anthropic.messages.create(
        model="claude-haiku-4-5",
        max_tokens=300,
        messages=[{"role": "user", "content": f"Summarize: {document.text}"}],
    )
    return message.content[0].text if message.content[0].type == "text" else ""


@spanledger.tag(team="discovery", feature="search")
def search(question: str, clients: Clients, customer: str) -> str:
    """An embedding and a streamed chat completion of OpenAI. The stream tells no usage unless it is asked to."""
    with spanledger.tag(customer=customer):
        clients.openai.embeddings.create(model="text-embedding-3-small", input=question)
        stream = clients.openai.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": question}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def resolve(ticket: Ticket, clients: Clients) -> Run:
    """An agentic chain over three providers: one workflow, one trace, one cost."""
    with spanledger.workflow("resolve-ticket", team="support", feature="tickets", customer=ticket.customer) as run:
        plan = clients.openai.responses.create(model="gpt-5", input=f"Plan: {ticket.question}").output_text
        findings = [research(step, clients) for step in plan.split(".") if step.strip()]
        write_answer(ticket, findings, clients)
    return run


@spanledger.workflow("research")
def research(step: str, clients: Clients) -> str:
    """A step of the chain, in a function that knows nothing of tickets: a stream of Bedrock."""
    answer = clients.bedrock.converse_stream(
        modelId="amazon.nova-pro-v1:0", messages=[{"role": "user", "content": [{"text": step}]}]
    )
    deltas = (event.get("contentBlockDelta", {}).get("delta", {}) for event in answer["stream"])
    return "".join(delta.get("text", "") for delta in deltas)


@spanledger.workflow("answer")
def write_answer(ticket: Ticket, findings: Sequence[str], clients: Clients) -> str:
    """The last step of the chain: Anthropic's own stream helper."""
    prompt = f"{ticket.question} We found: {' '.join(findings)}"
    with clients.anthropic.messages.stream(
        model="claude-sonnet-5", max_tokens=500, messages=[{"role": "user", "content": prompt}]
    ) as stream:
        return stream.get_final_text()
