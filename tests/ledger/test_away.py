"""Segments that a flush moves elsewhere, for disks that go with the process: `instrument(ship_to=...)`."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import openai
import pytest

import spanledger
from spanledger import Ledger, _faults
from spanledger._types import Charge
from spanledger.cli import main
from spanledger.errors import ConfigurationError
from spanledger.ledger._away import send
from spanledger.sinks.ledger import LedgerSink
from spanledger.testing import ProviderServer

pytest.importorskip("fsspec")
pytestmark = pytest.mark.usefixtures("cache")

HANDLER = """
import os, sys
import spanledger
from openai import OpenAI
spanledger.instrument(ledger=sys.argv[2], ship_to=sys.argv[3])
client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="any")
for _ in range(3):
    client.responses.create(model="gpt-5-mini", input="hello")
    spanledger.flush()
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def _clean():
    yield
    spanledger.uninstrument()
    _faults.reset()


def ask(server):
    with openai.OpenAI(base_url=server.base_url + "/v1", api_key="any", max_retries=0) as client:
        return client.responses.create(model="gpt-5-mini", input="hello")


def test_a_handler_that_is_killed_after_its_flush_has_left_every_charge_at_the_bucket(bucket, tmp_path, run_python):
    with ProviderServer() as server:
        assert run_python(HANDLER, server.base_url, str(tmp_path / "l"), bucket).returncode == -9
    assert list((tmp_path / "l" / "open").iterdir()) == []
    assert Ledger(bucket).cost().rows()[0]["charges"] == 3
    assert main(["seal", bucket]) == 0
    assert Ledger(bucket).cost().rows()[0]["charges"] == 3
    assert main(["seal", bucket]) == 0


def test_segments_that_were_sent_are_sealed_where_they_are_and_counted_once(ledger, write_segment, row, tmp_path):
    elsewhere = tmp_path / "warehouse"
    for day in (23, 24):
        write_segment([row(started_at=f"2026-11-{day}T10:00:00Z") for _ in range(2)])
    assert send(ledger.path, f"file://{elsewhere}") == 2
    before = Ledger(f"file://{elsewhere}").cost("day").rows()
    assert [one["charges"] for one in before] == [2, 2]
    assert main(["seal", f"file://{elsewhere}"]) == 0
    assert len(list(elsewhere.glob("charges/*/*.parquet"))) == 2
    assert list(elsewhere.glob("open/*")) == []
    assert Ledger(f"file://{elsewhere}").cost("day").rows() == before


def test_what_arrives_while_another_seals_stays(ledger, write_segment, row, tmp_path):
    """Killed after the sealed file arrived and before its segment went: both are there, and it counts once."""
    elsewhere = tmp_path / "warehouse"
    segment = write_segment([row()])
    text = segment.read_bytes()
    send(ledger.path, f"file://{elsewhere}")
    main(["seal", f"file://{elsewhere}"])
    (elsewhere / "open" / segment.name).write_bytes(text)
    assert Ledger(f"file://{elsewhere}").cost().rows()[0]["charges"] == 1
    main(["seal", f"file://{elsewhere}"])
    assert list(elsewhere.glob("open/*")) == []
    assert Ledger(f"file://{elsewhere}").charges(history=True, columns=["charge_id"]).rows() != []


def test_a_segment_that_somebody_writes_stays(ledger, book, row, tmp_path):
    book(row())
    assert send(ledger.path, f"file://{tmp_path}/warehouse") == 0
    assert Ledger(ledger.path).cost().rows()[0]["charges"] == 1


def test_what_cannot_be_sent_stays_is_counted_and_goes_with_the_next_flush(tmp_path):
    (tmp_path / "away").write_text("a file where the directory should be")
    with ProviderServer() as server:
        spanledger.instrument(ledger=tmp_path / "l", ship_to=f"file://{tmp_path}/away/ledger")
        assert ask(server).output_text
        spanledger.flush()
        spanledger.flush()
        assert [fault["count"] for fault in _faults.snapshot()["faults"].values()] == [2]
        assert Ledger(tmp_path / "l").cost().rows()[0]["charges"] == 1
        (tmp_path / "away").unlink()
        assert ask(server).output_text
        spanledger.flush()
    assert Ledger(f"file://{tmp_path}/away/ledger").cost().rows()[0]["charges"] == 2
    assert _faults.snapshot()["lost"] == 0


def test_a_flush_before_the_first_charge_and_one_with_nothing_new_send_nothing(tmp_path):
    spanledger.instrument(ledger=tmp_path / "l", ship_to=f"file://{tmp_path}/away")
    spanledger.flush()
    assert not (tmp_path / "away").exists()


def test_an_address_that_no_library_knows_is_refused_when_it_is_set(tmp_path):
    with pytest.raises(ConfigurationError, match="ship_to: nonsense://x"):
        spanledger.instrument(ledger=tmp_path / "l", ship_to="nonsense://x")


def test_the_environment_may_say_where(tmp_path, run_python):
    source = "import spanledger; spanledger.instrument(); spanledger.meter('tool.run', cost='0.01'); spanledger.flush()"
    run_python(source, SPANLEDGER_SHIP_TO=f"file://{tmp_path}/a", SPANLEDGER_LEDGER=str(tmp_path / "l"))
    assert Ledger(f"file://{tmp_path}/a").cost().rows()[0]["charges"] == 1


def test_threads_that_write_during_flushes_lose_nothing(tmp_path, row):
    away = f"file://{tmp_path}/away"
    sink = LedgerSink(tmp_path / "l", send=lambda ledger: send(ledger, away))
    writers = [Thread(target=lambda: [sink.book(Charge(row())) for _ in range(300)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        sink.flush()
    sink.flush()
    assert Ledger(away).cost().rows()[0]["charges"] == 1200
    assert list(Path(tmp_path / "l" / "open").glob("*.jsonl")) == []


def test_nothing_of_it_loads_without_the_setting(run_python):
    source = "import sys, spanledger; spanledger.instrument(); "
    source += "print('fsspec' in sys.modules, 'spanledger.ledger' in sys.modules)"
    assert run_python(source).stdout.split() == ["False", "False"]
