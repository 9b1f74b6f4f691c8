"""Tags and workflow across processes and services: headers, middleware, Celery, fork and spawn."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

import spanledger
from spanledger import _faults, _propagation, asgi, celery, wsgi
from spanledger._propagation import HEADER, LONGEST_HEADER, decode, encode
from spanledger._tags import Scope, clean, scope
from spanledger.errors import ConfigurationError


def whose() -> tuple[dict[str, str], str | None, str | None]:
    """The tags, workflow and trace in force here."""
    run = scope().run
    return dict(scope().tags), run and run.workflow_id, run and run.trace_id


def test_what_is_injected_is_extracted() -> None:
    with spanledger.workflow("agent", team="growth", customer="Åcme, Inc. = 50%", secret="no") as run:
        headers = spanledger.inject({"accept": "any"})
    assert "no" not in decode(headers[HEADER]).values()
    with spanledger.tag(feature="local"), spanledger.extract(headers):
        assert whose() == (
            {"feature": "local", "team": "growth", "customer": "Åcme, Inc. = 50%"},
            run.workflow_id,
            run.trace_id,
        )
        assert f"{trace.get_current_span().get_span_context().trace_id:032x}" == run.trace_id
    assert whose() == ({}, None, None)


def test_a_step_elsewhere_is_a_step_of_the_same_run() -> None:
    with spanledger.workflow("agent"), spanledger.workflow("search") as inner:
        headers = spanledger.inject({})
    with spanledger.extract(headers), spanledger.workflow("rank") as far:
        assert (far.workflow, far.workflow_id) == ("agent", inner.workflow_id)
        assert scope().tags == {"step": "search/rank"}
        far.add(3 * 10**15)
        far_parent = scope().run.parent  # type: ignore[union-attr]
        assert (far_parent.cost, far.cost) == (3, 3)


def test_only_allowed_tags_pass_in_either_direction() -> None:
    with spanledger.tag(team="a", user="b", ticket="c"):
        assert decode(spanledger.inject({})[HEADER]) == {"team": "a", "user_id": "b"}
        headers = spanledger.inject({}, tags=["user", "ticket"])
    with spanledger.extract(headers, tags=["ticket", "team"]):
        assert scope().tags == {"ticket": "c"}
    with spanledger.extract(headers, tags=["user"]):
        assert scope().tags == {"user_id": "b"}
    with pytest.raises(ConfigurationError, match=r"\['team'\]"):
        spanledger.extract({}, tags="team")


def test_without_anything_to_say_there_is_no_header() -> None:
    assert spanledger.inject({}) == {}


@pytest.mark.parametrize(
    "headers", [{"SPANLEDGER": "team=a"}, [("Spanledger", "team=a")], [(b"spanledger", b"team=a")]]
)
def test_headers_come_in_many_forms(headers: Any) -> None:
    with spanledger.extract(headers):
        assert scope().tags == {"team": "a"}


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("user", "session")
)


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=12))
def test_a_header_says_what_it_was_given(given: dict[str, str]) -> None:
    tags = clean(given)
    text = encode(Scope(tags), None)
    assert len(text) <= LONGEST_HEADER
    assert text.isascii()
    found = decode(text)
    assert found.items() <= tags.items()
    if sum(len(name) + 12 * len(value) + 2 for name, value in tags.items()) < LONGEST_HEADER:
        assert found == tags


def test_what_does_not_fit_is_left_out() -> None:
    text = encode(
        Scope({"long": "x" * 257, "bad name": "x", "a": "1", **{f"k{n}": "y" * 200 for n in range(50)}}), None
    )
    assert len(text) <= LONGEST_HEADER
    assert {"a", "k0"} <= decode(text).keys()
    assert not {"long", "bad name"} & decode(text).keys()
    assert decode("a=1," * 2000) == {}


@given(st.text() | st.sampled_from(["team=%ff", "a", "=", "team=a,,b=c", ".in=x,.workflow=y,.id=z", "traceparent"]))
def test_a_hostile_header_is_read_in_peace(text: str) -> None:
    with spanledger.extract({HEADER: text, "traceparent": text}):
        assert scope().run is None


@pytest.mark.parametrize(("headers", "faults"), [(None, 0), ("spanledger: team=a", 1), (7, 1), ([("a",)], 1)])
def test_headers_that_are_none_are_as_if_there_were_none(headers: Any, faults: int) -> None:
    _faults.reset()
    with spanledger.tag(team="growth"), spanledger.extract(headers):
        assert spanledger.current_tags() == {"team": "growth"}
    assert sum(_faults.counts.values()) == faults
    _faults.reset()


async def test_asgi() -> None:
    seen: list[Any] = []

    async def app(*_: Any) -> None:
        await asyncio.sleep(0)
        seen.append(whose()[0])

    middleware = asgi.Middleware(app, tags=["customer"])
    headers = [(b"spanledger", b"customer=acme,team=growth")]
    await asyncio.gather(
        middleware({"type": "http", "headers": headers}, None, None),
        middleware({"type": "http", "headers": []}, None, None),
        middleware({"type": "lifespan"}, None, None),
        asgi.Middleware(app)({"type": "websocket", "headers": headers}, None, None),
    )
    assert seen == [{"customer": "acme"}, {}, {}, {}]
    assert whose()[0] == {}


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class Served(list[Any]):
    """Answers a generator, and notes whose each of its pieces is."""

    def __call__(self, _: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        self.append(whose()[0])
        return self.pieces()

    def pieces(self) -> Iterator[bytes]:
        try:
            for piece in (b"one", b"two"):
                self.append(whose()[0])
                yield piece
        finally:
            self.append(whose()[0])


def test_wsgi_over_http() -> None:
    app = Served()
    with make_server("127.0.0.1", 0, wsgi.Middleware(app, tags=["customer"]), WSGIServer, Quiet) as http:
        thread = threading.Thread(target=http.handle_request)
        thread.start()
        connection = HTTPConnection("127.0.0.1", http.server_port)
        connection.request("GET", "/", headers={"spanledger": "customer=acme,team=growth"})
        assert connection.getresponse().read() == b"onetwo"
        connection.close()
        thread.join()
    assert app == [{"customer": "acme"}] * 4


def test_a_wsgi_body_that_is_broken_off_leaves_nothing() -> None:
    app = Served()
    body = wsgi.Middleware(app, tags=["customer"])({"HTTP_SPANLEDGER": "customer=acme"}, lambda *_: None)
    assert next(iter(body)) == b"one"
    assert whose()[0] == {}
    body.close()  # type: ignore[attr-defined]
    assert app[-1] == {"customer": "acme"}
    assert wsgi.Middleware(lambda *_: [b"whole"])({}, None) == [b"whole"]


def test_a_carried_function_takes_its_tags_through_pickle() -> None:
    with spanledger.workflow("agent", customer="acme", ticket="7") as run:
        carried = pickle.loads(pickle.dumps(spanledger.carry(whose)))  # noqa: S301 -- our own
    assert carried() == ({"customer": "acme", "ticket": "7"}, run.workflow_id, run.trace_id)
    assert whose()[0] == {}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = []
        for customer in ("acme", "zenith"):
            with spanledger.workflow("agent", customer=customer) as run:
                there = pool.submit(spanledger.carry(whose)).result()
                found.append(there == ({"customer": customer}, run.workflow_id, run.trace_id))
        assert found == [True, True]


def tell(queue: Any) -> None:
    queue.put(whose())


def test_a_forked_process_has_the_tags_of_its_begin() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with spanledger.tag(customer="acme"):
        process = context.Process(target=tell, args=(queue,))
        process.start()
    process.join()
    assert queue.get()[0] == {"customer": "acme"}


@pytest.fixture
def worker() -> Iterator[Any]:
    app_class = pytest.importorskip("celery").Celery
    from celery.contrib.testing.worker import start_worker

    app = app_class("test", broker="memory://", backend="cache+memory://")
    app.conf.update(worker_hijack_root_logger=False, task_always_eager=False)
    app.task(name="whose")(whose)
    celery.connect(tags=["customer", "feature"])
    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=1, shutdown_timeout=30):
        yield app
    celery.disconnect()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_celery_tasks_run_for_whoever_sent_them(worker: Any) -> None:
    task = worker.tasks["whose"]
    with spanledger.workflow("agent", customer="acme", feature="search", team="growth") as run:
        first = task.delay()
    second = task.delay()
    assert first.get(timeout=30) == [{"customer": "acme", "feature": "search"}, run.workflow_id, run.trace_id]
    assert second.get(timeout=30) == [{}, None, None]
    assert whose()[0] == {}
    with spanledger.tag(customer="eager"):
        assert task.apply().get() == ({"customer": "eager"}, None, None)


def test_connecting_twice_signals_once() -> None:
    signals = pytest.importorskip("celery.signals")
    before = len(signals.before_task_publish.receivers)
    for _ in range(2):
        celery.connect()
    assert len(signals.before_task_publish.receivers) == before + 1
    celery.disconnect()
    assert len(signals.before_task_publish.receivers) == before


def test_a_broken_task_request_harms_nobody() -> None:
    celery._publish(headers=None)
    celery._begin(task_id="1", task=None)
    celery._end(task_id="1")
    assert whose()[0] == {}
    assert _propagation.decode("") == {}


@pytest.mark.parametrize("headers", [None, 7, [("spanledger",)], [None], {"spanledger": None}])
def test_what_are_no_headers_name_nobody(headers: Any) -> None:
    with spanledger.tag(team="growth"), spanledger.extract(headers):
        assert scope().tags == {"team": "growth"}


def test_control_characters_of_a_header_are_written_out_as_those_of_a_tag_are() -> None:
    with spanledger.extract({HEADER: "customer=a%00b%0Ac"}):
        assert scope().tags == {"customer": "a\\x00b\\nc"}


def test_a_name_of_a_workflow_is_text_wherever_it_goes() -> None:
    with spanledger.workflow(7) as run:  # type: ignore[arg-type]  # what an application without types may do
        assert decode(spanledger.inject({})[HEADER])[".workflow"] == run.workflow == "7"
    with spanledger.workflow("x" * 1000) as run:
        assert len(run.workflow) == 256
