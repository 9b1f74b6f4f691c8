"""Tags, workflow and trace of a call are those of where it is made: in threads, tasks, generators and callbacks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import spanledger
from spanledger import _threads
from spanledger.testing import ProviderServer, capture_charges


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def charges() -> Iterator[list[spanledger.Charge]]:
    with capture_charges() as found:
        yield found


@pytest.fixture
def call(server: ProviderServer, charges: list[spanledger.Charge]) -> Iterator[Callable[..., Any]]:
    """Makes a call of a real SDK, and gives whose it was."""
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any") as client:

        def make(*_: Any) -> tuple[Any, ...]:
            client.responses.create(model="gpt-5-mini", input="hello")
            row = charges[-1].row
            return row.get("customer"), row.get("workflow_id"), row.get("trace_id")

        yield make


@pytest.fixture
async def acall(server: ProviderServer, charges: list[spanledger.Charge]) -> AsyncIterator[Callable[..., Any]]:
    async with openai.AsyncOpenAI(base_url=server.base_url + "/v1", api_key="any") as client:

        async def make(*_: Any) -> Any:
            await client.responses.create(model="gpt-5-mini", input="hello")
            return charges[-1].row.get("customer")

        yield make


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_a_carried_function_in_a_thread(call: Callable[..., Any]) -> None:
    with spanledger.workflow("agent", customer="acme") as run:
        work = spanledger.carry(call)
    assert in_thread(work) == ("acme", run.workflow_id, run.trace_id)
    assert in_thread(call) == (None, None, None)


def test_an_executor_carries_each_submission(call: Callable[..., Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        executor = spanledger.carry(pool)
        found = []
        for customer in ("acme", "zenith", None):
            with spanledger.tag(customer=customer):
                found += [executor.submit(call).result()[0], *(row[0] for row in executor.map(call, [1]))]
        assert found == ["acme", "acme", "zenith", "zenith", None, None]
        executor.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(call)


async def test_run_in_executor(call: Callable[..., Any]) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        with spanledger.tag(customer="acme"):
            first = await loop.run_in_executor(pool, spanledger.carry(call))
        assert (first[0], (await loop.run_in_executor(pool, call))[0]) == ("acme", None)


@pytest.fixture
def switched() -> Iterator[None]:
    _threads.switch(on=True)
    yield
    _threads.switch(on=False)


@pytest.mark.usefixtures("switched")
async def test_with_the_switch_threads_and_pools_carry_by_themselves(call: Callable[..., Any]) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        for customer in ("acme", "zenith", None):
            with spanledger.tag(customer=customer):
                assert in_thread(call)[0] == customer
                assert pool.submit(call).result()[0] == customer
                assert [row[0] for row in pool.map(call, [1, 2])] == [customer] * 2
                assert (await loop.run_in_executor(pool, call))[0] == customer


def test_the_switch_is_a_setting_and_leaves_nothing_behind(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    monkeypatch.setenv("SPANLEDGER_THREADS", "1")
    try:
        spanledger.configure(ledger=tmp_path)
        assert threading.Thread.start is not start
        with spanledger.tag(customer="acme"):
            assert in_thread(spanledger.current_tags) == {"customer": "acme"}
    finally:
        spanledger.uninstrument()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)


def test_threads_of_a_subclass_and_their_errors_are_as_before() -> None:
    class Own(threading.Thread):
        found: Any = None

        def run(self) -> None:
            self.found = spanledger.current_tags()

    _threads.switch(on=True)
    try:
        with spanledger.tag(customer="acme"), ThreadPoolExecutor(1) as pool:
            thread = Own(name="own")
            thread.start()
            thread.join()
            with pytest.raises(ZeroDivisionError):
                pool.submit(lambda: 1 // 0).result()
            with pytest.raises(RuntimeError, match="once"):
                thread.start()
    finally:
        _threads.switch(on=False)
    assert thread.found == {"customer": "acme"}


async def test_tasks_groups_and_to_thread(call: Callable[..., Any], acall: Callable[..., Any]) -> None:
    async def one(customer: str) -> list[Any]:
        with spanledger.tag(customer=customer):
            await asyncio.sleep(0)
            task = asyncio.create_task(acall())
            return [await acall(), await task, (await asyncio.to_thread(call))[0]]

    names = ["a", "b", "c", "d"]
    assert await asyncio.gather(*map(one, names)) == [[name] * 3 for name in names]
    assert await acall() is None


async def test_callbacks(call: Callable[..., Any]) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    other: asyncio.Future[Any] = loop.create_future()
    with spanledger.tag(customer="acme"):
        loop.call_soon(lambda: done.set_result(call()))
        done.add_done_callback(lambda _: other.set_result(call()))
    assert ((await done)[0], (await other)[0]) == ("acme", "acme")
    assert call()[0] is None


def test_a_copied_context_of_the_standard_library_carries(call: Callable[..., Any]) -> None:
    with spanledger.tag(customer="acme"):
        copied = contextvars.copy_context()
    assert copied.run(call)[0] == "acme"


def test_a_generator_neither_leaks_its_tags_nor_takes_its_consumers(call: Callable[..., Any]) -> None:
    @spanledger.tag(customer="inner")
    def produce() -> Iterator[Any]:
        yield call()[0]
        with spanledger.tag(customer="block"):
            yield call()[0]
            yield call()[0]
        yield call()[0]

    steps = produce()
    found = []
    for outer in ("x", None, "y"):
        with spanledger.tag(customer=outer):
            found.append((next(steps), call()[0]))
    assert found == [("inner", "x"), ("block", None), ("block", "y")]
    assert in_thread(lambda: next(steps)) == "inner"
    steps.close()
    assert call()[0] is None


async def test_an_async_generator_does_not_either(acall: Callable[..., Any]) -> None:
    @spanledger.tag(customer="inner")
    async def produce() -> AsyncIterator[Any]:
        while True:
            yield await acall()

    steps = produce()

    async def elsewhere() -> Any:
        with spanledger.tag(customer="task"):
            return await anext(steps), await acall()

    with spanledger.tag(customer="outer"):
        assert (await anext(steps), await acall()) == ("inner", "outer")
    assert await asyncio.create_task(elsewhere()) == ("inner", "task")
    await steps.aclose()
    assert await acall() is None


def test_a_generator_broken_off_in_another_context_leaves_nothing(call: Callable[..., Any]) -> None:
    @spanledger.workflow("agent", customer="inner")
    def produce() -> Iterator[Any]:
        yield call()[0]
        yield call()[0]

    steps = produce()
    assert contextvars.copy_context().run(next, steps) == "inner"
    steps.close()
    assert call() == (None, None, None)


def test_a_stream_belongs_to_whoever_began_it(server: ProviderServer, charges: list[spanledger.Charge]) -> None:
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any") as client:
        with spanledger.tag(customer="began"):
            stream = client.responses.create(model="gpt-5-mini", input="hello", stream=True)
        with spanledger.tag(customer="reads"):
            in_thread(lambda: list(stream))
    assert [charge.customer for charge in charges] == ["began"]


async def by_a_task(call: Callable[..., Any]) -> Any:
    async def work() -> Any:
        await asyncio.sleep(0)
        return call()

    return await asyncio.create_task(work())


async def by_a_task_group(call: Callable[..., Any]) -> Any:
    if not hasattr(asyncio, "TaskGroup"):
        pytest.skip("task groups came with Python 3.11")

    async def work() -> Any:
        await asyncio.sleep(0)
        return call()

    async with asyncio.TaskGroup() as group:
        return await group.create_task(work())


async def by_to_thread(call: Callable[..., Any]) -> Any:
    return await asyncio.to_thread(call)


async def by_a_callback(call: Callable[..., Any]) -> Any:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: done.set_result(call()))
    return await done


async def by_a_thread(call: Callable[..., Any]) -> Any:
    return in_thread(call)


async def by_a_pool(call: Callable[..., Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


async def by_the_map_of_a_pool(call: Callable[..., Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return next(pool.map(call, [1]))


async def by_run_in_executor(call: Callable[..., Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, call)


BY_ITSELF = [by_a_task, by_a_task_group, by_to_thread, by_a_callback]
BY_CARRYING = [by_a_thread, by_a_pool, by_the_map_of_a_pool, by_run_in_executor]


@pytest.mark.parametrize("way", [*BY_ITSELF, *BY_CARRYING])
@pytest.mark.parametrize("how", ["carry", "switch"])
async def test_customer_run_and_trace_come_along(
    way: Callable[..., Any], how: str, call: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    carried = how == "carry" and way in BY_CARRYING
    if how == "switch":
        request.getfixturevalue("switched")
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span, spanledger.workflow("agent", customer="acme") as run:
        found = await way(spanledger.carry(call) if carried else call)
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert found == ("acme", run.workflow_id, trace_id)
    assert await way(call) == (None, None, None)


@pytest.mark.parametrize("way", BY_CARRYING)
async def test_what_is_not_carried_does_not_come_along(way: Callable[..., Any], call: Callable[..., Any]) -> None:
    with spanledger.workflow("agent", customer="acme"):
        assert await way(call) == (None, None, None)


async def test_a_generator_keeps_its_run_and_trace_wherever_it_is_resumed(call: Callable[..., Any]) -> None:
    @spanledger.workflow("agent", customer="acme")
    def steps() -> Iterator[Any]:
        while True:
            yield call()

    @spanledger.workflow("agent", customer="acme")
    async def later() -> AsyncIterator[Any]:
        while True:
            yield call()

    for produced in (steps(), later()):
        found = []
        for customer in ("x", "y"):
            with spanledger.workflow("consumer", customer=customer) as outer:
                step = anext(produced) if hasattr(produced, "__anext__") else asyncio.to_thread(next, produced)
                found.append(await asyncio.ensure_future(step))
                assert call() == (customer, outer.workflow_id, outer.trace_id)
        assert found[0] == found[1]
        assert found[0][0] == "acme"
        assert outer.workflow_id not in found[0]
        await produced.aclose() if hasattr(produced, "aclose") else produced.close()
    assert call() == (None, None, None)


def test_the_trace_is_carried_with_the_tags(call: Callable[..., Any]) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("outer") as span, spanledger.tag(customer="acme"):
        work = spanledger.carry(trace.get_current_span)
    assert in_thread(work) is span
    assert in_thread(call)[0] is None
