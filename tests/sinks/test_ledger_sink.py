"""The sink that appends: rotation, durability, what it spawns, what it refuses."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from spanledger import _ids
from spanledger._types import Charge
from spanledger.errors import ConfigurationError
from spanledger.sinks import ledger as sinks
from spanledger.sinks.ledger import LedgerSink


def charge():
    return Charge({"charge_id": _ids.uuid7(), "started_at": "2026-11-23T10:00:00.000000Z"})


@pytest.mark.parametrize(("name", "choices"), [("durability", "process or fsync"), ("sealing", "off or spawn")])
def test_an_unknown_choice_names_the_setting_and_the_choices(tmp_path, name, choices):
    with pytest.raises(ConfigurationError, match=f"{name} takes {choices}, not 'nonsense'"):
        LedgerSink(tmp_path, **{name: "nonsense"})


def test_a_full_segment_is_let_go_and_sealed_by_a_spawned_process(tmp_path, monkeypatch):
    spawned = []
    monkeypatch.setattr(sinks.threading, "Thread", lambda **named: spawned.append(named) or NotStarted())
    monkeypatch.setattr(sinks, "ROTATE_BYTES", 10)
    sink = LedgerSink(tmp_path, sealing="spawn")
    sink.book(charge())
    first = sink.segment
    sink._segment.look_at = 0
    sink.book(charge())
    assert sink.segment != first
    (named,) = spawned
    done = subprocess.run(named["kwargs"]["args"], check=True, capture_output=True, text=True)
    assert "sealed 1 charges of 1 segments, 1 in use" in done.stdout
    assert not first.exists()


class NotStarted:
    def start(self):
        pass


def test_nothing_is_spawned_where_the_executable_is_no_python(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    monkeypatch.setattr(sinks.threading, "Thread", None)
    sinks._spawn_sealing(tmp_path)


def test_text_that_is_no_unicode_is_replaced_and_the_row_kept():
    line = sinks.encoded({"charge_id": "a", "team": "\ud800b"})
    assert orjson.loads(line) == {"charge_id": "a", "team": "?b"}
