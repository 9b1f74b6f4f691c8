"""Tags and workflow from one process to another: `inject` writes a header, `extract` reads it.

The header is our own, `spanledger: team=growth,feature=summarize,.workflow=...`, names and values percent-encoded as in
W3C baggage; so no HTTP client and no propagator sends it by itself, and no provider gets it. Names with a leading dot
say which workflow run the work belongs to. The trace goes beside it in the W3C `traceparent`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from opentelemetry import trace
from opentelemetry.context import Context, get_current, set_value
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spanledger import _faults
from spanledger._tags import ALIASES, KEY, Scope, attached, scope, short
from spanledger._types import OWNERS
from spanledger._workflow import Run
from spanledger.errors import ConfigurationError

HEADER: Final = "spanledger"
TRACEPARENT: Final = "traceparent"
LONGEST_HEADER: Final = 4096
LONGEST_VALUE: Final = 256
MOST: Final = 64
"""What is longer, or beyond so many entries, is neither sent nor read."""

NAME: Final = re.compile(r"\.?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
TRACE: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
TRACES: Final = TraceContextTextMapPropagator()

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

Headers = TypeVar("Headers", bound=MutableMapping[str, Any])


def inject(headers: Headers, *, tags: Iterable[str] = OWNERS) -> Headers:
    """Adds to a request's headers whose work it is, for a service of your own, and returns them.

    `tags` names the tags to send, of those that a `tag` or `workflow` around this has set; by default the owners: team,
    feature, customer, environment, user and session. The tags of the whole process are its own and stay.
    """
    here = scope()
    text = encode(here, names_of(tags))
    if text:
        headers[HEADER] = text
    if TRACEPARENT not in headers:
        TRACES.inject(headers)
    if TRACEPARENT not in headers and here.run is not None:
        headers[TRACEPARENT] = f"00-{here.run.trace_id}-{here.run.span_id}-01"
    return headers


def extract(headers: Any, *, tags: Iterable[str] = OWNERS) -> AbstractContextManager[None]:
    """A context manager: calls inside are for whom the headers of an incoming request say.

    `headers` is a mapping or pairs, of text or bytes, names in any case, or `None`. Only tags that `tags` names are
    taken, by default the owners: name fewer where the request comes from somebody who must not choose them. Whatever
    the headers are or hold, this does not raise.
    """
    return attached(context_of(headers, names_of(tags)))


def names_of(tags: Iterable[str]) -> frozenset[str]:
    """Names of tags, as their columns are called. Raises `ConfigurationError` for a single text."""
    if isinstance(tags, str):
        msg = f"tags must be a list of names, such as [{tags!r}], not {tags!r}"
        raise ConfigurationError(msg)
    return frozenset(ALIASES.get(name, name) for name in tags)


def context_of(headers: Any, allowed: frozenset[str] | None) -> Context:
    """The current context with what the headers say; `None` allows every tag."""
    known = _lowered(headers)
    context = get_current()
    if not trace.get_current_span(context).get_span_context().is_valid:
        context = TRACES.extract(known, context)
    entries = decode(known.get(HEADER, ""))
    outer = scope(context)
    tags = {name: value for name, value in entries.items() if allowed is None or name in allowed or name == "step"}
    run = _run_of(entries) or outer.run
    return set_value(KEY, Scope({**outer.tags, **_plain(tags)}, run), context)


def _plain(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(".")}


@_faults.guarded("read headers", NO_HEADERS)
def _lowered(headers: Any) -> Mapping[str, str]:
    """The headers that matter, by their name in lower case; a message may have none."""
    if headers is None:
        return NO_HEADERS
    pairs = headers.items() if hasattr(headers, "items") else headers
    known = {_text(name).lower(): _text(value) for name, value in pairs}
    return {name: known[name] for name in (HEADER, TRACEPARENT, "tracestate") if name in known}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else str(value)


def encode(here: Scope, allowed: frozenset[str] | None) -> str:
    """A scope as the text of the header; `None` allows every tag. What does not fit is left out."""
    entries = {**_entries_of(here.run), **here.tags}
    pairs: list[str] = []
    size = 0
    for name, value in entries.items():
        pair = f"{name}={quote(value, safe='')}"
        size += len(pair) + 1
        wanted = allowed is None or name in allowed or name == "step" or name.startswith(".")
        if wanted and NAME.fullmatch(name) and len(value) <= LONGEST_VALUE and size <= LONGEST_HEADER:
            pairs.append(pair)
    return ",".join(pairs[:MOST])


def decode(text: str) -> dict[str, str]:
    """The entries of a header, without those that are no names or too long; a broken one is left out."""
    found: dict[str, str] = {}
    if len(text) > LONGEST_HEADER:
        return found
    for pair in text.split(",")[:MOST]:
        name, equals, value = pair.strip().partition("=")
        plain = _unquoted(value)
        if equals and plain is not None and NAME.fullmatch(name) and len(plain) <= LONGEST_VALUE:
            found[ALIASES.get(name, name)] = short(plain)
    return found


def _unquoted(value: str) -> str | None:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None


def _entries_of(run: Run | None) -> dict[str, str]:
    if run is None:
        return {}
    return {".workflow": run.workflow, ".id": run.workflow_id, ".in": f"{run.trace_id}-{run.span_id}"}


def _run_of(entries: Mapping[str, str]) -> Run | None:
    """The run that another process began, where the header names one whole."""
    where = TRACE.fullmatch(entries.get(".in", ""))
    name, workflow_id = entries.get(".workflow"), entries.get(".id")
    if where is None or not name or not workflow_id:
        return None
    return Run.elsewhere(name, workflow_id, where[1], where[2], entries.get("step"))
