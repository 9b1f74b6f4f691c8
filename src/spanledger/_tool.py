"""`tool`: what an agent's tool costs, and a span of it beside the calls that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span

from spanledger._around import Around, current, opened
from spanledger._tags import within


class tool(Around["tool"]):  # noqa: N801 -- read as a verb, as `tag` and `workflow` are
    """Marks the calls made inside as those of one tool, by the tag `tool`, and opens the tool's span.

    A context manager, and a decorator of any kind of function. `call_id` is the id that the model gave this call of
    the tool, `kind` is `function`, `extension` or `datastore`; both are for the span only. Other tags are as in `tag`.
    The span is `execute_tool NAME` of OpenTelemetry's GenAI conventions, without arguments or result.
    """

    def __init__(self, name: str, *, call_id: str | None = None, kind: str = "function", **tags: Any) -> None:
        row = {"operation": "execute_tool", "name": name, "tool_type": kind, "tool_call_id": call_id}
        super().__init__(row, {"tool": name, **tags})

    def _enter(self, tags: Mapping[str, str]) -> tuple[Context, Span, tool]:
        context = within(tags) if tags else get_current()
        span = opened(self._row, context)
        return current(span, context), span, self
