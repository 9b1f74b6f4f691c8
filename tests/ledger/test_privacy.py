"""What is never written, what can be erased, and that neither text nor files of others can do harm."""

from __future__ import annotations

import hmac
import random

import duckdb
import orjson
import pytest

import spanledger
from spanledger import Ledger
from spanledger._types import Charge
from spanledger.cli import main
from spanledger.errors import LedgerError
from spanledger.ledger._forget import forget
from spanledger.ledger._seal import seal
from spanledger.sinks.ledger import LedgerSink


def test_with_a_key_people_are_written_as_keyed_hashes(ledger, row, monkeypatch):
    monkeypatch.setenv("SPANLEDGER_HMAC_KEY", "secret")
    spanledger.configure(ledger=ledger.path)
    from spanledger._meter import meter

    (sink,) = [sink for sink in meter.sinks if isinstance(sink, LedgerSink)]
    sink.book(Charge(row(customer="acme", user_id=None)))
    spanledger.uninstrument()
    (found,) = ledger.charges(columns=["customer", "user_id"])
    assert found == {"customer": hmac.digest(b"secret", b"acme", "sha256").hex()[:32], "user_id": None}
    assert b"acme" not in next(ledger.path.glob("open/*.jsonl")).read_bytes()


def test_forgetting_a_customer_keeps_the_money_and_is_proved(ledger, write_segment, row):
    mine = row(customer="acme", user_id="u1", tags={"note": "acme's"}, list_cost="3")
    write_segment([mine, row(customer="other", started_at="2026-11-24T00:00:00Z"), row(customer=None)])
    write_segment(b'{"customer": "acme", "torn')
    before = ledger.cost().rows()
    proof = forget(ledger.path, "customer", "acme")
    assert (proof.rows, proof.files, proof.left) == (1, 1, 0)
    assert ledger.cost().rows() == before
    assert {one["customer"] for one in ledger.charges(history=True)} == {None, "other"}
    tags = duckdb.sql(f"SELECT count(tags) FROM read_parquet('{ledger.path}/charges/*/*.parquet')")  # noqa: S608
    assert tags.fetchall() == [(0,)]
    assert not [path for path in ledger.path.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]
    assert orjson.loads((ledger.path / "forgotten.jsonl").read_bytes())["rows"] == 1
    assert main(["forget", str(ledger.path), "--customer", "other"]) == 0
    assert {one["customer"] for one in ledger.charges()} == {None}


def test_a_person_in_the_segment_of_a_living_writer_is_said_to_be_left(ledger, row):
    sink = LedgerSink(ledger.path)
    sink.book(Charge(row(customer="acme")))
    with pytest.raises(LedgerError, match="1 rows are in segments that a living process writes"):
        forget(ledger.path, "customer", "acme")
    sink.close()
    assert forget(ledger.path, "customer", "acme").left == 0


def test_what_cannot_be_forgotten_by_is_said(ledger):
    with pytest.raises(LedgerError, match="takes one of customer, user_id, session_id"):
        forget(ledger.path, "team", "growth")


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\x1b[31mred", "x" * 1000, "'; DROP TABLE charges; --", "%s$1"])
def test_any_text_as_a_tag_is_kept_and_harms_nothing(ledger, book, row, text):
    book(row(tags={"t": text}, customer=text))
    (found,) = ledger.charges(columns=["customer", "tag:t", "list_cost"])
    assert len(found["customer"]) == len(text)
    answer = ledger.cost("customer", where={"customer": found["customer"]})
    assert len(answer) == 1
    assert "\x1b" not in repr(answer)


def test_a_mutilated_segment_gives_rows_or_nothing_but_no_crash(ledger, write_segment, row):
    chance = random.Random(7)  # noqa: S311 -- reproducible damage
    whole = b"".join(orjson.dumps(row(tags={"a": "b"})) + b"\n" for _ in range(5))
    for number in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        write_segment(bytes(damaged), name=f"damaged-{number}")
    rows = ledger.charges(history=True)
    health = ledger.health()
    assert 0 < len(rows) <= 200
    assert health.charges + health.corrupt + health.torn <= 240
    seal(ledger.path)
    assert len(ledger.charges(history=True)) >= len({one["charge_id"] for one in rows})


def test_a_mutilated_parquet_file_gives_an_error_that_names_it(ledger, write_segment, row):
    chance = random.Random(11)  # noqa: S311 -- reproducible damage
    write_segment([row(tags={"a": "b"}) for _ in range(50)])
    seal(ledger.path)
    (path,) = ledger.path.glob("charges/*/*.parquet")
    whole = path.read_bytes()
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 40)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            Ledger(ledger.path).charges(history=True)
        except LedgerError:
            refused += 1
    assert refused
    path.write_bytes(whole[:-1])
    with pytest.raises(LedgerError, match=path.name):
        Ledger(ledger.path).cost()
