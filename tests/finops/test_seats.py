"""Seats from CSV: proration, idle and unassigned ones, pooled credits, and the import into a ledger."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.errors import LedgerError, PlanError
from spanledger.finops import allocate, seats
from spanledger.ledger import Ledger
from spanledger.seat_import import book, import_seats

NINE = "".join(f"u{number},{team},19.00\n" for number, team in enumerate(["search"] * 4 + ["support"] * 3 + ["growth"]))
COPILOT = f"user,team,price\n{NINE},,19.00\n"
PLAN = {"plan": {"name": "p", "version": "1", "hierarchy": ["team"]}}


@pytest.fixture
def csv(tmp_path):
    def write(text):
        file = tmp_path / "seats.csv"
        file.write_text(text)
        return file

    return write


def read(csv, text, tool="copilot"):
    return seats.read(csv(text), tool=tool)


def costs(rows):
    return [(row.get("team"), row["tags"]["seat"], row["effective_cost"]) for row in rows]


def test_nine_seats_one_of_them_nobodys(csv, tmp_path):
    done = import_seats(csv(COPILOT), tmp_path / "spend.ledger", "2026-11", tool="copilot")
    assert done == (9, 0, 0)
    statement = allocate(Ledger(tmp_path / "spend.ledger"), PLAN, "2026-11")
    assert {row["team"]: str(row["amount"]) for row in statement.by("team")} == {
        "search": "76.00",
        "support": "57.00",
        "growth": "19.00",
        "(unallocated)": "19.00",
    }
    assert str(statement.total) == "171.00"


def test_a_second_import_changes_nothing_and_a_changed_line_is_a_correction(csv, tmp_path):
    ledger = tmp_path / "spend.ledger"
    two_free = COPILOT + ",,19.00\n"
    import_seats(csv(two_free), ledger, "2026-11", tool="copilot")
    assert import_seats(csv(two_free), ledger, "2026-11", tool="copilot") == (0, 0, 10)
    moved = two_free.replace("u0,search", "u0,growth")
    assert import_seats(csv(moved), ledger, "2026-11", tool="copilot") == (0, 1, 9)
    assert import_seats(csv(moved), ledger, "2026-11", tool="copilot") == (0, 0, 10)
    assert import_seats(csv(two_free), ledger, "2026-11", tool="copilot") == (0, 1, 9)
    statement = allocate(Ledger(ledger), PLAN, "2026-11")
    assert str(statement.owner(team="search")) == "76.00"
    assert str(statement.total) == "190.00"


def test_who_joins_pays_for_days_and_the_rest_is_nobodys(csv):
    joiner = read(csv, "user,team,price,start\nu1,search,19.00,2026-11-19\n")
    assert costs(seats.charges(joiner, "2026-11")) == [("search", "active", "7.6"), (None, "vacant", "11.4")]
    assert costs(seats.charges(joiner, "2026-11", prorated=True)) == [("search", "active", "7.6")]


def test_a_seat_that_nobody_used_is_idle_and_stays_with_its_team(csv):
    text = "user,team,price,last_active\nu1,search,20,2026-10-31T10:00:00Z\nu2,search,20,2026-11-02\nu3,search,20,\n"
    states = [state for _, state, _ in costs(seats.charges(read(csv, text), "2026-11"))]
    assert states == ["idle", "active", "active"]


def test_a_seat_that_ended_before_costs_nothing(csv):
    assert not seats.charges(read(csv, "user,team,price,end\nu1,search,19,2026-11-01\n"), "2026-11")


def test_columns_of_other_exports_are_understood(csv):
    text = "login,assigning_team,plan_type,created_at,price\nu1,search,business,2026-01-05T00:00:00Z,19\n"
    (row,) = seats.charges(read(csv, text), "2026-11")
    assert (row["user_id"], row["team"], row["tags"]) == ("u1", "search", {"seat": "active", "plan": "business"})


CREDITS = "user,team,price,credits\nu1,search,39,5000\nu2,support,39,4000\nu3,growth,39,300\n"


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("overuse", {"search": "1.208219178082192", "support": "0.591780821917808"}),
        ("use", {"search": "0.967741935483871", "support": "0.774193548387097", "growth": "0.058064516129032"}),
    ],
)
def test_credits_are_pooled_and_only_what_is_beyond_the_pool_costs(csv, by, expected):
    rows = seats.pooled(read(csv, CREDITS), "2026-11", included=3040, price="0.01", by=by)
    assert {row["team"]: row["effective_cost"] for row in rows} == expected
    assert sum(Decimal(cost) for cost in expected.values()) == Decimal("1.80")


def test_a_pool_that_is_not_used_up_costs_nothing(csv):
    assert not seats.pooled(read(csv, CREDITS), "2026-11", included=3100, price="0.01")


def test_credits_are_booked_beside_the_seats(csv, tmp_path):
    held = read(csv, CREDITS)
    rows = seats.charges(held, "2026-11") + seats.pooled(held, "2026-11", included=3040, price="0.01")
    assert book(rows, tmp_path / "spend.ledger") == (5, 0, 0)
    assert allocate(Ledger(tmp_path / "spend.ledger"), PLAN, "2026-11").total == Decimal("118.80")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,team,price\nu1,search,dear\n", "seats.csv: line 2: price: 'dear' is not an amount"),
        ("user,team,price,start\nu1,search,1,soon\n", "seats.csv: line 2: start is 'soon': it takes a day"),
        ("user,team,price,credits\nu1,search,1,many\n", "seats.csv: line 2: credits is 'many': it takes a number"),
        ("user,team\nu1,search\n", "seats.csv: line 2: price: '' is not an amount"),
    ],
)
def test_a_bad_line_is_named(csv, text, message):
    with pytest.raises(PlanError, match=message):
        read(csv, text)


def test_the_tool_must_be_known(csv):
    with pytest.raises(PlanError, match=r"seats.csv: line 2: tool is missing"):
        read(csv, "user,team,price\nu1,search,1\n", tool="")


def test_the_command(csv, tmp_path):
    command = [sys.executable, "-m", "spanledger", "import", "seats", str(csv(COPILOT)), str(tmp_path / "x.ledger")]
    run = [*command, "--period", "2026-11", "--tool", "copilot"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "9 charges booked, 0 corrected, 0 known already\n"


days = st.dates(min_value=date(2026, 10, 1), max_value=date(2027, 1, 31))


@given(st.integers(0, 10**18), days, days)
def test_a_seat_and_its_vacancy_cost_the_month(price, start, end):
    held = [seats.Seat("t", "u", price, {"team": "a"}, start=start, end=end)]
    rows = seats.charges(held, "2026-11")
    assert sum(Decimal(row["effective_cost"]) for row in rows) in (0, Decimal(price).scaleb(-15))


def test_a_ledger_that_cannot_be_written_is_an_error_and_no_import(csv, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="9 of 9 rows could not be written"):
        import_seats(csv(COPILOT), tmp_path / "file" / "spend.ledger", "2026-11", tool="copilot")
