"""The sink that appends: rotation, durability, what it spawns, what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys

import orjson
import pytest

from spanledger import _faults, _ids, _spawning
from spanledger._types import Charge
from spanledger.cli import main
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
    monkeypatch.setattr(_spawning.threading, "Thread", None)
    _spawning.spawn_sealing(tmp_path)


def test_space_is_left_to_the_application_and_doctor_says_where_that_bound_is_reached(tmp_path, monkeypatch, capsys):
    LedgerSink(tmp_path).book(Charge({"charge_id": "a", "started_at": "2026-11-23T10:00:00Z"}))
    assert main(["doctor", str(tmp_path)]) == 0
    assert "32 of them for the application alone (min_free_mb)" in capsys.readouterr().out
    more = (shutil.disk_usage(tmp_path).free >> 20) + 1_000_000
    monkeypatch.setenv("SPANLEDGER_MIN_FREE_MB", str(more))
    before = _faults.snapshot()["lost"]
    sink = LedgerSink(tmp_path, min_free_mb=more)
    sink.book(Charge({"charge_id": "b", "started_at": "2026-11-23T10:00:00Z"}))
    sink._segment.look_at = 0
    sink.book(Charge({"charge_id": "c", "started_at": "2026-11-23T10:00:00Z"}))
    assert _faults.snapshot()["lost"] == before + 1
    main(["doctor", str(tmp_path)])
    assert "charges are not written, and are lost" in capsys.readouterr().out


def test_text_that_is_no_unicode_is_replaced_and_the_row_kept():
    line = sinks.encoded({"charge_id": "a", "team": "\ud800b"})
    assert orjson.loads(line) == {"charge_id": "a", "team": "?b"}
