"""Shipping sealed files to another place, a path and a real S3 server, and asking there."""

from __future__ import annotations

import os
from datetime import date

import pytest

from spanledger import Ledger
from spanledger.cli import main
from spanledger.errors import LedgerError
from spanledger.ledger._compact import compact
from spanledger.ledger._forget import forget
from spanledger.ledger._seal import seal
from spanledger.ledger._ship import ship

pytest.importorskip("fsspec")
pytestmark = pytest.mark.usefixtures("cache")


def fill(ledger, write_segment, row, days=(23, 24)):
    write_segment([row(started_at=f"2026-11-{day}T10:00:00Z") for day in days])
    seal(ledger.path)


def test_shipping_is_resumed_repeated_and_merged(ledger, write_segment, row, tmp_path):
    fill(ledger, write_segment, row)
    elsewhere = tmp_path / "warehouse"
    assert ship(ledger.path, str(elsewhere))[0] == 2
    assert ship(ledger.path, f"file://{elsewhere}")[::2] == (0, 2)
    next(elsewhere.glob("charges/*/*.parquet")).unlink()
    assert ship(ledger.path, str(elsewhere))[::2] == (1, 1)
    assert Ledger(f"file://{elsewhere}").cost().rows() == ledger.cost().rows()
    fill(ledger, write_segment, row)
    compact(ledger.path, today=date(2026, 12, 1))
    shipped = ship(ledger.path, str(elsewhere))
    assert (shipped.files, shipped.replaced) == (2, 2)
    assert Ledger(f"file://{elsewhere}").cost().rows() == ledger.cost().rows()
    assert main(["ship", str(ledger.path), str(elsewhere)]) == 0


def test_what_was_merged_twice_since_the_last_shipment_is_at_the_destination_once(ledger, write_segment, row, tmp_path):
    """The last merge alone does not name a file that only the copy still has: names go from merge to merge."""
    elsewhere = tmp_path / "warehouse"
    for _ in range(2):
        fill(ledger, write_segment, row, days=(23,))
    ship(ledger.path, str(elsewhere))
    compact(ledger.path, today=date(2026, 12, 1))
    fill(ledger, write_segment, row, days=(23,))
    compact(ledger.path, today=date(2026, 12, 1))
    assert ship(ledger.path, str(elsewhere)).replaced == 2
    assert len(list(elsewhere.glob("charges/*/*.parquet"))) == 1


def test_a_person_forgotten_here_is_forgotten_there_with_the_next_shipment(ledger, write_segment, row, tmp_path):
    elsewhere = tmp_path / "warehouse"
    for _ in range(2):
        write_segment([row(customer="acme")])
    seal(ledger.path)
    ship(ledger.path, str(elsewhere))
    compact(ledger.path, today=date(2026, 12, 1))
    forget(ledger.path, "customer", "acme")
    ship(ledger.path, str(elsewhere))
    assert {one["customer"] for one in Ledger(f"file://{elsewhere}").charges(history=True)} == {None}
    assert not [path for path in elsewhere.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]


def test_many_hosts_ship_into_one_bucket_and_it_is_asked_as_any_ledger(ledger, write_segment, row, bucket):
    fill(ledger, write_segment, row)
    assert ship(ledger.path, bucket).files == 2
    ledger.path.rename(ledger.path.with_name("first-host"))
    fill(ledger, write_segment, row, days=(24, 25))
    assert ship(ledger.path, bucket).files == 2
    assert ship(ledger.path, bucket).files == 0
    days = {one["day"].day: one["charges"] for one in Ledger(bucket).cost("day")}
    assert days == {23: 1, 24: 2, 25: 1}


def test_a_place_that_has_none_or_is_not_known_is_named(ledger, write_segment, row, tmp_path):
    fill(ledger, write_segment, row)
    with pytest.raises(LedgerError, match="there is no shipped ledger here"):
        Ledger(f"file://{tmp_path}/nothing")
    with pytest.raises(LedgerError, match="nonsense"):
        ship(ledger.path, "nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="could not be copied"):
        ship(ledger.path, str(tmp_path / "file"))
    assert os.listdir(tmp_path / "spend.ledger")  # noqa: PTH208
