"""What a call leaves behind: no cycle of references, which would hold the application's objects until a collection."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import spanledger
from spanledger import _call, _threads
from spanledger._types import Charge
from spanledger.providers import _botocore
from spanledger.providers._hooks import Hook, Patch
from spanledger.testing import Fault, ProviderServer, Reply, capture_charges, refused

OURS = (_call.Call, _call.Tally, Charge)
MESSAGES: Any = [{"role": "user", "content": "hello"}]
REPLIES = {
    "answered": Reply(),
    "refused": refused(),
    "cut": Reply("one two three four", fault=Fault("cut", after=2)),
}


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def clients(server: ProviderServer) -> Iterator[tuple[openai.OpenAI, anthropic.Anthropic]]:
    with (
        openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0) as one,
        anthropic.Anthropic(base_url=server.base_url, api_key="any", max_retries=0) as other,
    ):
        yield one, other


CALLS: dict[str, Callable[[openai.OpenAI, anthropic.Anthropic], object]] = {
    "chat": lambda client, _: client.chat.completions.create(model="gpt-5", messages=MESSAGES),
    "chat stream": lambda client, _: list(
        client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)
    ),
    "messages": lambda _, client: client.messages.create(model="claude-opus-5-5", max_tokens=9, messages=MESSAGES),
    "messages stream": lambda _, client: list(
        client.messages.create(model="claude-opus-5-5", max_tokens=9, messages=MESSAGES, stream=True)
    ),
}


def left_behind(work: Callable[[], object]) -> list[object]:
    """What only a collection finds."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_no_cycle(
    name: str, reply: str, server: ProviderServer, clients: tuple[openai.OpenAI, anthropic.Anthropic]
) -> None:
    def work() -> None:
        with suppress(Exception):  # of the SDK, or of the HTTP client that it has chosen
            CALLS[name](*clients)

    with capture_charges() as charges:
        for _ in range(2):
            server.reply(REPLIES[reply])
        work()
        found = left_behind(work)
        assert len(charges) == 2
    assert [one for one in found if isinstance(one, OURS)] == []


def test_refusals_of_one_name_are_of_one_class() -> None:
    throttled = {_botocore._error_named("ThrottlingException") for _ in range(3)}
    assert [kind.__name__ for kind in throttled] == ["ThrottlingException"]
    assert _botocore._error_named("a\0b").__name__ == "ab"


def test_a_thread_that_carries_its_context_is_gone_when_it_is_over() -> None:
    _threads.switch(on=True)
    gc.disable()
    try:
        thread = threading.Thread(target=spanledger.current_tags)
        thread.start()
        thread.join()
        here = weakref.ref(thread)
        del thread
        assert here() is None
    finally:
        gc.enable()
        _threads.switch(on=False)


SLOW = """
import builtins
builtins.spanledger_reached.set()
builtins.spanledger_go_on.wait(10)
def hooked(): return 1
"""


def test_an_sdk_that_another_thread_is_importing_is_hooked_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spanledger_slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    reached, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr("builtins.spanledger_reached", reached, raising=False)
    monkeypatch.setattr("builtins.spanledger_go_on", go_on, raising=False)

    def install(module: Any, patch: Patch) -> None:
        patch.replace(module, "hooked", lambda original: lambda: original() + 1)

    hook = Hook("spanledger_slow", install)
    importing = threading.Thread(target=__import__, args=("spanledger_slow",))
    enabling = threading.Thread(target=hook.enable)
    importing.start()
    assert reached.wait(10)
    enabling.start()
    while hook.state == "off":
        pass
    go_on.set()
    for thread in (importing, enabling):
        thread.join()
    assert hook.state == "hooked"
    assert sys.modules.pop("spanledger_slow").hooked() == 2
