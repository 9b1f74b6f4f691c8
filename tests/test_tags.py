"""`tag`: who a call is for, as context manager and as decorator of any kind of function."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

import spanledger
from spanledger import _faults, _tags
from spanledger._tags import current_tags, tag


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    _faults.reset()
    yield
    _tags.base.clear()
    assert current_tags() == {}


def test_nested_tags_merge_and_the_inner_one_wins() -> None:
    _tags.base["environment"] = "prod"
    with tag(team="growth", feature="a"):
        with tag(feature="b", user=7, gone=None):
            assert current_tags() == {"environment": "prod", "team": "growth", "feature": "b", "user_id": "7"}
        assert current_tags()["feature"] == "a"
    assert current_tags() == {"environment": "prod"}


def test_one_tag_object_can_be_entered_again_and_within_itself() -> None:
    here = tag(team="growth")
    for _ in range(2):
        with here, here:
            assert current_tags() == {"team": "growth"}
        assert current_tags() == {}


def test_an_exception_ends_the_block() -> None:
    with pytest.raises(KeyError), tag(team="growth"):
        raise KeyError
    assert current_tags() == {}


async def test_async_with() -> None:
    async with tag(team="growth"), spanledger.workflow("agent"):
        assert current_tags() == {"team": "growth"}


def test_values_come_from_the_arguments() -> None:
    @tag(feature="f", customer=lambda doc: doc["owner"], size=lambda size, doc: f"{size}/{len(doc)}", user=lambda x: x)
    def work(size: int, doc: Any = None) -> tuple[Any, ...]:
        return size, doc, current_tags()

    found = work(3, doc={"owner": "acme"})
    assert found[:2] == (3, {"owner": "acme"})
    assert found[2] == {"feature": "f", "customer": "acme", "size": "3/1", "user_id": "3"}


def test_a_value_that_fails_leaves_its_tag_out_and_the_call_alone() -> None:
    @tag(feature="f", customer=lambda doc: doc.missing)
    def work(doc: Any) -> dict[str, str]:
        return {**current_tags(), "doc": doc}

    assert work("x") == {"feature": "f", "doc": "x"}
    assert "evaluate a tag: AttributeError" in _faults.counts


def test_a_function_that_nobody_calls_is_no_tag() -> None:
    with tag(team="growth", customer=lambda doc: doc):
        assert current_tags() == {"team": "growth"}
    assert _faults.last["evaluate a tag: TypeError"] == "customer is a function, which only @tag on a function can call"


def test_a_call_with_wrong_arguments_fails_as_before() -> None:
    @tag(customer=lambda doc: doc)
    def work(doc: Any) -> Any:
        return doc

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'doc'"):
        work()  # type: ignore[call-arg]


class Service:
    @tag(customer=lambda self: self.name)
    def method(self) -> dict[str, str]:
        return current_tags()

    @classmethod
    @tag(feature="class")
    def of_class(cls) -> dict[str, str]:
        return current_tags()

    @staticmethod
    @tag(feature="static")
    def static() -> dict[str, str]:
        return current_tags()

    name = "acme"


def test_methods_of_every_kind() -> None:
    assert Service().method() == {"customer": "acme"}
    assert Service.of_class() == {"feature": "class"}
    assert Service().static() == {"feature": "static"}


def test_a_decorated_function_keeps_its_kind_name_and_signature() -> None:
    @tag(a=1)
    async def coroutine(x: int) -> int:
        """Says."""
        return x

    @tag(a=1)
    def generator(x: int) -> Iterator[int]:
        yield x

    @tag(a=1)
    async def async_generator(x: int) -> AsyncIterator[int]:
        yield x

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert (coroutine.__name__, coroutine.__doc__) == ("coroutine", "Says.")
    assert str(inspect.signature(generator)) == "(x: 'int') -> 'Iterator[int]'"


def test_a_generator_is_sent_to_thrown_into_and_returns_as_before() -> None:
    @tag(team="inner")
    def work() -> Generator[Any, Any, str]:
        got = yield current_tags()
        try:
            yield got
        except ValueError as error:
            yield str(error), current_tags()
        return "end"

    def outer() -> Generator[Any, Any, str]:
        return (yield from work())

    steps = outer()
    assert next(steps) == {"team": "inner"}
    assert steps.send("sent") == "sent"
    assert steps.throw(ValueError("thrown")) == ("thrown", {"team": "inner"})
    with pytest.raises(StopIteration, match="end"):
        next(steps)


def test_closing_a_generator_runs_its_end_under_its_tags() -> None:
    ended: list[dict[str, str]] = []

    @tag(team="inner")
    def work() -> Iterator[int]:
        try:
            yield 1
        finally:
            ended.append(current_tags())

    steps = work()
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert ended == [{"team": "inner"}]


async def test_an_async_generator_is_thrown_into_and_closed_as_before() -> None:
    ended: list[dict[str, str]] = []

    @tag(team="inner")
    async def work() -> AsyncIterator[Any]:
        try:
            yield 1
        except ValueError:
            yield "caught", current_tags()
        finally:
            ended.append(current_tags())

    steps: Any = work()
    assert await anext(steps) == 1
    assert await steps.athrow(ValueError()) == ("caught", {"team": "inner"})
    await steps.aclose()
    assert ended == [{"team": "inner"}]


class Detached:
    """An object of the application's that cannot say what it is any more, as those of an ORM after their session."""

    def __str__(self) -> str:
        msg = "detached"
        raise RuntimeError(msg)


def test_a_value_that_has_no_text_leaves_its_tag_out_and_the_application_alone() -> None:
    with tag(team="growth", customer=Detached()):
        assert current_tags() == {"team": "growth"}
    with spanledger.workflow("agent", customer=Detached()), spanledger.tool("search", customer=Detached()):
        assert "customer" not in current_tags()
    charge = spanledger.meter("pinecone.query", cost="1", customer=Detached())
    assert charge.customer is None
    assert _faults.counts["evaluate a tag: RuntimeError"] == 4


def test_a_builtin_that_does_not_tell_its_parameters_gets_the_first_argument() -> None:
    @tag(customer=str)
    def work(number: int) -> tuple[int, dict[str, str]]:
        return number, current_tags()

    assert work(7) == (7, {"customer": "7"})


SHARED = {
    "tag": lambda: tag(team="growth"),
    "workflow": lambda: spanledger.workflow("agent", team="growth"),
    "tool": lambda: spanledger.tool("search", team="growth"),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_threads_that_share_one_object_leave_their_own_block(make: Any) -> None:
    shared, found = make(), []
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with shared:
            first_in.set()
            second_in.wait(10)
        found.append(current_tags())
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with shared:
            second_in.set()
            first_out.wait(10)
        found.append(current_tags())

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{}, {}]


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
async def test_tasks_that_share_one_object_leave_their_own_block(make: Any) -> None:
    shared = make()

    async def work(here: asyncio.Event, there: asyncio.Event) -> dict[str, str]:
        async with shared:
            here.set()
            await there.wait()
        return current_tags()

    one, other = asyncio.Event(), asyncio.Event()
    assert await asyncio.gather(work(one, other), work(other, one)) == [{}, {}]
