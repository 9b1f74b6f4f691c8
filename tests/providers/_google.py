"""What the tests of google-genai share: clients of both platforms, and one way to call sync and async alike."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from tests.providers._either import settled

MODEL = "gemini-2.5-flash"
MODES = ("sync", "async")
PLATFORMS = {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}


def client_of(server, platform: str = "gemini", **options: Any) -> genai.Client:
    """A client of one platform that talks to the loopback server."""
    there = types.HttpOptions(base_url=server.base_url, **options)
    if platform == "gemini":
        return genai.Client(api_key="any", http_options=there)
    where = {"project": "p", "location": "us-central1", "credentials": Credentials("any")}
    return genai.Client(vertexai=True, http_options=there, **where)


@asynccontextmanager
async def closing(client: genai.Client):
    """Closes a client, and its async half, where the SDK's version knows how to."""
    try:
        yield client
    finally:
        for part, name in ((client.aio, "aclose"), (client, "close")):
            if hasattr(part, name):
                await settled(getattr(part, name)())


class Caller:
    """Calls a method of the client or of its async twin, `models.generate_content` for one, and gives the result."""

    def __init__(self, client: genai.Client, mode: str) -> None:
        self.mode = mode
        self._root = client if mode == "sync" else client.aio

    def method(self, dotted: str) -> Any:
        found = self._root
        for name in dotted.split("."):
            found = getattr(found, name)
        return found

    async def __call__(self, dotted: str, **arguments: Any) -> Any:
        return await settled(self.method(dotted)(**arguments))
