"""The forms in which an SDK can make one call: plain, raw, and through its helpers.

The harness that replays recordings has the raw and the helper form of few methods, and makes the plain call where it
has none. Here are the others that the SDKs have; a call without the form that was asked for is not made at all. boto3
has neither: it gives every answer with its `ResponseMetadata`, and the body of `invoke_model` is raw always.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple


class Planned(NamedTuple):
    """A call that the harness is about to make: it reads what `function(**arguments)` gives as its `kind` says."""

    function: Any
    arguments: Mapping[str, Any]
    kind: str
    made_up: bool


Form = Callable[[Planned], "Planned | None"]


class Forms:
    """Stands in for the harness's `plan`: calls in one form only. `without` are the cases that have no such form."""

    def __init__(self, plan: Callable[..., Any], style: str) -> None:
        self._plan = plan
        self._style = style
        self.without: set[str] = set()

    def __call__(self, case: Mapping[str, Any], *arguments: Any) -> Planned | None:
        """The call of a case, `None` where no SDK has the method or the method no such form."""
        planned = self._plan(case, *arguments)
        if planned is None:
            return None
        formed = in_form(self._style, Planned(*planned))
        if formed is None:
            self.without.add(case["id"])
        return formed


def in_form(style: str, planned: Planned) -> Planned | None:
    """The call in a form: as the harness has it, else as one of the tables here does."""
    if style == "create" or planned.kind.startswith(f"{style}_") or planned.kind.endswith(f"_{style}"):
        return planned
    return next((formed for form in FORMS[style] if (formed := form(planned)) is not None), None)


def _raw_gemini(planned: Planned) -> Planned | None:
    """`should_return_http_response`: the answer of `generate_content` is its HTTP response, which nobody parses.

    google-genai refuses that for streams.
    """
    if planned.function.__name__ != "generate_content":
        return None
    config = planned.arguments["config"].model_copy(update={"should_return_http_response": True})
    return planned._replace(arguments={**planned.arguments, "config": config})


def _raw_resource(planned: Planned) -> Planned | None:
    """`with_raw_response` of the resource, such as the interactions of google-genai."""
    raw = getattr(getattr(planned.function, "__self__", None), "with_raw_response", None)
    if raw is None:
        return None
    return planned._replace(function=getattr(raw, planned.function.__name__), kind=f"raw_{planned.kind}")


def _chat(planned: Planned) -> Planned | None:
    """A chat of google-genai, whose history is all but the last content."""
    sends = CHATTING.get(planned.function.__name__)
    if sends is None or planned.made_up:
        return None
    from google.genai.chats import AsyncChats, Chats

    models = planned.function.__self__
    chats = (AsyncChats if type(models).__name__.startswith("Async") else Chats)(models)
    *history, last = planned.arguments["contents"]
    chat = chats.create(model=planned.arguments["model"], config=planned.arguments["config"], history=history)
    return planned._replace(function=getattr(chat, sends), arguments={"message": last.parts})


def _parse(planned: Planned) -> Planned | None:
    """The `parse` beside a `create`, with those arguments that it knows."""
    parse = getattr(getattr(planned.function, "__self__", None), "parse", None)
    if planned.kind != "object" or planned.function.__name__ != "create" or parse is None:
        return None
    known = inspect.signature(parse).parameters
    return planned._replace(
        function=parse, arguments={name: value for name, value in planned.arguments.items() if name in known}
    )


CHATTING: Final[Mapping[str, str]] = {
    "generate_content": "send_message",
    "generate_content_stream": "send_message_stream",
}
"""Methods of google-genai, and what a chat calls them."""

FORMS: Final[Mapping[str, tuple[Form, ...]]] = {"raw": (_raw_gemini, _raw_resource), "helper": (_parse, _chat)}
"""By style, the forms that the harness does not have."""
