"""One call of google-genai may be several requests: it calls functions by itself, and continues what was cut short.

Each request is billed and is a row of its own; the rows of one call share its `call_id`. What a function of the
application calls in between is another call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.context import Context, create_key, get_value, set_value

from spanledger import _call, _faults, _tags
from spanledger._call import Call
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers.google_genai import continued

ROUND: Final = create_key("spanledger.google-genai.call")
"""Holds a list with the `call_id` of the first request, once that has begun."""

Make = Callable[[Callable[..., Any]], Callable[..., Any]]


@_faults.guarded("join a call")
def join(call: Call) -> None:
    """A request that has begun belongs to the call that goes on here, or to the one that its token continues."""
    token = call.request.body.get("continuation_token")
    earlier = continued.get(token) if token.__class__ is str else None
    held: Any = get_value(ROUND)
    if earlier or held:
        call.row["call_id"] = earlier or held[0]
    elif held is not None:
        held.append(call.row["call_id"])


@_faults.guarded("begin a call")
def _call_of_its_own() -> Context | None:
    """The context of a call that begins here; `None` inside one, or where nothing is metered."""
    return None if _call.meter is None or get_value(ROUND) is not None else set_value(ROUND, [])


def _calling(original: Callable[..., Any]) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        context = _call_of_its_own()
        if context is None:
            return original(*args, **kwargs)
        with _tags._Steps(context):
            return original(*args, **kwargs)

    async def async_method(*args: Any, **kwargs: Any) -> Any:
        context = _call_of_its_own()
        if context is None:
            return await original(*args, **kwargs)
        with _tags._Steps(context):
            return await original(*args, **kwargs)

    return async_method if inspect.iscoroutinefunction(original) else method


def _streaming(original: Callable[..., Any]) -> Callable[..., Any]:
    """Streams are generators: their requests go out at some step, wherever that is taken.

    Each step runs in the context of the call, and so under its tags.
    """

    def stream(*args: Any, **kwargs: Any) -> Any:
        context = _call_of_its_own()
        begin = functools.partial(original, *args, **kwargs)
        return begin() if context is None else _tags._run_generator(context, _tags.nothing, begin)

    async def async_stream(*args: Any, **kwargs: Any) -> Any:
        context = _call_of_its_own()
        if context is None:
            return await original(*args, **kwargs)
        with _tags._Steps(context):
            chunks = await original(*args, **kwargs)
        if not inspect.isasyncgen(chunks):
            return chunks
        return _tags._run_async_generator(context, _tags.nothing, lambda: chunks)

    return async_stream if inspect.iscoroutinefunction(original) else stream


@_faults.guarded("leave a call")
def _outside() -> Context:
    return set_value(ROUND, None)


def _apart(original: Callable[..., Any]) -> Callable[..., Any]:
    """Runs functions of the application outside of the call that they are called for."""

    def method(*args: Any, **kwargs: Any) -> Any:
        with _tags._Steps(_outside()):
            return original(*args, **kwargs)

    async def async_method(*args: Any, **kwargs: Any) -> Any:
        with _tags._Steps(_outside()):
            return await original(*args, **kwargs)

    return async_method if inspect.iscoroutinefunction(original) else method


CALLS: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, Make]]]] = {
    "google.genai.models": (
        ("Models", "AsyncModels"),
        {"generate_content": _calling, "generate_content_stream": _streaming},
    ),
    "google.genai.chats": (("Chat", "AsyncChat"), {"send_message": _calling, "send_message_stream": _streaming}),
}
"""Where calls are made that may be several requests."""

FUNCTIONS: Final = ("get_function_response_parts", "get_function_response_parts_async")
"""What calls the application's functions, in `google.genai._extra_utils`; not every version has the second."""


def hooks() -> tuple[Hook, ...]:
    """The hooks of calls that may be several requests: one a module, each waits for its own."""
    calls = (Hook(where, functools.partial(_install, *CALLS[where]), name=where) for where in CALLS)
    return (*calls, Hook("google.genai._extra_utils", _install_functions, name="google.genai._extra_utils"))


def _install(kinds: tuple[str, ...], makers: Mapping[str, Make], module: Any, patch: Patch) -> None:
    for kind in kinds:
        for method, make in makers.items():
            patch.replace(getattr(module, kind), method, make)


def _install_functions(module: Any, patch: Patch) -> None:
    for name in FUNCTIONS:
        if hasattr(module, name):
            patch.replace(module, name, _apart)
