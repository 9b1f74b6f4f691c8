"""Live interactions of google-genai: a websocket on which an interaction that was begun before goes on, and may end.

Its end tells the usage of all of it, and so completes the charge of its begin. Leaving the websocket before does not
end the interaction: the next connection, or `interactions.get`, completes it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from spanledger import _call, _faults, _seen
from spanledger.providers._google import open_call
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Api, Body, Reading, Request, State, keep
from spanledger.providers._stainless import _verify
from spanledger.providers.google_genai import read_interaction

if TYPE_CHECKING:
    from spanledger._call import Tally

OVER: Final[Mapping[str, str]] = {
    "interaction.completed": "completed",
    "interaction.cancelled": "cancelled",
    "interaction.canceled": "cancelled",
}
"""The events that end an interaction, and its status then."""


def fold_end(state: State, event: Body) -> None:
    """The last event of an interaction."""
    keep(state, event, "id", "usage")
    state["status"] = OVER[event["event_type"]]


def ended(tally: Tally) -> Iterable[Reading]:
    """The reading of an interaction that is over: in the place of that of its begin, where this process saw that."""
    origin = _seen.unfinished.pop(str(tally.state.get("id")))
    if origin is None and "usage" not in tally.state:
        return ()
    return (read_interaction(tally.state, tally.call.request)._replace(origin=origin, usage_source="reported"),)


LIVE: Final = Api("interactions.connect", "generate_content", fold_end, read_interaction, lookup=True, each=ended)

clients: Final[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()
"""The API client of each connection, which does not know it."""


def hooks() -> tuple[Hook, ...]:
    """The hook of live interactions, for `instrument`."""
    return (Hook("google.genai._interactions_websocket", _install, name="google.genai.interactions.connect"),)


def _install(module: Any, patch: Patch) -> None:
    _verify(module.InteractionWebSocketConnection.__init__, "interaction_id")
    patch.replace(module.InteractionWebSocketConnectionContext, "_open", _opening)
    patch.replace(module.InteractionWebSocketConnection, "receive", _receiving)


def _opening(original: Callable[..., Any]) -> Callable[..., Any]:
    async def opening(context: Any, *args: Any, **kwargs: Any) -> Any:
        connection = await original(context, *args, **kwargs)
        _met(connection, context)
        return connection

    return opening


@_faults.guarded("meet a live interaction")
def _met(connection: Any, context: Any) -> None:
    clients[connection] = context._api_client


def _receiving(original: Callable[..., Any]) -> Callable[..., Any]:
    async def receive(connection: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(original(connection, *args, **kwargs)) as events:
            async for event in events:
                _saw(connection, event)
                yield event

    return receive


@_faults.guarded("observe a live interaction")
def _saw(connection: Any, event: Any) -> None:
    """Takes an event, which the SDK gives as an object, or as it came where it knows none for it."""
    kind = event.get("event_type") if isinstance(event, dict) else getattr(event, "event_type", None)
    client = clients.get(connection)
    if kind not in OVER or client is None or _call.meter is None:
        return
    call = open_call(client, LIVE, Request(path=f"interactions/{connection.id}"))
    if call is None:
        return
    body = event if isinstance(event, dict) else event.model_dump(mode="json", by_alias=True, exclude_none=True)
    with call:
        call.tally().observe({**body, "id": connection.id})
