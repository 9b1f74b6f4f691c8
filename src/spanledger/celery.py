"""Tags and workflow from whoever sends a Celery task to the worker that runs it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from opentelemetry.context import attach

from spanledger import _faults
from spanledger._propagation import HEADER, TRACEPARENT, context_of, inject, names_of
from spanledger._tags import restore
from spanledger._types import OWNERS

UID: Final = "spanledger"
_sent: frozenset[str] = names_of(OWNERS)
_tokens: Final[dict[str, Any]] = {}


def connect(*, tags: Iterable[str] = OWNERS) -> None:
    """From now on tasks carry the tags named by `tags`: call it where tasks are sent, and in the worker.

    A task's header names them, and the worker takes no others. Eager tasks need nothing: they run where they are sent.
    """
    global _sent  # noqa: PLW0603 -- Celery's signals are as global
    signals = _signals()
    _sent = names_of(tags)
    signals.before_task_publish.connect(_publish, dispatch_uid=UID)
    signals.task_prerun.connect(_begin, dispatch_uid=UID)
    signals.task_postrun.connect(_end, dispatch_uid=UID)


def disconnect() -> None:
    """Undoes `connect`."""
    signals = _signals()
    signals.before_task_publish.disconnect(dispatch_uid=UID)
    signals.task_prerun.disconnect(dispatch_uid=UID)
    signals.task_postrun.disconnect(dispatch_uid=UID)


def _signals() -> Any:
    """Celery has no types."""
    return import_module("celery.signals")


@_faults.guarded("give a task its tags")
def _publish(headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict):
        inject(headers, tags=_sent)


@_faults.guarded("enter the tags of a task")
def _begin(task_id: str, task: Any, **_: Any) -> None:
    request = task.request
    if request.is_eager:
        return
    headers = {name: value for name in (HEADER, TRACEPARENT) if (value := request.get(name))}
    _tokens[task_id] = attach(context_of(headers, _sent))


@_faults.guarded("leave the tags of a task")
def _end(task_id: str, **_: Any) -> None:
    token = _tokens.pop(task_id, None)
    if token is not None:
        restore(token)
