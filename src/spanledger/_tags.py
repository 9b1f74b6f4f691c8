"""Who a call is for: `tag` and `current_tags`.

Tags live under one key of the OpenTelemetry context, never in baggage: baggage is sent to whoever is called, and the
anthropic SDK sends it to its API. They are read once, when a call starts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

import wrapt
from opentelemetry.context import Context, attach, create_key, detach, get_current, set_value

from spanledger import _faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanledger._workflow import Run

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

KEY: Final = create_key("spanledger.scope")

ALIASES: Final = {"user": "user_id", "session": "session_id"}
"""Short names of the owners that have a column."""


class Scope(NamedTuple):
    """What a call inherits from where it is made: the tags in force, and the workflow run that it belongs to."""

    tags: Mapping[str, str]
    run: Run | None = None


EMPTY: Final = Scope({})
base: dict[str, str] = {}
"""The tags of the whole process, from `instrument(tags=...)`."""


received: Callable[[Context | None], Mapping[str, str]] | None = None
"""Reads tags from incoming baggage, where `baggage_in` allows some; `spanledger._baggage` sets it."""


def scope(context: Context | None = None) -> Scope:
    """The scope in force here, or in a context."""
    here: Scope = (get_current() if context is None else context).get(KEY, EMPTY)  # type: ignore[assignment]
    if received is None:
        return here
    return here._replace(tags={**received(context), **here.tags})


def tags_in(context: Context | None = None) -> Mapping[str, str]:
    """The tags of a tagged block, in any context; none outside of one."""
    tags = scope(context).tags
    return {**base, **tags} if tags else tags


LONGEST: Final = 256
"""Characters of a tag's value that are kept: a tag names an owner, it is no place for a text."""


