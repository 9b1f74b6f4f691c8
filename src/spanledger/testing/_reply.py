"""What a loopback provider is asked, and what it is told to answer: plain data, the same for every API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote

import orjson

Json = dict[str, Any]


class Request(NamedTuple):
    """One request as it came over the wire. Header names are in lower case; `path` is decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """From a request line's target, such as `/v1/messages?beta=true`; a proxy is given a whole URL."""
        path, _, query = re.sub("^https?://[^/]*", "", target).partition("?")
        first = {name: values[0] for name, values in parse_qs(query).items()}
        return cls(method, unquote(path), first, {name.lower(): value for name, value in headers.items()}, body)

    @property
    def json(self) -> Json:
        """The body as an object; an empty one where it is none."""
        try:
            decoded = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return decoded if isinstance(decoded, dict) else {}


class Tokens(NamedTuple):
    """What a reply says it used, in the ledger's words: input includes what the cache did, output the reasoning.

    Each API gets these in its own convention, so that a test can compare a charge's columns with the same numbers.
    """

    input_tokens: int = 12
    output_tokens: int = 8
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def uncached(self) -> int:
        """The input that the cache neither served nor stored."""
        return self.input_tokens - self.cache_read_tokens - self.cache_write_tokens

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens


class Fault(NamedTuple):
    """What goes wrong once `after` events of a stream are out; a whole body counts as one event that is half out.

    `cut` drops the connection, `error` sends the API's own error event, `malformed` sends an event that is no JSON,
    `hold` sends nothing more until the client has gone (`after=0`: not even the head of the response).
    """

    kind: Literal["cut", "error", "malformed", "hold"]
    after: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers to one request.

    `model` defaults to the requested one, and `response_id` to a new one. `usage` `None` leaves usage out. A `status`
    of 400 or more sends the API's own error body. `delay` is in seconds, before each event. `amend` may replace any
    body or event just before it is sent: for hostile responses.
    """

    text: str = "The loopback provider says hello to you."
    usage: Tokens | None = field(default_factory=Tokens)
    model: str | None = None
    response_id: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fault: Fault | None = None
    amend: Callable[[Json], Any] | None = None

    @property
    def words(self) -> list[str]:
        """The text in the pieces in which a stream sends it."""
        return re.findall(r"\S+\s*", self.text)


def refused(status: int = 429, **headers: str) -> Reply:
    """A refusal that a client may try again at once: `server.reply(refused(500), Reply("at last"))`."""
    return Reply(status=status, headers={"retry-after-ms": "1", **headers})


class Exchange(NamedTuple):
    """One request and what it is answered. It is recorded before the answer goes out."""

    request: Request
    reply: Reply
    response_id: str


class Ask(NamedTuple):
    """A request together with its reply: what a dialect puts into words."""

    request: Request
    reply: Reply
    model: str
    response_id: str
    body: Json

    @property
    def usage(self) -> Tokens | None:
        """What the reply says it used."""
        return self.reply.usage


class Dialect(NamedTuple):
    """How one API puts a reply into words. `whole` is a JSON body; `events` are a stream's, `frame` their bytes.

    `stream_if` tells a request for a stream. `model` finds the requested model. `refusal` is the body of an error
    status, `error_event` the bytes of an error inside a stream, `broken` those of an event that is no JSON, `end` what
    follows the last event.
    """

    prefix: str
    whole: Callable[[Ask], Json]
    refusal: Callable[[int], Json]
    model: Callable[[Request], str]
    events: Callable[[Ask], list[Json]] = lambda _: []
    frame: Callable[[Json], bytes] = orjson.dumps
    error_event: Callable[[], bytes] = lambda: b""
    broken: bytes = b'data: {"broken": \n\n'
    stream_if: Callable[[Request], bool] = lambda _: False
    end: bytes = b""
    stream_type: str = "text/event-stream; charset=utf-8"
    headers: Callable[[Ask], Mapping[str, str]] = lambda _: {}


def model_of_body(request: Request) -> str:
    """The model that a JSON body names."""
    return str(request.json.get("model", "unknown"))


def asks_for_stream(request: Request) -> bool:
    """Whether a JSON body says `"stream": true`."""
    return request.json.get("stream") is True
