"""Context into threads, which the standard library does not carry: one switch, `instrument(threads=True)`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any, Final

from opentelemetry.context import Context, get_current

from spanledger._tags import attached
from spanledger.providers._hooks import Patch

patch: Final = Patch()


def switch(*, on: bool) -> None:
    """Makes `Thread.start` and `ThreadPoolExecutor.submit` carry the context of whoever calls them, or puts them back.

    `map` and `run_in_executor` go through `submit`. A task gets the context of its own `submit`, never that of the
    thread that it happens to run in.
    """
    patch.undo()
    if on:
        patch.replace(Thread, "start", _starting)
        patch.replace(ThreadPoolExecutor, "submit", _submitting)


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(thread: Any, *args: Any, **kwargs: Any) -> Any:
        context, work = get_current(), thread.run

        def run() -> None:
            vars(thread).pop("run", None)  # it refers to this function, and so the thread to itself
            _run(context, work)

        thread.run = run
        return original(thread, *args, **kwargs)

    return start


def _submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(executor: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return original(executor, _run, get_current(), function, *args, **kwargs)

    return submit


def _run(context: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    with attached(context):
        return function(*args, **kwargs)
