"""Middleware for WSGI applications: Flask, Django, Pyramid, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry.context import Context

from spanledger._propagation import context_of, names_of
from spanledger._tags import attached

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
HEADERS = ("spanledger", "traceparent", "tracestate")


class Middleware:
    """Calls made while a request is served are for whom its `spanledger` header says, to the last piece of its body.

    `tags` names the tags that a request may set: those, and no others, are taken from the header. A service that the
    public reaches names none, or has its proxy remove the header.

        app.wsgi_app = Middleware(app.wsgi_app, tags=["customer"])

    """

    def __init__(self, app: App, *, tags: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = names_of(tags)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serves one request."""
        headers = {name: environ[key] for name in HEADERS if (key := f"HTTP_{name.upper()}") in environ}
        context = context_of(headers, self._allowed)
        with attached(context):
            body = self._app(environ, start_response)
        return body if isinstance(body, (list, tuple)) else _Body(body, context)


class _Body:
    """A body whose pieces are made, and which is closed, in the context of its request."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        self._body = body
        self._context = context
        with attached(context):
            self._pieces = iter(body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with attached(self._context):
            return next(self._pieces)

    def close(self) -> None:
        """Closes the body, if it can be."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with attached(self._context):
                close()
