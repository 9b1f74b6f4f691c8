"""Shipping sealed files to another place, a path and a real S3 server, and asking there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date

import pytest
from tests.ledger.engines._servers import wait_until

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


KILLED = """
import os, sys
from fsspec.implementations.local import LocalFileSystem
from spanledger import Ledger
from spanledger.ledger._ship import ship
def dying(copy_whole):
    def copy_and_die(self, source, target, **options):
        copy_whole(self, source, target, **options)
        if target.endswith(".parquet"):
            os.kill(os.getpid(), 9)
    return copy_and_die
LocalFileSystem.get_file = dying(LocalFileSystem.get_file)
LocalFileSystem.put_file = dying(LocalFileSystem.put_file)
if sys.argv[2:]:
    ship(Ledger(sys.argv[2]).path, sys.argv[1])
Ledger(sys.argv[1]).cost()
"""
"""Ships a ledger, or asks one elsewhere, and is killed when the first sealed file is copied and has no name yet."""


def test_what_a_killed_question_had_half_brought_here_goes_with_the_next(
    ledger, write_segment, row, tmp_path, run_python
):
    elsewhere = tmp_path / "warehouse"
    write_segment([row(customer="acme")])
    seal(ledger.path)
    ship(ledger.path, str(elsewhere))
    assert run_python(KILLED, f"file://{elsewhere}").returncode == -signal.SIGKILL
    copies = tmp_path / "cache"
    assert [path for path in copies.rglob(".work-*/*") if b"acme" in path.read_bytes()]
    forget(ledger.path, "customer", "acme")
    ship(ledger.path, str(elsewhere))
    assert Ledger(f"file://{elsewhere}").cost(since="2026-11-24").rows() == []
    assert not [path for path in copies.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]


def test_what_a_killed_shipment_leaves_there_goes_with_the_next(ledger, write_segment, row, tmp_path, run_python):
    elsewhere = tmp_path / "warehouse"
    write_segment([row(customer="acme")])
    seal(ledger.path)
    assert run_python(KILLED, str(elsewhere), str(ledger.path)).returncode == -signal.SIGKILL
    assert [path for path in elsewhere.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]
    assert not list(elsewhere.glob("charges/*/*"))
    forget(ledger.path, "customer", "acme")
    assert ship(ledger.path, str(elsewhere)).files == 1
    assert not [path for path in elsewhere.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]
    assert [path for path in elsewhere.iterdir() if path.name.startswith(".")] == []


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


def test_a_question_to_some_days_reads_the_objects_of_these_days_and_once(
    ledger, write_segment, row, bucket, read_from_bucket
):
    fill(ledger, write_segment, row, days=range(1, 29))
    ship(ledger.path, bucket)
    there, _ = Ledger(bucket), read_from_bucket()
    asked = {"since": "2026-11-15", "until": "2026-11-22"}
    assert there.cost(**asked).rows()[0]["charges"] == 7
    assert sorted({day_in(name) for name in read_from_bucket()}) == [f"2026-11-{day}" for day in range(15, 22)]
    assert there.cost(**asked).rows()[0]["charges"] == 7
    assert there.cost("day", since="2026-11-20", until="2026-11-23").rows()[-1]["charges"] == 1
    assert [day_in(name) for name in read_from_bucket()] == ["2026-11-22"]
    fill(ledger, write_segment, row, days=[16])
    compact(ledger.path, today=date(2026, 12, 1))
    ship(ledger.path, bucket)
    read_from_bucket()
    assert there.cost(**asked).rows()[0]["charges"] == 8
    assert [day_in(name) for name in read_from_bucket()] == ["2026-11-16"]


def test_a_shipment_that_is_killed_goes_on_where_it_stopped(ledger, write_segment, row, bucket):
    import boto3

    fill(ledger, write_segment, row, days=range(1, 29))
    command = [sys.executable, "-c", "import sys; from spanledger.cli import main; sys.exit(main())", "ship"]

    def objects():
        found = boto3.client("s3").list_objects_v2(Bucket="finance", Prefix="ledger/charges/")
        return found["KeyCount"]

    for many in (1, 6):
        with subprocess.Popen([*command, str(ledger.path), bucket]) as process:
            wait_until(lambda many=many: objects() >= many, "nothing is shipped")
            process.kill()
        assert process.returncode == -signal.SIGKILL
    done = ship(ledger.path, bucket)
    assert done.there >= 6
    assert (done.files + done.there, objects()) == (28, 28)
    assert Ledger(bucket).cost("day").rows() == ledger.cost("day").rows()


def day_in(name):
    return name.partition("date%3D")[2][:10] or name.partition("date=")[2][:10]


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
