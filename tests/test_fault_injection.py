"""Whatever fails inside spanledger, an SDK call returns or raises what it would without it.

For each application every function of spanledger that runs during its call is found, and then made to raise at its very
first instruction, one after the other, in a fresh run of the same call. Frames that an SDK calls directly are left out:
each is a `try` around our work, and is named in `DIRECT`.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from tests._apps import APPS, REFUSED, bedrock_client, outcome

import spanledger
from spanledger import _faults
from spanledger.testing import ProviderServer, Reply, refused

PACKAGE = str(Path(spanledger.__file__).parent)

DIRECT = re.compile(
    r"""\.(
        safe                                     # the guard itself
      | request | process_response | process_response_data
      | method | async_method | request_streamed | stream | _watched | _run_generator | nothing
      | __iter__ | __aiter__ | __next__ | __getattr__ | __class__ | __del__ | __enter__ | __exit__
      | close | aclose | read | readinto | decode | flush | _on_ending | _show | _shown | give_up | _each
    )$""",
    re.VERBOSE,
)
"""Frames that stand between an SDK and its own function; what they do for us is guarded where they call it."""


class InjectedError(Exception):
    pass


def ours(code: CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE) and "/testing/" not in code.co_filename


def place(code: CodeType) -> str:
    name = getattr(code, "co_qualname", code.co_name)
    return f"{Path(code.co_filename).relative_to(PACKAGE)}:{code.co_firstlineno}.{name.rpartition('.')[2]}"


def trace_calls(see: Callable[[CodeType], None], run: Callable[[], Any]) -> Any:
    def tracer(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and ours(frame.f_code):
            see(frame.f_code)

    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        return run()
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def fresh(server: ProviderServer, name: str) -> Callable[[], Any]:
    """One run of an application: the same call, with the same answer, each time."""
    app = APPS.get(name) or REFUSED[name]

    def run() -> Any:
        server._script.clear()
        server.reply(refused(400) if name in REFUSED else Reply(response_id="fixed", headers={"date": "today"}))
        return outcome(app, server.base_url)

    return run


def stable(seen: Any) -> Any:
    """An outcome without what differs from call to call."""
    return re.sub(r"'created(_at)?': [0-9.]+|\"created\": ?[0-9]+|[0-9a-f-]{36}", "", repr(seen))


@pytest.mark.parametrize("name", [*APPS, *REFUSED])
def test_a_fault_in_any_function_is_not_seen_by_the_application(
    name: str, server: ProviderServer, tmp_path: Path
) -> None:
    run = fresh(server, name)
    bare = stable(run())
    assert ("returned" in bare) == (name in APPS)
    spanledger.instrument(ledger=tmp_path / "faults.ledger", tags={"team": "t"})
    try:
        spanledger.wrap(bedrock_client(server.base_url))
        codes: set[CodeType] = set()
        with spanledger.workflow("w"):
            assert stable(trace_calls(codes.add, run)) == bare
        targets = sorted((code for code in codes if not DIRECT.search(place(code))), key=place)
        assert len(targets) > 20
        for target in targets:
            with spanledger.workflow("w"):
                assert stable(trace_calls(raiser(target), run)) == bare, f"a fault in {place(target)} was seen"
    finally:
        spanledger.uninstrument()
        _faults.reset()


def raiser(target: CodeType) -> Callable[[CodeType], None]:
    def see(code: CodeType) -> None:
        if code is target:
            raise InjectedError(place(target))

    return see


def test_faults_are_counted_and_logged_once(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    monkeypatch.setattr(_faults.log, "handlers", [handler])
    monkeypatch.setattr(_faults.log, "disabled", False)  # what a worker of celery leaves behind
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    monkeypatch.setattr(_faults.log, "level", logging.WARNING)
    _faults.log._cache.clear()
    spanledger.instrument(ledger=tmp_path / "faults.ledger")
    try:
        from spanledger._meter import Meter

        for _ in range(3):
            trace_calls(raiser(Meter.settle.__code__), fresh(server, "chat"))
        fault = _faults.snapshot()["faults"]["settle a response: InjectedError"]
        assert fault["count"] == 3
        assert sum("settle a response" in record.getMessage() for record in records) == 1
    finally:
        spanledger.uninstrument()
        _faults.reset()
