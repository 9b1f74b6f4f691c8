"""Each way to call x each way for it to end: one charge for each billed HTTP response, with the best number knowable.

Both are tables. Sync streams are driven through `Awaited`, so that each exit has one body. What a charge has to say is
worked out from what the server has sent by then. A gap is a strict xfail with its reason in `GAPS`: closing it fails
this suite until the entry goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from tests._answers import REPLY, WHOLE, Counts, faulty, played
from tests.providers._exit_clients import Clients
from tests.providers._exit_page import DOCS, Page
from tests.providers._exit_shapes import GPT, SHAPES, Shape

from spanledger import _faults
from spanledger._types import Charge
from spanledger.testing import ProviderServer, Reply, capture_charges, refused

SHORT = 0.3
"""Seconds after which a client gives up on a server that never answers."""


async def answered(shape: Shape, clients: Clients) -> None:
    """Takes a whole answer, or reads a stream to its end."""
    if shape.streams:
        await read(shape, clients)
        return
    answer = shape.open(clients)
    if inspect.isawaitable(answer):
        await answer


async def read(shape: Shape, clients: Clients) -> None:
    async with shape.open(clients) as stream:
        async for _ in stream:
            pass


async def take(stream: Any, count: int, then: Callable[[], None] | None = None) -> None:
    """Reads some events and leaves the iteration, or does something and goes on to wait for more."""
    taken = 0
    async for _ in stream:
        taken += 1
        if taken == count and then is None:
            break
        if taken == count and then is not None:
            then()


async def broken_off(shape: Shape, clients: Clients) -> None:
    opening = shape.open(clients)
    stream = await opening.__aenter__()
    await take(stream, shape.events)
    del stream, opening
    await settled()


async def closed(shape: Shape, clients: Clients) -> None:
    stream = await shape.open(clients).__aenter__()
    await take(stream, shape.events)
    ended = getattr(stream, "close", None) or stream.aclose
    result = ended()
    if inspect.isawaitable(result):
        await result


async def left(shape: Shape, clients: Clients) -> None:
    async with shape.open(clients) as stream:
        await take(stream, shape.events)


async def collected(shape: Shape, clients: Clients) -> None:
    opening = shape.open(clients)
    stream = await opening.__aenter__()
    del stream, opening
    await settled()


async def cancelled(shape: Shape, clients: Clients) -> None:
    """The server holds the rest of the stream back; the task that waits for it is cancelled."""
    waits = asyncio.Event()

    async def reading() -> None:
        async with shape.open(clients) as stream:
            await take(stream, shape.events, then=waits.set)

    task = asyncio.create_task(reading())
    await asyncio.wait_for(waits.wait(), 5)
    await asyncio.sleep(SHORT / 10)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def failing(shape: Shape, clients: Clients) -> None:
    """The SDK raises, as a rule: boto3 takes half a body for a whole one, and a raw response is never parsed."""
    try:
        await answered(shape, clients)
    except Exception as error:
        raise SdkFailedError from error


class SdkFailedError(Exception):
    """The application saw an error of its SDK."""


async def settled() -> None:
    """Lets finalisers run: those of Python, and those that an event loop runs for async generators."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)


class Known(NamedTuple):
    """What a charge has to say of its usage: where it is from, how sure its cost is, and each count."""

    usage_source: str | None
    cost_status: str
    counts: Counts = Counts()


def everything(_: Shape) -> Known:
    return Known("reported", "exact", WHOLE)


def heard(shape: Shape) -> Known:
    """What a stream has said until it ended early."""
    return Known("partial", "partial", shape.api.heard())


def asked(shape: Shape) -> Known:
    """An answer has begun, so that the request is billed; of its text nothing was seen."""
    return Known("partial", "partial", shape.api.asked())


def started(shape: Shape) -> Known:
    """Only the first event has come: without a word, and without a usage in it, nobody knows what is billed."""
    counts = shape.api.started()
    return Known("partial", "partial", counts) if counts.input_tokens else nothing(shape)


def nothing(_: Shape) -> Known:
    """Nobody knows whether the request was taken."""
    return Known(None, "unknown")


def begun(shape: Shape) -> Known:
    """The answer breaks off: as a rule the SDK says no more than that the connection is lost."""
    return (asked if shape.early else nothing)(shape)


def free(_: Shape) -> Known:
    return Known(None, "not_billed")


class Exit(NamedTuple):
    """A way to end: what the server plays, what the application does, and what the charge has to say."""

    drive: Callable[[Shape, Clients], Awaitable[None]]
    status: str
    known: Callable[[Shape], Known]
    plays: Callable[[Shape], tuple[Reply, ...]] = lambda _: (REPLY,)
    timeout: float = 5.0
    retries: int = 2
    where: Callable[[Shape], bool] = lambda shape: shape.streams


MUTE = faulty("hold", 0)
HOLDS = faulty("hold")
"""Nothing more comes until the application has gone: what it has read is all that was sent."""

