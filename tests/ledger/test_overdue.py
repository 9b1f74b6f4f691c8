"""A reader that meets much unsealed has it sealed by another process, unless that is switched off."""

from __future__ import annotations

import threading

import pytest

from spanledger import Ledger
from spanledger._types import Charge
from spanledger.errors import LedgerError
from spanledger.ledger import _overdue
from spanledger.sinks.ledger import LedgerSink


@pytest.fixture(autouse=True)
def _little_is_much(monkeypatch):
    monkeypatch.setattr(_overdue, "MUCH", 1000)
    monkeypatch.delenv("SPANLEDGER_SEALING", raising=False)


def sealing():
    """The threads that wait for a sealing process."""
    return [thread for thread in threading.enumerate() if thread.name == "spanledger-seal"]


def test_what_is_closed_is_sealed_by_another_process_while_the_answer_is_given(ledger, write_segment, row):
    segment = write_segment([row() for _ in range(10)])
    reader = Ledger(ledger.path)
    assert reader.cost().rows()[0]["charges"] == 10
    (waiting,) = sealing()
    waiting.join()
    assert not segment.exists()
    assert list(ledger.path.glob("charges/*/*.parquet"))
    write_segment([row() for _ in range(10)])
    assert reader.cost().rows()[0]["charges"] == 20
    assert sealing() == [], "one was started lately"


def test_what_a_living_process_writes_is_left_to_it(ledger, row):
    sink = LedgerSink(ledger.path)
    for _ in range(10):
        sink.book(Charge(row()))
    reader = Ledger(ledger.path)
    reader.cost()
    assert sealing() == []
    sink.close()
    reader.cost()
    (waiting,) = sealing()
    waiting.join()


def test_it_can_be_switched_off(ledger, write_segment, row, monkeypatch):
    write_segment([row() for _ in range(10)])
    Ledger(ledger.path, sealing="off").cost()
    monkeypatch.setenv("SPANLEDGER_SEALING", "off")
    Ledger(ledger.path).cost()
    assert sealing() == []
    Ledger(ledger.path, sealing="spawn").cost()
    (waiting,) = sealing()
    waiting.join()
    with pytest.raises(LedgerError, match="sealing: takes spawn or off, not 'perhaps'"):
        Ledger(ledger.path, sealing="perhaps")
