"""A reply that breaks off after some words, and what is known by then of what it costs, by the API that it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from spanledger._estimate import estimate
from spanledger._unreported import FRAMES
from spanledger.testing import Fault, Reply, Tokens

TOKENS = Tokens(input_tokens=100, output_tokens=40, cache_read_tokens=30, reasoning_tokens=0)
REPLY = Reply("Kangaroos leap over seventeen unlikely fences", TOKENS)
HEARD = 3
"""How many words of the reply have come when a stream ends early."""

HELLO = "hello there, my old friend"


class Counts(NamedTuple):
    """The quantities of a charge; `None` is not known, never zero."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    output_tokens: int | None = None


WHOLE = Counts(TOKENS.input_tokens, TOKENS.cache_read_tokens, TOKENS.output_tokens)


class Api(NamedTuple):
    """What the server of an API has said after some events of a stream, in the server's own order of events.

    `lead` events come before the first word, and the SDK keeps `silent` ones of them to itself. `first` is what the
    first event reports, `every` what each one does.
    """

    model: str
    lead: int
    silent: int = 0
    family: str = "o200k"
    first: Counts = Counts()
    every: Counts = Counts()

    @property
    def events(self) -> int:
        """The events that a stream which ends early has sent."""
        return self.lead + HEARD

    @property
    def parsed(self) -> int:
        """Those of them that the SDK gives out."""
        return self.events - self.silent

    def heard(self) -> Counts:
        """What is known once those events are read: what they report, and the tokens of the text that they held."""
        text = "".join(REPLY.words[:HEARD])
        if self.every.output_tokens is not None:
            return self.every
        output = max(estimate(text, self.model).tokens, self.first.output_tokens or 0)
        return (self.first if self.first.input_tokens else self.asked())._replace(output_tokens=output)

    def started(self) -> Counts:
        """What is known once the first event is read."""
        return self.every if self.every.output_tokens is not None else self.first

    def asked(self) -> Counts:
        """What is known before any event is read: the tokens of the request. None that came was seen."""
        request, message = FRAMES[self.family]
        return Counts(estimate(HELLO, self.model).tokens + request + message, None, 0)


STARTED = Counts(TOKENS.input_tokens, TOKENS.cache_read_tokens, 1)
"""What `message_start` reports: all of the input, and one token of output so far."""

CHAT = Api("gpt-5-mini", lead=1)
RESPONSE = Api("gpt-5-mini", lead=4)
MESSAGE = Api("claude-sonnet-5", lead=3, silent=1, family="claude-4.7", first=STARTED)
CONVERSE = Api("amazon.nova-lite-v1:0", lead=1)
INVOKE = MESSAGE._replace(silent=0, model="anthropic.claude-sonnet-5")
GENERATE = Api("gemini-2.5-flash", lead=0, every=WHOLE)


def played(*replies: Reply) -> Callable[[Any], tuple[Reply, ...]]:
    """The server plays the same to every shape of a call."""
    return lambda _: replies


def faulty(kind: Any, after: int | None = None) -> Callable[[Any], tuple[Reply, ...]]:
    """The server fails after so many events, or once it has sent the first words of a stream."""
    return lambda shape: (Reply(REPLY.text, TOKENS, fault=Fault(kind, shape.api.events if after is None else after)),)
