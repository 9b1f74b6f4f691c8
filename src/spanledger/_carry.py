"""`carry`: work that runs elsewhere, in a thread, an executor or another process, under the tags in force here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar, overload

import wrapt
from opentelemetry.context import get_current

from spanledger._propagation import HEADER, context_of, encode
from spanledger._tags import entering, nothing, scope

F = TypeVar("F", bound=Callable[..., Any])


class Carried(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # generic in its stubs only
    """A function bound to a context; pickled, it is bound to the tags and workflow of that context."""

    def __init__(self, function: Any, wrapper: Any, header: str) -> None:
        super().__init__(function, wrapper)
        self._self_header = header

    def __reduce__(self) -> Any:
        return _arrived, (self.__wrapped__, self._self_header)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return self.__reduce__()


class Carrying(Executor):
    """An executor whose work runs under the tags of whoever submits it; all else is the executor's own."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submits a function, bound to the context in force here."""
        return self._executor.submit(carry(function), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- Executor's
        """Shuts the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


@overload
def carry(work: F) -> F: ...
@overload
def carry(work: Executor) -> Executor: ...
def carry(work: Any) -> Any:
    """The function or executor, bound to the tags, workflow and trace in force here.

    `executor.submit(carry(work), item)`, `Thread(target=carry(work))`, or `carry(executor).submit(work, item)`, which
    binds each task as it is submitted. The standard library carries context into asyncio tasks and `asyncio.to_thread`
    by itself, but not into threads, executors and `run_in_executor`. A function that is pickled, for another process,
    takes its tags and workflow along.
    """
    if isinstance(work, Executor):
        return Carrying(work)
    here = get_current()
    bound: Any = entering(lambda _args, _kwargs: (here, nothing), work)
    return Carried(work, bound._self_wrapper, encode(scope(), None))


def _arrived(function: F, header: str) -> F:
    """Binds a function to what its header says, in the process that it has come to."""
    return entering(lambda _args, _kwargs: (context_of({HEADER: header}, None), nothing), function)
