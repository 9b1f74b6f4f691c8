"""A loopback server that speaks the providers' APIs, for tests, demos and benchmarks: nothing leaves the machine."""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanledger.testing._reply import Ask, Dialect, Exchange, Fault, Reply, Request
from spanledger.testing.dialects import dialect_of

if TYPE_CHECKING:
    from typing_extensions import Self

LOOK_SECONDS: Final = 0.02
"""How often a server that holds its answer looks whether the client has gone."""

ERROR: Final = 400

HOSTS: Final[Mapping[str, str]] = {
    "OPENAI_API_KEY": "any",
    "OPENAI_BASE_URL": "http://api.openai.com/v1",
    "ANTHROPIC_API_KEY": "any",
    "ANTHROPIC_BASE_URL": "http://api.anthropic.com",
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://bedrock-runtime.us-east-1.amazonaws.com",
    "GEMINI_API_KEY": "any",
    "GOOGLE_GEMINI_BASE_URL": "http://generativelanguage.googleapis.com",
}
"""Where each SDK finds its provider, without encryption, so that a proxy can answer."""


class ProviderServer:
    """Answers as OpenAI, Azure, Anthropic, Vertex AI, Bedrock and Gemini do, on a port of its own, from threads.

    A context manager. Point an SDK at `base_url`: `OpenAI(base_url=server.base_url + "/v1")`,
    `Anthropic(base_url=server.base_url)`, `boto3.client(..., endpoint_url=server.base_url)`. Every request gets the
    next scripted reply, and once there is none what `answer(request)` says.
    """

    def __init__(self, answer: Callable[[Request], Reply] | None = None, *, port: int = 0) -> None:
        self.answer = answer or (lambda _: Reply())
        self.exchanges: list[Exchange] = []
        self.stopping = threading.Event()
        self._script: deque[Reply] = deque()
        self._numbers = itertools.count(1)
        self._connections: set[socket.socket] = set()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        """Where the server listens, without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, as it came over the wire."""
        return [exchange.request for exchange in self.exchanges]

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Sets the variables by which every SDK comes here, for a block, while it names its provider's own host.

        The server is the HTTP proxy then. Calls are priced as the provider's, where those to a `base_url` on this
        machine would be an unknown host's. Clients are to be made inside the block.
        """
        before = dict(os.environ)
        os.environ.update(HOSTS, HTTP_PROXY=self.base_url, http_proxy=self.base_url, NO_PROXY="", no_proxy="")
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def reply(self, *replies: Reply) -> Self:
        """Adds to the script: the next requests get these replies, in order."""
        self._script.extend(replies)
        return self

    def start(self) -> Self:
        """Begins to listen."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Drops every connection and frees the port."""
        self.stopping.set()
        self._http.shutdown()
        for connection in list(self._connections):
            _shut(connection)
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def next_reply(self, request: Request) -> Reply:
        """The reply to a request: from the script, else from `answer`."""
        try:
            return self._script.popleft()
        except IndexError:
            return self.answer(request)

    def next_id(self, dialect: Dialect) -> str:
        """A response id that this server has not used yet."""
        return f"{dialect.prefix}{next(self._numbers):08d}"


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # `server_close` joins them: nothing outlives `stop`
    request_queue_size = 128
    owner: ProviderServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.owner._connections.add(self.connection)
        if self.server.owner.stopping.is_set():
            _shut(self.connection)

    def finish(self) -> None:
        self.server.owner._connections.discard(self.connection)
        super().finish()

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_GET  # noqa: N815 -- as above

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request.of(self.command, self.path, dict(self.headers), body)
        dialect = dialect_of(request)
        if dialect is None:
            self._send_whole(404, {}, orjson.dumps({"error": {"message": f"no endpoint {self.command} {self.path}"}}))
            return
        owner = self.server.owner
        reply = owner.next_reply(request)
        ask = Ask(request, reply, reply.model or dialect.model(request), _id(reply, owner, dialect), request.json)
        owner.exchanges.append(Exchange(request, reply, ask.response_id))
        self.close_connection = not self._play(dialect, ask)

    def _play(self, dialect: Dialect, ask: Ask) -> bool:
        """Sends the answer; false where it was broken off."""
        reply, owner = ask.reply, self.server.owner
        if reply.fault == Fault("hold"):
            return _hold(self.connection, owner.stopping)
        headers = {**dialect.headers(ask), **reply.headers}
        if reply.status >= ERROR:
            return self._send_whole(reply.status, headers, orjson.dumps(_amended(reply, dialect.refusal(reply.status))))
        if dialect.stream_if(ask.request):
            return self._send_stream(dialect, ask, headers)
        owner.stopping.wait(reply.delay)
        return self._send_faulty(headers, orjson.dumps(_amended(reply, dialect.whole(ask))), reply.fault)

    def _send_whole(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        kind = {"content-type": "application/json", "content-length": str(len(body))}
        self.wfile.write(_head(status, {**kind, **headers}) + body)
        return True

    def _send_faulty(self, headers: Mapping[str, str], body: bytes, fault: Fault | None) -> bool:
        if fault is None:
            return self._send_whole(200, headers, body)
        half = body[: len(body) // 2]
        if fault.kind == "malformed":
            return self._send_whole(200, headers, half)
        kind = {"content-type": "application/json", "content-length": str(len(body))}
        self.wfile.write(_head(200, {**kind, **headers}) + half)
        if fault.kind == "hold":
            return _hold(self.connection, self.server.owner.stopping)
        return _shut(self.connection)

    def _send_stream(self, dialect: Dialect, ask: Ask, headers: Mapping[str, str]) -> bool:
        kind = {"content-type": dialect.stream_type, "transfer-encoding": "chunked"}
        self.wfile.write(_head(200, {**kind, **headers}))
        fault = ask.reply.fault
        frames = _frames(dialect, ask)
        for frame in itertools.islice(frames, fault.after if fault else None):
            self.server.owner.stopping.wait(ask.reply.delay)
            self._send_chunk(frame)
        if fault:
            return _FAULTS[fault.kind](self, dialect)
        return self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> bool:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def _send_error(self, dialect: Dialect) -> bool:
        self._send_chunk(dialect.error_event())
        return self._send_chunk(b"")

    def _send_malformed(self, dialect: Dialect) -> bool:
        self._send_chunk(dialect.broken)
        return self._send_chunk(b"")


_FAULTS: Final[Mapping[str, Callable[[_Handler, Dialect], bool]]] = {
    "cut": lambda handler, _: _shut(handler.connection),
    "error": _Handler._send_error,
    "malformed": _Handler._send_malformed,
    "hold": lambda handler, _: _hold(handler.connection, handler.server.owner.stopping),
}


def _id(reply: Reply, owner: ProviderServer, dialect: Dialect) -> str:
    return reply.response_id or owner.next_id(dialect)


def _amended(reply: Reply, body: Any) -> Any:
    return body if reply.amend is None else reply.amend(body)


def _frames(dialect: Dialect, ask: Ask) -> Iterator[bytes]:
    events: Iterable[Any] = dialect.events(ask)
    for event in events:
        yield dialect.frame(_amended(ask.reply, event))
    if dialect.end:
        yield dialect.end


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _shut(connection: socket.socket) -> bool:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    return False


def _hold(connection: socket.socket, stopping: threading.Event) -> bool:
    """Waits until the client has gone or the server stops."""
    while not stopping.wait(LOOK_SECONDS) and not _gone(connection):
        pass
    return False


def _gone(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
