"""`verify` finds what is wrong, `repair` puts right what can be."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from spanledger.cli import main
from spanledger.ledger._compact import compact
from spanledger.ledger._seal import seal
from spanledger.ledger._verify import STALE_SECONDS, repair, verify


def test_a_sound_ledger_has_no_problem_and_its_sums_are_exact(ledger, write_segment, row):
    write_segment([row(list_cost="0.000000000000001", costs={"input": "0.000000000000001"})])
    seal(ledger.path)
    write_segment([row(list_cost="2", costs={"input": "2"})])
    found = verify(ledger.path)
    assert (found.rows, found.charges, found.list_cost, found.problems) == (2, 2, "2.000000000000001", ())
    assert main(["verify", str(ledger.path)]) == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"list_cost": None}, "a cost without an amount"),
        ({"cost_status": "unknown"}, "an amount without a price"),
        ({"list_cost": "-1", "costs": None}, "a negative amount"),
        ({"input_tokens": -1}, "a negative count of tokens"),
        ({"list_cost": "5"}, "parts that do not sum to the list cost"),
        ({"status": "fine"}, "an unknown status"),
        ({"corrects": "nobody"}, "correct a charge that is not here"),
    ],
)
def test_a_row_that_breaks_an_invariant_is_named(ledger, write_segment, row, changes, problem):
    write_segment([row(), bad := row(**changes)])
    (told,) = verify(ledger.path).problems
    assert problem in told
    assert bad["charge_id"] in told
    assert main(["verify", str(ledger.path)]) == 1


def test_a_broken_sealed_file_is_named_and_the_rest_still_counted(ledger, write_segment, row):
    write_segment([row()])
    seal(ledger.path)
    broken = ledger.path / "charges" / "date=2026-11-23" / "broken.parquet"
    broken.write_bytes(b"PAR1 this is none PAR1")
    found = verify(ledger.path)
    assert found.rows == 1
    assert str(broken) in found.problems[0]


def test_a_file_that_another_program_changed_but_not_its_footer_is_named(ledger, write_segment, row):
    write_segment([row()])
    seal(ledger.path)
    assert verify(ledger.path).ok
    (path,) = ledger.path.glob("charges/*/*.parquet")
    table = pq.read_table(path)
    half = pc.multiply(table["effective_cost"], pa.scalar(Decimal("0.5"))).cast(table["effective_cost"].type)
    pq.write_table(table.set_column(table.column_names.index("effective_cost"), "effective_cost", half), path)
    (told,) = verify(ledger.path).problems
    assert told.startswith(f"{path}: its footer says what its rows do not")


def test_rows_in_the_directory_of_another_day_are_found(ledger, write_segment, row):
    write_segment([row()])
    seal(ledger.path)
    (ledger.path / "charges" / "date=2026-11-23").rename(ledger.path / "charges" / "date=2026-11-21")
    assert "1 rows are of another day" in verify(ledger.path).problems[0]


def test_repair_puts_bad_lines_into_quarantine_and_removes_what_dead_processes_left(ledger, write_segment, row):
    write_segment(b"nonsense\n")
    stale = write_segment([row()]).with_name(".dead.new")
    stale.write_bytes(b"")
    long_ago = stale.stat().st_mtime - STALE_SECONDS - 60
    os.utime(stale, (long_ago, long_ago))
    fresh = stale.with_name(".alive.new")
    fresh.write_bytes(b"")
    assert "1 lines are no charge" in verify(ledger.path).problems[0]
    told = "\n".join(repair(ledger.path))
    assert "sealed 2 segments, 1 lines in quarantine" in told
    assert str(stale) in told
    assert (stale.exists(), fresh.exists()) == (False, True)
    assert verify(ledger.path).ok
    assert ledger.cost().rows()[0]["list_cost"] == Decimal("0.01")
    assert main(["repair", str(ledger.path)]) == 0


def test_an_interrupted_merge_is_read_right_and_finished(ledger, write_segment, row):
    """The merged file is there and the old ones are, too: as after a crash between rename and unlink."""
    for _ in range(2):
        write_segment([row()])
    seal(ledger.path)
    folder = ledger.path / "charges" / "date=2026-11-23"
    old = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    compact(ledger.path, today=date(2026, 12, 1))
    for name, content in old.items():
        (folder / name).write_bytes(content)
    assert len(ledger.charges(history=True)) == 2
    assert verify(ledger.path).rows == 2
    compact(ledger.path, today=date(2026, 12, 1))
    assert len(list(folder.glob("*.parquet"))) == 1


def test_a_file_of_another_program_is_read_and_its_corrections_hold(ledger, write_segment, row):
    write_segment([original := row()])
    seal(ledger.path)
    folder = ledger.path / "charges" / "date=2026-11-23"
    correction = (
        f"SELECT 'fix' AS charge_id, '{original['charge_id']}' AS corrects, 7::DECIMAL(38, 15) AS list_cost, "
        "TIMESTAMP '2026-11-23 10:00:00.000001' AS started_at, 'growth' AS team, 'USD' AS currency"
    )
    duckdb.sql(f"COPY ({correction}) TO '{folder}/foreign.parquet'")
    assert ledger.cost("team").rows()[0]["list_cost"] == 7
