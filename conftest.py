"""Runs the code blocks of the documentation and of the README, and the examples in docstrings, as tests.

The blocks of one page run in order, in one namespace, in a directory of their own. The SDKs find the loopback provider
server by their usual environment variables, so that a block is what a reader would write.
"""

from __future__ import annotations

import gc
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

import spanledger
from spanledger.testing import ProviderServer

with suppress(ImportError):  # the environments of older SDKs have no Hypothesis
    from hypothesis import HealthCheck, settings

    # How long an example takes is up to what else the machine does.
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")

WORLD = "_world"

with suppress(ImportError):  # the environments of single suites do without it
    from hypothesis import HealthCheck, settings

    # How long an example takes says how busy the machine is, and nothing about what is tested.
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")


def open_world(namespace: dict[str, Any]) -> None:
    """A directory of its own, and a provider server to which the SDKs come by themselves."""
    world = namespace[WORLD] = ExitStack()
    world.enter_context(working_in(world.enter_context(tempfile.TemporaryDirectory())))
    server = namespace["server"] = world.enter_context(ProviderServer())
    world.enter_context(server.environment())
    world.callback(spanledger.uninstrument)


def close_world(namespace: dict[str, Any]) -> None:
    """Takes all of it away again, and the clients that a block has left open."""
    world = namespace.pop(WORLD)
    namespace.clear()
    world.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def working_in(directory: str) -> Iterator[None]:
    """The working directory, for a block."""
    before = os.getcwd()  # noqa: PTH109 -- what chdir takes back
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in which other libraries instrument the SDKs come last: such a library leaves parts of itself behind."""
    items.sort(key=lambda item: "tests/otel/" in item.nodeid)


pages = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "CONTRIBUTING.md", "docs/**/*.md", "docs/*.md"],
    setup=open_world,
    teardown=close_world,
)
docstrings = Sybil(
    parsers=[DocTestParser()],
    patterns=["src/spanledger/*.py", "src/spanledger/**/*.py"],
    document_types={".py": PythonDocStringDocument},
)

pytest_collect_file = (pages + docstrings).pytest()
