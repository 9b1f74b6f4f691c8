"""Middleware for ASGI applications: FastAPI, Starlette, Django, Quart, ..."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from spanledger._propagation import context_of, names_of
from spanledger._tags import attached

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class Middleware:
    """Calls made while a request is served are for whom its `spanledger` header says.

    `tags` names the tags that a request may set: those, and no others, are taken from the header. A service that the
    public reaches names none, or has its proxy remove the header. `app.add_middleware(Middleware, tags=["customer"])`.
    """

    def __init__(self, app: App, *, tags: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = names_of(tags)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serves one request; a lifespan passes through."""
        with attached(context_of(scope.get("headers", ()), self._allowed)):
            await self._app(scope, receive, send)
