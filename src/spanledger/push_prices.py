"""Gives Phoenix the prices of the book: it shows costs by a table of its own, whatever cost a span states."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from spanledger import prices
from spanledger._types import Usage
from spanledger._units import money_text
from spanledger.errors import SpanledgerError

MILLION: Final = 10**6

PHOENIX: Final[Mapping[str, tuple[str, str]]] = {
    "input": ("PROMPT", "input"),
    "cache_read": ("PROMPT", "cache_read"),
    "cache_write_5m": ("PROMPT", "cache_write"),
    "output": ("COMPLETION", "output"),
}
"""What Phoenix calls each unit: the side of the call that it is on, and the type of token."""

KNOWN: Final = """query { generativeModels(first: 10000) { edges { node { id name kind } } } }"""
CREATE: Final = """mutation ($input: CreateModelMutationInput!) { createModel(input: $input) { model { id } } }"""
UPDATE: Final = """mutation ($input: UpdateModelMutationInput!) { updateModel(input: $input) { model { id } } }"""


class Model(NamedTuple):
    """A model as a request names it, and who serves it."""

    provider_name: str
    request_model: str


def push_phoenix(url: str, models: Iterable[Model]) -> list[str]:
    """Writes a price for each model that the book knows into a Phoenix server, and returns their names.

    `url` is the server's base address. A price that was pushed before is replaced. Prices are in US dollars for a
    million tokens; Phoenix has none for images, searches and the like. Raises `SpanledgerError` where the server
    cannot be reached or refuses.
    """
    endpoint = f"{url.rstrip('/')}/graphql"
    edges = _ask(endpoint, KNOWN, {})["generativeModels"]["edges"]
    ours = {edge["node"]["name"]: edge["node"]["id"] for edge in edges if edge["node"]["kind"] == "CUSTOM"}
    pushed = []
    for model in models:
        costs = _costs(model)
        if not costs:
            continue
        name = f"{model.request_model} ({model.provider_name})"
        entry = {"name": name, "namePattern": f"^{re.escape(model.request_model)}$", "costs": costs}
        known = {"id": ours[name]} if name in ours else {}
        _ask(endpoint, UPDATE if known else CREATE, {"input": {**known, **entry}})
        pushed.append(model.request_model)
    return pushed


def _costs(model: Model) -> list[dict[str, Any]]:
    found = []
    for unit, (kind, token) in PHOENIX.items():
        amount = _per_million(model, unit)
        if amount is not None:  # a float, as Phoenix's schema has it: it is what Phoenix shows, and no amount of ours
            found.append({"tokenType": token, "kind": kind, "costPerMillionTokens": float(amount)})
    return found


def _per_million(model: Model, unit: str) -> Decimal | None:
    priced = prices.rate(
        Usage({unit: MILLION}),
        provider_name=model.provider_name,
        response_model=None,
        request_model=model.request_model,
        context={},
        at_ns=time.time_ns(),
    )
    if priced.list_cost is None or priced.status not in {"exact", "estimated"} or priced.currency != "USD":
        return None
    return Decimal(money_text(priced.list_cost))


def models_of(ledger: str) -> list[Model]:
    """The models that the calls of a ledger name."""
    from spanledger.ledger import Ledger

    asked = "SELECT DISTINCT provider_name, request_model FROM charges WHERE request_model IS NOT NULL ORDER BY ALL"
    return [Model(**row) for row in Ledger(ledger).sql(asked, rolled="include").to_arrow().to_pylist()]


def _ask(endpoint: str, query: str, variables: Mapping[str, Any]) -> Any:
    if not endpoint.startswith(("http://", "https://")):
        msg = f"url: {endpoint!r} is no http address"
        raise SpanledgerError(msg)
    body = orjson.dumps({"query": query, "variables": variables})
    request = urllib.request.Request(endpoint, body, {"content-type": "application/json"})  # noqa: S310 -- checked above
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 -- as above
            answer = orjson.loads(response.read())
    except (OSError, ValueError) as error:
        msg = f"{endpoint}: {error}"
        raise SpanledgerError(msg) from error
    if answer.get("errors"):
        msg = f"{endpoint}: {answer['errors'][0].get('message')}"
        raise SpanledgerError(msg)
    return answer["data"]