EVERYWHERE: Callable[[Shape], bool] = lambda _: True  # noqa: E731 -- a row of the table below
ENTIRE: Callable[[Shape], bool] = lambda shape: not shape.streams  # noqa: E731 -- as above
CANCELLABLE: Callable[[Shape], bool] = lambda shape: shape.asynchronous and shape.streams  # noqa: E731 -- as above

EXITS: Mapping[str, Exit] = {
    "read to the end": Exit(answered, "ok", everything, where=EVERYWHERE),
    "429, then retried": Exit(answered, "ok", everything, played(refused(429), REPLY), where=EVERYWHERE),
    "500, then success": Exit(answered, "ok", everything, played(refused(500), REPLY), where=EVERYWHERE),
    "400": Exit(failing, "error", free, played(refused(400)), where=EVERYWHERE),
    "no answer in time": Exit(failing, "error", nothing, MUTE, SHORT, 0, where=EVERYWHERE),
    "body cut": Exit(failing, "error", begun, faulty("cut", 0), retries=0, where=ENTIRE),
    "body is no JSON": Exit(failing, "error", asked, faulty("malformed", 0), retries=0, where=ENTIRE),
    "broken off": Exit(broken_off, "aborted", heard, HOLDS),
    "closed": Exit(closed, "aborted", heard, HOLDS),
    "with left early": Exit(left, "aborted", heard, HOLDS),
    "collected unread": Exit(collected, "aborted", asked, HOLDS),
    "task cancelled": Exit(cancelled, "aborted", heard, HOLDS, where=CANCELLABLE),
    "connection cut": Exit(failing, "error", heard, faulty("cut")),
    "stalls": Exit(failing, "error", heard, HOLDS, SHORT, 0),
    "error event": Exit(failing, "error", heard, faulty("error")),
    "error event first": Exit(failing, "error", free, faulty("error", 0), retries=0),
    "error event second": Exit(failing, "error", started, faulty("error", 1), retries=0),
}

GAPS: Mapping[tuple[str, str], str] = {}
"""What is not right yet, by shape and exit, and why."""


def _cases() -> Iterator[Any]:
    for shape_name, shape in SHAPES.items():
        for exit_name, exit_ in EXITS.items():
            if exit_.where(shape):
                gap = GAPS.get((shape_name, exit_name))
                marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
                yield pytest.param(shape_name, exit_name, id=f"{shape_name}: {exit_name}", marks=marks)


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """All that is there already is left out of every collection: it is about the few objects of a test."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    page = Page(Path(__file__).parents[2] / "docs" / "reference" / "exits.md")
    yield page
    if os.environ.get(DOCS):
        page.write({name: shape.streams for name, shape in SHAPES.items()}, EXITS)


@pytest.fixture
def charges() -> Iterator[list[Charge]]:
    """The charges of the test. A fault of ours fails it where it is called, so that a gap may be expected."""
    _faults.reset()
    with capture_charges() as made:
        yield made


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running, running.environment():
        yield running


@pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning",  # google-genai, where aiohttp is installed
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize(("shape_name", "exit_name"), list(_cases()))
async def test_one_charge_for_each_billed_response(
    shape_name: str, exit_name: str, server: ProviderServer, charges: list[Charge], page: Page
) -> None:
    shape, exit_ = SHAPES[shape_name], EXITS[exit_name]
    server.reply(*exit_.plays(shape))
    await driven(shape, exit_)
    known = exit_.known(shape)
    answers = [exchange for exchange in server.exchanges if exchange.reply.status == 200]
    billed = [charge for charge in charges if charge.cost_status != "not_billed"]
    assert _faults.snapshot() == {"lost": 0, "faults": {}}
    assert len(billed) == (0 if known.cost_status == "not_billed" else len(answers))
    assert len(charges) == (1 if server.exchanges else 0)
    for charge in charges:
        assert charge.status == exit_.status
        check_usage(charge, known)
    page.check(shape_name, exit_name, charges)


def check_usage(charge: Charge, known: Known) -> None:
    assert Counts(charge.input_tokens, charge.cache_read_tokens, charge.output_tokens) == known.counts
    assert (charge.usage_source, charge.cost_status) == (known.usage_source, known.cost_status)
    assert (charge.list_cost is not None) == (known.cost_status != "unknown")


async def test_a_stream_that_is_left_as_an_older_error_is_handled_was_not_failed_by_it(
    server: ProviderServer, charges: list[Charge]
) -> None:
    server.reply(refused(400), REPLY)
    clients = Clients(30, 0)
    try:
        clients.openai.chat.completions.create(**GPT)
    except openai.BadRequestError:
        clients.openai.chat.completions.create(**GPT, stream=True).close()
    await clients.close()
    assert [charge.status for charge in charges] == ["error", "aborted"]


async def driven(shape: Shape, exit_: Exit) -> None:
    clients = Clients(exit_.timeout, exit_.retries)
    try:
        with contextlib.suppress(SdkFailedError):
            await exit_.drive(shape, clients)
    finally:
        await settled()
        await clients.close()
        await settled()
