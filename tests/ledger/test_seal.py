"""Sealing and merging: the same charges, in Parquet, and nobody else's segment is touched."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import date
from decimal import Decimal

import duckdb
import orjson
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from spanledger import Ledger
from spanledger._types import Charge
from spanledger.ledger import _parquet
from spanledger.ledger._compact import compact
from spanledger.ledger._locks import ABANDONED_SECONDS
from spanledger.ledger._seal import Sealing, seal
from spanledger.sinks.ledger import LedgerSink

DAYS = ("2026-11-22T23:59:59.999999Z", "2026-11-23T00:00:00Z", "2026-11-24T12:00:00Z")
SHOWN = ["charge_id", "started_at", "list_cost", "costs", "usage", "tags", "finish_reasons", "stream", "extra"]


@pytest.fixture
def filled(ledger, write_segment, row):
    """Two closed segments over three days."""
    for _ in range(2):
        write_segment([row(started_at=day, tags={"a": "b"}, finish_reasons=["stop"], stream=True) for day in DAYS])
    return ledger


def sealed_files(ledger):
    return sorted(path.relative_to(ledger.path / "charges") for path in ledger.path.glob("charges/*/*.parquet"))


def test_sealing_changes_no_answer(filled):
    before = filled.charges(columns=SHOWN).rows()
    assert seal(filled.path) == Sealing(segments=2, charges=6)
    assert not list(filled.path.glob("open/*"))
    assert len(sealed_files(filled)) == 6
    assert filled.charges(columns=SHOWN).rows() == before
    assert compact(filled.path, today=date(2026, 12, 1)) == 6
    assert [path.parent.name for path in sealed_files(filled)] == [f"date=2026-11-2{day}" for day in (2, 3, 4)]
    assert filled.charges(columns=SHOWN).rows() == before


def test_sealed_files_are_plain_parquet_that_any_program_reads(filled):
    seal(filled.path)
    table = ds.dataset(filled.path / "charges", partitioning="hive").to_table()
    assert pc.sum(table["list_cost"]).as_py() == Decimal("0.06")
    assert pc.min(table["date"]).as_py() == "2026-11-22"


def kinds_of(ledger):
    """The types of the columns of each sealed file as Parquet has them."""
    schemas = [pq.ParquetFile(ledger.path / "charges" / path).schema for path in sealed_files(ledger)]
    return [{one.column(at).path: one.column(at).physical_type for at in range(len(one))} for one in schemas]


def test_amounts_take_64_bits_in_a_file_where_all_fit_and_none_is_ever_rounded(ledger, write_segment, row):
    largest = "999.999999999999999"
    write_segment([row(list_cost=largest, usage={"input": 999_999_999}), row(list_cost=f"-{largest}")])
    write_segment([row(list_cost="1000", costs={"input": "1000.000000000000001"}, usage={"input": 10**9})])
    seal(ledger.path)
    wide, narrow = sorted(kinds_of(ledger), key=lambda kinds: kinds["list_cost"])
    amounts = ("list_cost", "effective_cost", "costs.key_value.value", "usage.key_value.value")
    assert {name: narrow[name] for name in amounts} == dict.fromkeys(amounts, "INT64")
    assert (wide["list_cost"], wide["costs.key_value.value"]) == ("FIXED_LEN_BYTE_ARRAY",) * 2
    assert (wide["effective_cost"], wide["usage.key_value.value"]) == ("INT64", "FIXED_LEN_BYTE_ARRAY")
    for _ in range(2):
        first, second, third = ledger.charges(columns=["list_cost", "costs", "usage"]).rows()
        assert (first["list_cost"], second["list_cost"]) == (Decimal(largest), -Decimal(largest))
        assert third["costs"] == {"input": Decimal("1000.000000000000001")}
        assert (first["usage"]["input"], third["usage"]["input"]) == (999_999_999, 10**9)
        assert ledger.charges(columns=["list_cost"]).to_arrow().schema.field(0).type.precision == 38
        assert ledger.cost().rows()[0]["list_cost"] == 1000
        compact(ledger.path, today=date(2026, 12, 1))
    (merged,) = kinds_of(ledger)
    assert merged["list_cost"] == "FIXED_LEN_BYTE_ARRAY"


def test_durations_are_decimals_in_a_file_where_all_fit_and_come_back_as_they_were(ledger, write_segment, row):
    fine, finer = [0.001, 1499.207, 3_600_000.123], [0.1 + 0.2, 812.5]
    write_segment([row(duration_ms=one, time_to_first_chunk_ms=None) for one in fine])
    write_segment([row(duration_ms=one, time_to_first_chunk_ms=1.5) for one in finer])
    shown = ["duration_ms", "time_to_first_chunk_ms"]
    before = ledger.charges(columns=shown)
    seal(ledger.path)
    assert sorted((kinds["duration_ms"], kinds["time_to_first_chunk_ms"]) for kinds in kinds_of(ledger)) == [
        ("DOUBLE", "INT64"),
        ("INT64", "INT64"),
    ]
    for _ in range(2):
        found = ledger.charges(columns=shown)
        assert found.rows() == before.rows()
        assert found.to_arrow().schema == before.to_arrow().schema
        (middle,) = ledger.sql("SELECT quantile_cont(duration_ms, 0.5) AS ms FROM charges").rows()
        assert middle == {"ms": 812.5}
        assert compact(ledger.path, today=date(2026, 12, 1)) in {2, 0}
    (merged,) = kinds_of(ledger)
    assert (merged["duration_ms"], merged["time_to_first_chunk_ms"]) == ("DOUBLE", "INT64")


def test_tags_of_few_values_have_a_column_that_questions_read_instead_of_the_map(ledger, write_segment, row):
    write_segment([row(tags={"plan": "pro", "Plan": "other", "it's": "x"}), row(tags={"plan": "free"}), row()])
    write_segment([row(started_at="2026-11-24T10:00:00Z")])
    asked = {"by": ["tag:plan", "tag:Plan", "tag:it's"], "where": "tag:plan != 'free'"}
    before, names = ledger.cost(**asked).rows(), ledger.tags()
    seal(ledger.path)
    second, first = sorted(kinds_of(ledger), key=lambda kinds: "tag_plan" in kinds)
    assert [name for name in first if name.startswith("tag_")] == ["tag_plan"]
    assert not [name for name in second if name.startswith("tag_")]
    assert (ledger.cost(**asked).rows(), ledger.tags()) == (before, names)
    assert not [name for name in ledger.sql("SELECT * FROM charges").columns if name.startswith(("tag:", "tag_"))]
    write_segment([row(tags={"plan": "pro", "new": "y"})])
    seal(ledger.path)
    assert ledger.tags() == [*names[:2], "new", names[2]]
    compact(ledger.path, today=date(2026, 12, 1))
    merged = {one["plan"]: one["charges"] for one in ledger.cost("plan")}
    assert merged == {"pro": 2, "free": 1, None: 2}


def test_a_tag_of_very_many_values_is_not_copied(ledger, write_segment, row):
    write_segment([row(tags={"request": f"r{number}", "plan": "pro"}) for number in range(_parquet.FEW_VALUES + 1)])
    seal(ledger.path)
    (kinds,) = kinds_of(ledger)
    assert [name for name in kinds if name.startswith("tag_")] == ["tag_plan"]
    assert ledger.cost("tag:request", where="tag:request in ('r7', 'r8')").rows()[0]["charges"] == 1


def test_files_and_directories_are_the_owners_alone(ledger, row):
    previous = os.umask(0)
    try:
        sink = LedgerSink(ledger.path)
        for line in (row(), row(started_at="yesterday")):
            sink.book(Charge(line))
        sink.close()
        seal(ledger.path)
        sink.book(Charge(row()))
    finally:
        os.umask(previous)
    assert len(list(ledger.path.rglob("*"))) == 8
    for path in [ledger.path, *ledger.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == 0o700 if path.is_dir() else mode == 0o600, path


def test_the_segment_of_a_living_writer_waits_until_it_lets_go(ledger, row):
    sink = LedgerSink(ledger.path)
    sink.book(Charge(row()))
    assert seal(ledger.path) == Sealing(in_use=1)
    sink.close()
    assert seal(ledger.path) == Sealing(segments=1, charges=1)
    sink.book(Charge(row()))
    assert ledger.cost().rows()[0]["charges"] == 2


def test_two_sealers_do_not_get_in_each_others_way(filled, run_python):
    from concurrent.futures import ThreadPoolExecutor

    source = "import sys; from spanledger.cli import main; sys.exit(main(['seal', sys.argv[1]]))"
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: run_python(source, str(filled.path)), range(3)))
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert filled.cost().rows()[0]["charges"] == 6
    assert len(filled.charges(history=True)) == 6


def test_a_reader_gets_its_answer_while_very_many_segments_are_sealed(ledger, write_segment, row):
    for _ in range(150):
        write_segment([row()])
    source = "import sys; from spanledger.cli import main; sys.exit(main(['seal', sys.argv[1]]))"
    with subprocess.Popen([sys.executable, "-c", source, str(ledger.path)], stdout=subprocess.DEVNULL) as sealer:
        while sealer.poll() is None:
            assert Ledger(ledger.path).cost().rows()[0]["charges"] == 150
    assert sealer.returncode == 0


def test_without_locks_a_segment_is_sealed_when_it_is_too_old_to_be_written(ledger, write_segment, row, monkeypatch):
    import errno
    import fcntl

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = write_segment([row()], name="host-1-01900000-0000-7000-8000-000000000000")
    assert seal(ledger.path) == Sealing(in_use=1)
    long_ago = path.stat().st_mtime - ABANDONED_SECONDS - 60
    os.utime(path, (long_ago, long_ago))
    assert seal(ledger.path) == Sealing(segments=1, charges=1)


def test_what_is_no_charge_goes_to_quarantine_and_a_charge_behind_a_torn_one_is_rescued(ledger, write_segment, row):
    torn = orjson.dumps(row())[:50]
    unreadable = orjson.dumps(row(started_at="yesterday"))
    lines = [torn + orjson.dumps(row(list_cost="5")), b"nonsense", unreadable, orjson.dumps(row())]
    path = write_segment(b"\n".join(lines) + b"\n" + torn)
    assert seal(ledger.path) == Sealing(segments=1, charges=2, quarantined=4)
    assert ledger.cost().rows()[0]["list_cost"] == Decimal("5.01")
    kept = (ledger.path / "quarantine" / path.name).read_bytes().splitlines()
    assert sorted(kept) == sorted([torn, b"nonsense", unreadable, torn])


def test_a_value_that_its_column_cannot_hold_is_kept_in_extra(ledger, write_segment, row):
    write_segment([row(list_cost="1e400", costs={"input": "much"}), row(input_tokens=3.7)])
    seal(ledger.path)
    first = ledger.charges(columns=["list_cost", "extra"]).rows()[0]
    assert first["list_cost"] is None
    assert orjson.loads(first["extra"])["list_cost"] == "1e400"


def test_a_charge_that_stands_twice_is_merged_into_one(ledger, write_segment, row):
    write_segment([one := row(), one, row()])
    write_segment([one])
    seal(ledger.path)
    assert (ledger.cost().rows()[0]["charges"], len(ledger.charges(history=True))) == (2, 3)
    compact(ledger.path, today=date(2026, 12, 1))
    assert len(ledger.charges(history=True)) == 2
    write_segment([one])
    assert ledger.cost().rows()[0]["charges"] == 2


def test_corrections_hold_across_sealing_and_merging(ledger, write_segment, row):
    write_segment([original := row()])
    seal(ledger.path)
    write_segment([row(corrects=original["charge_id"], list_cost="2")])
    assert ledger.cost().rows()[0]["list_cost"] == 2
    seal(ledger.path)
    assert ledger.cost().rows()[0]["list_cost"] == 2
    compact(ledger.path, today=date(2026, 12, 1))
    assert ledger.cost(since="2026-11-23").rows()[0]["list_cost"] == 2
    assert ledger.cost(history=True).rows()[0]["charges"] == 2


def test_a_period_reads_only_its_days(filled):
    seal(filled.path)
    for path in filled.path.glob("charges/date=2026-11-22/*.parquet"):
        path.write_bytes(b"not to be read")
    assert filled.cost(since="2026-11-23").rows()[0]["charges"] == 4


def test_columns_of_a_newer_version_are_kept_through_sealing_and_merging(ledger, write_segment, row):
    write_segment([row(carbon_grams="3")])
    write_segment([row()])
    seal(ledger.path)
    compact(ledger.path, today=date(2026, 12, 1))
    assert [one["extra"] for one in ledger.charges(columns=["extra"])] == ['{"carbon_grams":"3"}', None]


def test_sealed_files_with_fewer_and_with_more_columns_are_read(ledger, write_segment, row):
    write_segment([row()])
    seal(ledger.path)
    folder = ledger.path / "charges" / "date=2026-11-20"
    folder.mkdir()
    older = (
        "SELECT 'old' AS charge_id, TIMESTAMP '2026-11-20' AS started_at, 1::DECIMAL(38, 15) AS list_cost, 7 AS novel"
    )
    duckdb.sql(f"COPY ({older}) TO '{folder}/old.parquet'")
    assert ledger.cost("team").rows()[0]["list_cost"] == 1
    assert ledger.sql("SELECT novel FROM charges WHERE novel IS NOT NULL").rows() == [{"novel": 7}]


def test_seal_is_a_command(filled):
    from spanledger.cli import main

    assert main(["seal", str(filled.path)]) == 0
    assert len(sealed_files(filled)) == 3
    assert Ledger(filled.path).cost().rows()[0]["charges"] == 6
