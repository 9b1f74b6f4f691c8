"""One file an API, and the one table of the endpoints that the loopback server has."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from spanledger.testing._reply import Dialect, Request
from spanledger.testing.dialects import (
    anthropic_messages,
    batches,
    bedrock_converse,
    bedrock_invoke,
    gemini,
    openai_chat,
    openai_embeddings,
    openai_responses,
)


class Endpoint(NamedTuple):
    """Which requests speak which dialect: by method, and by how the path ends."""

    method: str
    path: re.Pattern[str]
    dialect: Dialect


ENDPOINTS: Final[tuple[Endpoint, ...]] = tuple(
    Endpoint(method, re.compile(pattern + "$"), dialect)
    for method, pattern, dialect in (
        ("POST", r"/chat/completions", openai_chat.CHAT),
        ("POST", r"/v1/chat", openai_chat.CHAT),
        ("POST", r"(?<!/chat)/completions", openai_chat.COMPLETIONS),
        ("POST", r"/responses", openai_responses.RESPONSES),
        ("GET", r"/responses/[^/]+", openai_responses.RETRIEVE),
        ("POST", r"/(embeddings|rerank)", openai_embeddings.EMBEDDINGS),
        ("POST", r"/files", batches.FILE),
        ("GET", r"/files/[^/]+/content", batches.RESULTS),
        ("POST", r"/v1/messages/batches", batches.MESSAGE_BATCH),
        ("GET", r"/v1/messages/batches/[^/]+", batches.MESSAGE_BATCH_OVER),
        ("GET", r"/v1/messages/batches/[^/]+/results", batches.MESSAGE_RESULTS),
        ("POST", r"/batches", batches.BATCH),
        ("GET", r"/batches/[^/]+", batches.BATCH_OVER),
        ("POST", r"/v1/messages", anthropic_messages.MESSAGES),
        ("POST", r"/v1/messages/count_tokens", anthropic_messages.COUNT_TOKENS),
        ("POST", r"/publishers/anthropic/models/[^/]+:(rawPredict|streamRawPredict)", anthropic_messages.VERTEX),
        ("POST", r"/model/.+/(converse|converse-stream)", bedrock_converse.CONVERSE),
        ("POST", r"/model/.+/(invoke|invoke-with-response-stream)", bedrock_invoke.INVOKE),
        ("POST", r"/models/[^/]+:(generateContent|streamGenerateContent)", gemini.GENERATE),
        ("POST", r"/models/[^/]+:(batchEmbedContents|embedContent)", gemini.EMBED),
        ("POST", r"/models/[^/]+:(predict|predictLongRunning)", gemini.PREDICT),
        ("GET", r"/operations/[^/]+", gemini.PREDICT),
        ("POST", r"/models/[^/]+:fetchPredictOperation", gemini.PREDICT),
        ("GET", r"/interactions/[^/]+", gemini.INTERACTION),
        ("POST", r"/cachedContents", gemini.CACHED_CONTENT),
        ("POST", r"/interactions", gemini.INTERACTION),
    )
)
"""The first that fits counts."""


def dialect_of(request: Request) -> Dialect | None:
    """The dialect of a request, `None` where the server has no such endpoint."""
    for endpoint in ENDPOINTS:
        if endpoint.method == request.method and endpoint.path.search(request.path):
            return endpoint.dialect
    return None
