"""Retention: old days become exact sums, and no question is answered from what was forgotten."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanledger import Ledger
from spanledger.cli import main
from spanledger.errors import LedgerError
from spanledger.ledger._compact import compact
from spanledger.ledger._forget import forget
from spanledger.ledger._retain import first_kept
from spanledger.ledger._seal import seal
from spanledger.ledger._ship import ship
from spanledger.ledger._verify import verify

OLD = ("2026-01-01", "2026-01-02", "2026-01-03")
LATER = "2026-11-20"
KEPT = (("team",), ("day", "team"), ("unit",), ("team", "model"), ("plan",), ("status", "cost_status"), ("month",), ())


@pytest.fixture
def aged(ledger, write_segment, row):
    """Three old days and a later one: priced, lower bounds and unknown, cached or not, with tags and without."""
    for day in (*OLD, LATER):
        shared = {"started_at": f"{day}T09:30:00.5Z", "tags": {"plan": "pro", "request": "r1"}}
        write_segment(
            [
                row(**shared, team="growth", customer="acme", list_cost="0.000000000000001", costs=None),
                row(**shared, team="growth", customer="other"),
                row(**shared, team="growth", customer="other", usage={"input": 90, "cache_read": 10}),
                row(**shared, team=None, list_cost=None, costs=None, cost_status="unknown"),
                row(**{**shared, "tags": None}, team="core", cost_status="partial", input_tokens=None),
                row(started_at=f"{day}T23:59:59.999999Z", team="core", usage=None, costs={}, status="error"),
            ]
        )
    seal(ledger.path)
    return ledger


def answers(ledger, questions=KEPT, **asked):
    return [ledger.cost(by, **asked).rows() for by in questions]


def roll(ledger, by="team,tag:plan", **how):
    return ledger.retain("200d", by=by, **how)


def test_rolling_up_changes_no_sum_and_no_count_by_what_is_kept(aged):
    before, narrowed = answers(aged), answers(aged, where="team = 'growth' and plan = 'pro'")
    done = roll(aged)
    assert [str(day.day) for day in done.days] == [*OLD]
    assert [(day.told.charges, day.told.rows) for day in done.days] == [(6, 6)] * 3
    assert answers(aged) == before
    assert answers(aged, where="team = 'growth' and plan = 'pro'") == narrowed
    assert answers(Ledger(aged.path)) == before
    assert roll(aged).days == ()
    roll(aged, by="team")
    assert answers(aged, [by for by in KEPT if by != ("plan",)]) == [
        rows for by, rows in zip(KEPT, before, strict=True) if by != ("plan",)
    ]


def test_only_days_that_are_wholly_older_are_touched():
    now = datetime(2026, 1, 10, 12, tzinfo=timezone.utc)
    assert first_kept(now - datetime(2026, 1, 3, 12, tzinfo=timezone.utc), now) == date(2026, 1, 3)
    assert first_kept(now - datetime(2026, 1, 4, tzinfo=timezone.utc), now) == date(2026, 1, 4)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (lambda ledger: ledger.cost("customer"), r"^by: customer is not known .* kept day, model, team, tag:plan\."),
        (lambda ledger: ledger.cost("tag:request"), r"^by: request is not known"),
        (lambda ledger: ledger.cost("hour"), r"^by: hour is not known"),
        (lambda ledger: ledger.cost(where={"customer": None}), r"^where: customer is not known"),
        (lambda ledger: ledger.cost(where="not (team = 'x' or list_cost > 0.005)"), r"^where: list_cost is not known"),
        (lambda ledger: ledger.cost(where="started_at > '2026-01-02'"), r"^where: started_at is not known"),
        (lambda ledger: ledger.cost(history=True), r"^history: .* single charges are gone"),
        (lambda ledger: ledger.charges(limit=1), r"^charges: .* single charges are gone: ask cost\(\)"),
        (lambda ledger: ledger.sql("SELECT 1"), r"^sql: 2026-01-01 to 2026-01-03 are rolled up"),
        (lambda ledger: ledger.reprice(), r"^charges: .* single charges are gone"),
    ],
)
def test_a_question_by_what_was_forgotten_is_refused_with_the_days_and_the_way_around(aged, question, told):
    roll(aged)
    with pytest.raises(LedgerError, match=told) as refused:
        question(aged)
    assert "2026-01-01 to 2026-01-03" in str(refused.value)
    assert "since='2026-01-04'" in str(refused.value)


def test_the_way_around_that_is_named_is_one(aged):
    """Two days kept the customer, the third did not, and they come in any order."""
    before, after = (aged.cost("customer", **days).rows() for days in ({"until": OLD[2]}, {"since": "2026-01-04"}))
    folders = [aged.path / "charges" / f"date={day}" for day in OLD]
    folders[2].rename(aged.path / OLD[2])
    roll(aged, by="team,customer")
    (aged.path / OLD[2]).rename(folders[2])
    for folder in folders[:2]:
        folder.rename(aged.path / folder.name)
    roll(aged, by="team")
    for folder in folders[:2]:
        (aged.path / folder.name).rename(folder)
    with pytest.raises(
        LedgerError, match=r"2026-01-03 kept day, model, team\. Ask without it, or say since='2026-01-04'$"
    ):
        aged.cost("customer")
    with pytest.raises(LedgerError, match=r"Ask without it, or say until='2026-01-03'$"):
        aged.cost("customer", since="2026-01-02", until="2026-01-04")
    with pytest.raises(LedgerError, match=r"Ask without it$"):
        aged.cost("customer", since="2026-01-03", until="2026-01-04")
    with pytest.raises(LedgerError, match=r"2026-01-01 to 2026-01-02 kept day, model, team, customer; 2026-01-03 kept"):
        aged.cost("plan")
    assert aged.cost("customer", until=OLD[2]).rows() == before
    assert aged.cost("customer", since="2026-01-04").rows() == after
    assert aged.cost("team").notes == (
        "2026-01-01 to 2026-01-02: rolled up by day, model, team, customer",
        "2026-01-03: rolled up by day, model, team",
    )


@pytest.mark.parametrize("edge", ["since", "until"])
def test_a_period_that_cuts_a_rolled_up_day_is_refused(aged, edge):
    roll(aged)
    told = f"{edge}: .* in the middle of 2026-01-02, .* say {edge}='2026-01-02' or {edge}='2026-01-03'"
    with pytest.raises(LedgerError, match=told):
        aged.cost(**{edge: "2026-01-02T08:00:00Z"})
    assert aged.cost(since="2026-01-02", until="2026-01-03").rows()[0]["charges"] == 6
    assert aged.cost(since=f"{LATER}T12:00:00Z").rows()[0]["charges"] == 1


def test_sql_that_knows_of_sums_has_their_number_and_none_of_what_is_gone(aged):
    total = aged.sql("SELECT count(*) AS charges, sum(list_cost) AS cost FROM charges").rows()
    skipped = aged.sql("SELECT count(*) AS n FROM charges", since=LATER).rows()
    roll(aged, by="team")
    asked = "SELECT CAST(sum(coalesce(charge_count, 1)) AS BIGINT) AS charges, sum(list_cost) AS cost FROM charges"
    assert aged.sql(asked, rolled="include").rows() == total
    assert aged.sql("SELECT count(*) AS n FROM charges", rolled="skip").rows() == skipped
    everything = aged.sql("SELECT * FROM charges", rolled="include").columns
    assert everything == aged.sql("SELECT COLUMNS(*) FROM charges", rolled="include").columns
    assert not {"customer", "charge_id", "tags", "trace_id", "duration_ms"} & {*everything}
    for query in ("SELECT customer FROM charges", "SELECT tags['plan'] FROM charges", "SELECT * FROM history"):
        with pytest.raises(LedgerError, match=r"2026-01-01 to 2026-01-03 are rolled up; there, charges has only"):
            aged.sql(query, rolled="include")
    with pytest.raises(LedgerError, match="rolled: takes refuse or skip or include"):
        aged.sql("SELECT 1", rolled="perhaps")
    assert aged.sql("SELECT count(*) AS n FROM history", since=LATER).rows() == skipped


def test_what_was_forgotten_is_stated_in_the_file_and_by_every_command(aged, capsys):
    roll(aged, by="team")
    (path,) = aged.path.glob("charges/date=2026-01-01/*.parquet")
    said = orjson.loads(pq.read_metadata(path).metadata[b"rolled"])
    assert (said["charges"], said["rows"], said["kept"]) == (6, 6, ["team"])
    assert {"customer", "charge_id", "started_at", "tag:plan", "tag:request"} == {*said["forgotten"]}
    assert (said["first"], said["last"]) == ("2026-01-01T09:30:00.500000Z", "2026-01-01T23:59:59.999999Z")
    assert not {"customer", "tags", "trace_id"} & {*pq.read_schema(path).names}
    stated = (
        "2026-01-01 to 2026-01-03: 18 charges rolled up into 18 rows by day, model, team, the first at 2026-01-01T09"
    )
    for command in ("verify", "doctor"):
        main([command, str(aged.path)])
        told = capsys.readouterr().out
        assert stated in told
        assert "forgotten: charge_id, started_at, customer, tag:plan, tag:request" in told
    note = "2026-01-01 to 2026-01-03: rolled up by day, model, team"
    assert aged.cost("team").notes == (note,)
    assert note in repr(aged.cost("team"))
    assert aged.cost("team", since=LATER).notes == ()
    assert [row["charges"] for row in aged.rolled()] == [6, 6, 6]


def test_verify_counts_the_charges_of_sums_and_finds_no_fault_in_them(aged):
    rows, problems = verify(aged.path).charges, verify(aged.path).problems
    roll(aged)
    found = verify(aged.path)
    assert found.charges == rows == 24
    assert len(found.problems) == len(problems)


@pytest.mark.parametrize("footer", [{}, {b"rolled": b"{"}, {b"rolled": b"[]"}, {b"rolled": b'{"kept": 1}'}])
def test_a_file_whose_footer_does_not_say_what_it_is_is_named(aged, footer):
    roll(aged)
    path = next(aged.path.glob("charges/date=2026-01-02/*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(footer), path)
    with pytest.raises(LedgerError, match=path.name):
        Ledger(aged.path).cost("team")
    assert any(path.name in problem for problem in verify(aged.path).problems)
    assert path.name in str(aged.health())


def test_charges_that_come_late_to_a_rolled_up_day_count_once_before_and_after_they_are_rolled_up(
    aged, write_segment, row
):
    roll(aged)
    before = aged.cost("day,team,unit").rows()
    write_segment([late := row(started_at="2026-01-02T10:00:00Z", list_cost="3", customer="new"), late])
    with_late = answers(aged)
    assert sum(one["charges"] for one in aged.cost("day", until="2026-01-04")) == 19
    for step in (lambda: seal(aged.path), lambda: compact(aged.path, date(2027, 1, 1)), lambda: roll(aged)):
        step()
        assert answers(aged) == with_late
    assert len(list(aged.path.glob("charges/date=2026-01-02/*.parquet"))) == 1
    assert before != aged.cost("day,team,unit").rows()


def test_a_correction_made_before_is_in_the_sum_and_one_that_comes_after_is_refused_and_put_aside(
    aged, write_segment, row
):
    chosen = aged.charges(where="team = 'core'", since="2026-01-02", until="2026-01-03", columns=["charge_id"])
    first, second = (one["charge_id"] for one in chosen)
    write_segment([row(corrects=first, list_cost="7", started_at="2026-01-02T09:30:00.5Z")])
    before = answers(aged)
    assert roll(aged).days[1].told.superseded == 1
    assert answers(aged) == before
    late = row(corrects=second, list_cost="9", started_at="2026-01-02T23:59:59.999999Z")
    write_segment([late, row(corrects=late["charge_id"], list_cost="10", started_at="2026-01-02T23:59:59.999999Z")])
    for _ in range(2):
        with pytest.raises(LedgerError, match=f"2 corrections, e.g. {late['charge_id']}, .* have been rolled up since"):
            aged.cost("team")
        seal(aged.path)
    assert aged.cost("team", since="2026-01-03").rows()
    assert roll(aged).lost_corrections == 2
    assert answers(aged) == before
    (kept,) = aged.path.glob("quarantine/*.jsonl")
    assert [orjson.loads(line)["list_cost"] for line in kept.read_bytes().splitlines()] == ["9", "10"]


def test_the_columns_of_a_newer_version_are_kept_apart(ledger, write_segment, row):
    write_segment([row(started_at="2026-01-01T10:00:00Z", carbon_grams=grams) for grams in ("3", "3", "4", None)])
    seal(ledger.path)
    roll(ledger, by="")
    (path,) = ledger.path.glob("charges/*/rolled-*.parquet")
    found = pq.read_table(path).select(["extra", "charge_count"]).to_pylist()
    assert {(one["extra"], one["charge_count"]) for one in found} == {
        ('{"carbon_grams":"3"}', 2),
        ('{"carbon_grams":"4"}', 1),
        (None, 1),
    }


def test_dropped_days_keep_how_many_charges_they_had_and_answer_nothing(aged, capsys):
    assert main(["retain", str(aged.path), "--older-than", "200d", "--drop"]) == 0
    assert "2026-01-01 to 2026-01-03: 18 charges dropped" in capsys.readouterr().out
    with pytest.raises(LedgerError, match=r"18 charges were dropped, .* or say since='2026-01-04'"):
        aged.cost("team")
    assert aged.cost("team", since="2026-01-04").rows()[0]["charges"] == 3
    assert roll(aged, by="team").days == ()
    assert aged.retain("200d", drop=True).days == ()
    assert main(["retain", str(aged.path), "--older-than", "200d", "--by", "team"]) == 0
    assert "nothing to roll up" in capsys.readouterr().out


def test_a_customer_is_forgotten_in_sums_that_kept_them_and_there_is_nothing_where_not(aged, capsys):
    roll(aged, by="team,customer")
    totals = aged.cost("day,team").rows()
    assert forget(aged.path, "customer", "acme").rows == 4
    assert aged.cost("day,team").rows() == totals
    assert {one["customer"] for one in aged.cost("customer", until="2026-01-04")} == {None, "other"}
    assert not [path for path in aged.path.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]
    roll(aged, by="team")
    assert main(["forget", str(aged.path), "--customer", "other"]) == 0
    assert "2026-01-01 to 2026-01-03: rolled up without customer, so nothing of it was there" in capsys.readouterr().out
    assert aged.cost("day,team").rows() == totals


def test_a_person_in_what_no_column_holds_is_forgotten_too(ledger, write_segment, row):
    write_segment([row(started_at="2026-01-01T10:00:00Z", customer="acme", input_tokens="many"), row()])
    seal(ledger.path)
    roll(ledger, by="team")
    assert forget(ledger.path, "customer", "acme").rows == 1
    assert not [path for path in ledger.path.rglob("*") if path.is_file() and b"acme" in path.read_bytes()]


def test_shipping_replaces_what_was_there(aged, tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    elsewhere = tmp_path / "warehouse"
    ship(aged.path, str(elsewhere))
    roll(aged)
    assert ship(aged.path, str(elsewhere)).replaced == 3
    assert answers(Ledger(f"file://{elsewhere}")) == answers(aged)
    assert len(list(elsewhere.glob("charges/date=2026-01-01/*.parquet"))) == 1


def test_what_is_no_dimension_is_named(aged):
    with pytest.raises(LedgerError, match="by: list_cost is no dimension that a rolled-up day can have"):
        roll(aged, by="list_cost")
    with pytest.raises(LedgerError, match="older_than: '3 years' is no duration"):
        aged.retain("3 years")
    assert len(roll(aged, by="day,unit,model,team").days) == 3


def test_tail_and_trace_go_on_with_the_days_that_are_left(aged, write_segment, row, capsys):
    roll(aged)
    write_segment([row(trace_id="t" * 32)])
    assert aged.trace("t" * 32).cost == Decimal("0.01")
    with pytest.raises(LedgerError, match="no charge has trace_id or workflow_id 'gone'; 2026-01-01 to 2026-01-03"):
        aged.trace("gone")
    assert main(["tail", str(aged.path)]) == 0
    assert "growth" in capsys.readouterr().out


def test_an_interrupted_roll_is_read_right_and_finished(aged):
    """The rolled-up file is there and the old ones are, too: as after a crash between rename and unlink."""
    before = answers(aged)
    folder = aged.path / "charges" / "date=2026-01-01"
    old = {path: path.read_bytes() for path in folder.glob("*.parquet")}
    roll(aged)
    for path, content in old.items():
        path.write_bytes(content)
    assert answers(aged) == before
    assert roll(aged).days == ()
    assert len(list(folder.glob("*.parquet"))) == 1


def test_a_table_of_what_was_rolled_up_is_empty_where_nothing_was(aged):
    assert aged.rolled().rows() == []
    assert pa.types.is_date32(aged.rolled().to_arrow().schema.field("day").type)