def clean(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as text under their column's name; `None` means no tag, and so does what has no text."""
    return {
        ALIASES.get(name, name): short(text)
        for name, value in tags.items()
        if (text := value if value.__class__ is str else _text_of(name, value)) is not None
    }


@_faults.guarded("evaluate a tag")
def _text_of(name: str, value: Any) -> str | None:
    """The text of an object of the application's: its `__str__` may fail, as where it asks a database that is gone.

    A function stands where there are no arguments to call it with; as text it would be its address.
    """
    if callable(value):
        msg = f"{name} is a function, which only @tag on a function can call"
        raise TypeError(msg)
    return None if value is None else str(value)


def short(text: str) -> str:
    """The text of a tag: at most `LONGEST` characters, control characters written out as escapes."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:LONGEST])
    return text[:LONGEST]


def current_tags() -> dict[str, str]:
    """The tags that a call made here would carry: the process's, then those of each enclosing `tag`; inner ones win."""
    return {**base, **scope().tags}


def within(tags: Mapping[str, str], run: Run | None = None) -> Context:
    """The current context with tags, and a workflow run, added."""
    outer = scope()
    return set_value(KEY, Scope({**outer.tags, **tags} if tags else outer.tags, run or outer.run))


def restore(token: Any, context: Context | None = None) -> None:
    """Undoes an `attach`, also in another thread or task than it was made in, as at the end of a block in a generator.

    There, what `context` had put in force is put out of force; anything else in force there is none of its business.
    """
    variable = getattr(token, "var", None)
    if variable is None:
        detach(token)
        return
    try:
        variable.reset(token)
    except ValueError:
        if context is not None and get_current() is context:
            attach(token.old_value if isinstance(token.old_value, Context) else Context())


@contextmanager
def attached(context: Context) -> Iterator[None]:
    """Makes a context current for a block."""
    token = attach(context)
    try:
        yield
    finally:
        restore(token, context)


class Entered(Generic[T]):
    """What a context manager has to undo. Threads and tasks may share one, so each finds its own by its context."""

    def __init__(self) -> None:
        self._open: dict[int, T] = {}

    def put(self, context: Context, undo: T) -> None:
        """Keeps what undoes the entering of a context, which is in force now and nowhere else."""
        self._open[id(context)] = undo

    def take(self) -> T:
        """What is to be undone here; where the context in force is none of these, what was entered last."""
        here = self._open.pop(id(get_current()), None)
        return self._open.popitem()[1] if here is None else here


class tag:  # noqa: N801 -- read as a verb: `with tag(team="growth")`, `@tag(feature="summarize")`
    """Says who the calls made inside are for. A context manager, and a decorator of any kind of function.

    Values become text; `None` leaves the tag out. On a decorated function a value may be a callable of the function's
    own arguments, chosen by parameter name: `@tag(customer=lambda doc: doc.account_id)`. Nested tags merge, the inner
    one wins. `team`, `feature`, `customer`, `environment`, `user` and `session` have columns; every other name is kept
    in the `tags` column. Generator functions and async generator functions carry their tags while they run, not while
    their consumer does.
    """

    def __init__(self, **tags: Any) -> None:
        self._tags = tags
        self._entered: Entered[tuple[Any, Context]] = Entered()

    def __enter__(self) -> tag:
        context = within(clean(self._tags))
        self._entered.put(context, (attach(context), context))
        return self

    def __exit__(self, *exc_info: object) -> None:
        restore(*self._entered.take())

    async def __aenter__(self) -> tag:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__()

    def __call__(self, function: F) -> F:
        evaluate = evaluator(self._tags, function)
        return entering(lambda args, kwargs: (within(evaluate(args, kwargs)), nothing), function)


Arguments = tuple[Any, ...]


def evaluator(tags: Mapping[str, Any], function: Callable[..., Any]) -> Callable[[Any, Any], dict[str, str]]:
    """From a function's arguments to its tags; a callable value that fails leaves its tag out and is counted."""
    fixed = clean({name: value for name, value in tags.items() if not callable(value)})
    computed = {ALIASES.get(name, name): _picker(value) for name, value in tags.items() if callable(value)}
    if not computed:
        return lambda _args, _kwargs: fixed
    signature = inspect.signature(function)

    def evaluate(args: Arguments, kwargs: Mapping[str, Any]) -> dict[str, str]:
        arguments = _bind(signature, args, kwargs)
        return {**fixed, **clean({name: pick(arguments) for name, pick in computed.items()})}

    return _faults.guarded("evaluate tags", fixed)(evaluate)


def _bind(signature: inspect.Signature, args: Arguments, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    bound = signature.bind_partial(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _picker(value: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Calls `value` with the arguments that it names; one parameter of another name gets the first argument."""
    names = _parameters_of(value)

    def pick(arguments: Mapping[str, Any]) -> Any:
        if len(names) == 1 and names[0] not in arguments:
            return value(next(iter(arguments.values())))
        return value(*(arguments[name] for name in names))

    return _faults.guarded("evaluate a tag")(pick)


def _parameters_of(value: Callable[..., Any]) -> list[str]:
    """The names of parameters; a builtin such as `str` need not tell them, and has one."""
    try:
        return list(inspect.signature(value).parameters)
    except ValueError:
        return [""]


Leave = Callable[["BaseException | None"], None]


def nothing(error: BaseException | None) -> None:
    """Is done when nothing is to be done."""


def entering(enter: Callable[[Any, Any], tuple[Context, Leave]], function: F) -> F:
    """Decorates any kind of function: its body runs in the context that `enter` makes of its arguments.

    `enter` also gives what is to be done once the body is over, with the error that it ended in, if any.
    """
    run = _RUNNERS[_kind(function)]

    @wrapt.decorator
    def wrapper(wrapped: Any, instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
        bound = args if instance is None or inspect.isclass(instance) else (instance, *args)
        context, leave = enter(bound, kwargs)
        return run(context, leave, functools.partial(wrapped, *args, **kwargs))

    return cast("F", wrapper(function))


def _kind(function: Any) -> str:
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    return "generator" if inspect.isgeneratorfunction(function) else "function"


class _Leaving(NamedTuple):
    """Leaves when its block is over, whichever way it ends."""

    leave: Leave

    def __enter__(self) -> None:
        """Nothing is to be done yet."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.leave(error)


def _run(context: Context, leave: Leave, call: Callable[[], T]) -> T:
    with _Leaving(leave), attached(context):
        return call()


async def _run_coroutine(context: Context, leave: Leave, call: Callable[[], Any]) -> Any:
    with _Leaving(leave), attached(context):
        return await call()


class _Steps:
    """The context of a generator's own code: entered before each step, kept and left after it."""

    _context: Context | None = None
    _token: Any = None

    @_faults.guarded("remember a context")
    def __init__(self, context: Context) -> None:
        self._context = context

    @_faults.guarded("enter a step")
    def __enter__(self) -> None:
        self._token = None if self._context is None else attach(self._context)

    @_faults.guarded("leave a step")
    def __exit__(self, *exc_info: object) -> None:
        if self._token is not None:
            self._context = get_current()
            restore(self._token)


def _run_generator(
    context: Context, leave: Leave, call: Callable[[], Generator[Any, Any, Any]]
) -> Generator[Any, Any, Any]:
    """Drives a generator step by step: its context is current only while its own code runs."""
    inner, steps = call(), _Steps(context)
    resume: Callable[[Any], Any] = inner.send
    value: Any = None
    with _Leaving(leave):
        try:
            while True:
                with steps:
                    item = resume(value)
                try:
                    resume, value = inner.send, (yield item)
                except GeneratorExit:
                    with steps:
                        inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 -- thrown on, into the generator that it is meant for
                    resume, value = inner.throw, error
        except StopIteration as stop:
            return stop.value


async def _run_async_generator(
    context: Context, leave: Leave, call: Callable[[], AsyncGenerator[Any, Any]]
) -> AsyncGenerator[Any, Any]:
    """As `_run_generator`, for an async generator."""
    inner, steps = call(), _Steps(context)
    resume: Callable[[Any], Any] = inner.asend
    value: Any = None
    with _Leaving(leave):
        try:
            while True:
                with steps:
                    item = await resume(value)
                try:
                    resume, value = inner.asend, (yield item)
                except GeneratorExit:
                    with steps:
                        await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 -- thrown on, into the generator that it is meant for
                    resume, value = inner.athrow, error
        except StopAsyncIteration:
            return


_RUNNERS: Final[Mapping[str, Callable[[Context, Leave, Any], Any]]] = {
    "function": _run,
    "coroutine": _run_coroutine,
    "generator": _run_generator,
    "async generator": _run_async_generator,
}
