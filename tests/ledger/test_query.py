"""Questions to a ledger, over real segments and a real DuckDB."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

from spanledger import Ledger
from spanledger.errors import LedgerError


def costs(ledger, *by, **asked):
    """`cost()` as {dimensions: list_cost}."""
    return {tuple(row[name] for name in by): row["list_cost"] for row in ledger.cost(by, **asked)}


def test_costs_are_exact_decimals_by_any_column_and_the_dearest_come_first(ledger, book, row):
    book(row(team="core", list_cost="0.000000000000001"), row(team="growth", list_cost="79228162514264337593.5"))
    book(row(team="core", list_cost="0.1"), row(team=None, list_cost="0.2"))
    answer = ledger.cost("team").rows()
    assert [(one["team"], one["list_cost"]) for one in answer] == [
        ("growth", Decimal("79228162514264337593.5")),
        (None, Decimal("0.2")),
        ("core", Decimal("0.100000000000001")),
    ]
    assert answer[2]["charges"] == 2
    assert answer[2]["input_tokens"] == 200
    assert answer[2]["output_tokens"] == 20


def test_an_unknown_cost_is_counted_and_never_taken_for_zero(ledger, book, row):
    unknown = {"list_cost": None, "contracted_cost": None, "effective_cost": None, "costs": None}
    book(row(), row(**unknown, cost_status="unknown"), row(cost_status="partial"))
    book(row(team="new", **unknown, cost_status="unknown"))
    growth, new = ledger.cost(["team"]).rows()
    assert (growth["list_cost"], growth["unpriced"]) == (Decimal("0.02"), 2)
    assert (new["list_cost"], new["effective_cost"], new["unpriced"]) == (None, None, 1)


def test_time_dimensions_are_in_order_of_time(ledger, book, row):
    book(row(started_at="2026-11-24T23:59:59.999999Z", list_cost="1"), row(started_at="2026-11-23T00:00:00Z"))
    book(row(started_at="2026-11-25T01:30:00+02:00", list_cost="2"))
    assert costs(ledger, "day") == {(date(2026, 11, 23),): Decimal("0.01"), (date(2026, 11, 24),): Decimal(3)}
    assert list(costs(ledger, "day")) == sorted(costs(ledger, "day"))
    assert costs(ledger, "month") == {(date(2026, 11, 1),): Decimal("3.01")}
    assert costs(ledger, "week") == {(date(2026, 11, 23),): Decimal("3.01")}
    assert datetime(2026, 11, 24, 23, tzinfo=timezone.utc) in {hour for (hour,) in costs(ledger, "hour")}


def test_dimensions_may_be_tags_models_and_units(ledger, book, row):
    book(row(tags={"zone": "eu", "team": "shadowed"}), row(billed_model=None, request_model="alias"))
    assert {name for (name,) in costs(ledger, "team")} == {"growth"}
    assert {name for (name,) in costs(ledger, "zone")} == {"eu", None}
    assert {name for (name,) in costs(ledger, "model")} == {"gpt-5", "alias"}
    assert ledger.cost("tag:zone").columns[0] == "zone"
    by_unit = {row["unit"]: row for row in ledger.cost("unit")}
    assert by_unit["input"]["quantity"] == 200
    assert by_unit["output"]["list_cost"] == Decimal("0.012")
    assert sum(unit["list_cost"] for unit in by_unit.values()) == ledger.cost().rows()[0]["list_cost"]


def test_a_unit_without_a_price_is_counted_as_unpriced(ledger, book, row):
    book(row(usage={"input": 100, "audio_seconds": "1.5"}, costs={"input": "0.01"}, cost_status="partial"))
    assert {one["unit"]: (one["quantity"], one["list_cost"], one["unpriced"]) for one in ledger.cost("unit")} == {
        "input": (100, Decimal("0.01"), 0),
        "audio_seconds": (Decimal("1.5"), None, 1),
    }


def test_amounts_of_two_currencies_are_never_added(ledger, book, row):
    book(row(), row(currency="EUR", list_cost="5"), row(currency=None, list_cost=None, cost_status="unknown"))
    assert [(one["currency"], one["list_cost"]) for one in ledger.cost("team")] == [
        ("EUR", Decimal(5)),
        ("USD", Decimal("0.01")),
    ]


@pytest.mark.parametrize(
    ("where", "teams"),
    [
        ("team = 'growth'", {"growth"}),
        ("team != 'growth'", {"core", None}),
        ("not team = 'growth'", {"core", None}),
        ("not not team = 'growth'", {"growth"}),
        ("not (team = 'growth' or team = 'core')", {None}),
        ("team not in ('growth')", {"core", None}),
        ("not team not in ('growth')", {"growth"}),
        ("team like 'gr%' or team is null", {"growth", None}),
        ("team not like 'gr%'", {"core", None}),
        ("list_cost > 0.015", {"core"}),
        ("not list_cost > 0.015", {"growth", None}),
        ("day = '2026-11-23'", {"growth", "core", None}),
        ("started_at < '2026-11-23T00:00:00Z'", set()),
        ("tag:region = 'it''s; DROP'", {"core"}),
        ({"team": ["growth", None]}, {"growth", None}),
        ({"team": []}, set()),
        ({"list_cost": Decimal("0.02"), "team": "core"}, {"core"}),
    ],
)
def test_where_has_two_answers_and_loses_no_unknown(ledger, book, row, where, teams):
    book(row(), row(team="core", list_cost="0.02", tags={"region": "it's; DROP"}), row(team=None, list_cost=None))
    assert {team for (team,) in costs(ledger, "team", where=where)} == teams


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": "taem"}, "by: there is no field 'taem' .did you mean team"),
        ({"by": "team; drop"}, "by: there is no field 'team; drop'"),
        ({"by": "usage"}, "by: usage holds several values"),
        ({"where": "taem = 'x'"}, "where: there is no field 'taem'"),
        ({"where": "list_cost > 'much'"}, "where: list_cost takes a number"),
        ({"where": "team = 3"}, "where: team takes text in quotes"),
        ({"where": "stream = 'yes'"}, "where: stream takes true or false"),
        ({"where": "day > 'soon'"}, "where: day: 'soon' is no date"),
        ({"where": {"team": object()}}, "where: team takes text"),
        ({"where": "costs = '1'"}, "where: costs takes only null"),
        ({"last": "soon"}, "last: 'soon' is no duration"),
        ({"last": "3d", "since": "2026-01-01"}, "either last= or since="),
        ({"since": "yesterday"}, "since: 'yesterday' is no date"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "until: .* is not after"),
    ],
)
def test_a_wrong_question_names_the_field_and_the_choices(ledger, book, row, asked, message):
    book(row())
    with pytest.raises(LedgerError, match=message):
        ledger.cost(**asked)


def test_since_is_included_and_until_is_not(ledger, book, row):
    book(row(started_at="2026-11-23T00:00:00Z"), row(team="core", started_at="2026-11-24T00:00:00Z"))
    assert costs(ledger, "team", since="2026-11-23", until=date(2026, 11, 24)) == {("growth",): Decimal("0.01")}
    end = datetime(2026, 11, 25, 1, tzinfo=timezone(timedelta(hours=1)))
    assert costs(ledger, "team", until=end, last="24h") == {("core",): Decimal("0.01")}
    assert costs(ledger, "team", until=end, last=timedelta(days=2)).keys() == {("growth",), ("core",)}


def test_charges_come_in_order_of_time_with_python_values(ledger, book, row):
    book(row(started_at="2026-11-24T00:00:00Z", tags={"a": "b"}, finish_reasons=["stop"]), row())
    first, second = ledger.charges()
    assert first["started_at"] == datetime(2026, 11, 23, 10, 0, 0, 1, tzinfo=timezone.utc)
    assert second["tags"] == {"a": "b"}
    assert second["finish_reasons"] == ["stop"]
    assert second["costs"] == {"input": Decimal("0.004"), "output": Decimal("0.006")}
    assert second["region"] is None
    assert ledger.charges(columns=["a", "day"], limit=1).rows() == [{"a": "b", "day": date(2026, 11, 24)}]


def test_what_a_newer_version_wrote_is_kept_and_read_as_extra(ledger, book, row):
    book(row(carbon_grams="3", tags={"a": "b"}), row(started_at="2026-11-24T00:00:00Z"))
    answer = ledger.charges(columns=["extra", "list_cost", "started_at"])
    assert [one["extra"] for one in answer] == ['{"carbon_grams":"3"}', None]
    assert answer.rows()[0]["list_cost"] == Decimal("0.01")
    assert answer.rows()[0]["started_at"] == datetime(2026, 11, 23, 10, 0, 0, 1, tzinfo=timezone.utc)


def test_a_trace_is_a_tree_of_workflow_steps_and_calls(ledger, book, row):
    chain = {"trace_id": "a" * 32, "workflow": "agent", "workflow_id": "w1"}
    book(
        row(**chain, span_id="1", tags={"step": "plan/search"}),
        row(**chain, span_id="2", tags={"step": "plan"}, started_at="2026-11-23T11:00:00Z"),
        row(**chain, span_id="2", list_cost=None, started_at="2026-11-23T12:00:00Z", status="error"),
        row(trace_id="b" * 32),
    )
    trace = ledger.trace("a" * 32)
    assert (trace.cost, trace.unpriced, len(trace.charges)) == (Decimal("0.02"), 1, 3)
    plan = trace.tree.children["agent"].children["plan"]
    assert (plan.charges, plan.list_cost) == (2, Decimal("0.02"))
    assert plan.children["search"].children["1"].list_cost == Decimal("0.01")
    assert trace.tree.children["agent"].children["2"].name == "chat gpt-5 (error)"
    assert str(ledger.trace("w1").cost) == str(trace.cost)
    assert "0.020000 + 1 unpriced" in repr(trace)
    with pytest.raises(LedgerError, match="no charge has trace_id or workflow_id"):
        ledger.trace("it''s")


def test_sql_of_your_own_sees_charges_and_history(ledger, book, row):
    book(original := row(), row(corrects=original["charge_id"], list_cost="0.02"))
    asked = "SELECT (SELECT sum(list_cost) FROM charges) AS now, (SELECT count(*) FROM history) AS rows, $1 AS bound"
    assert ledger.sql(asked, ["x"]).rows() == [{"now": Decimal("0.02"), "rows": 2, "bound": "x"}]
    with pytest.raises(LedgerError, match="no_such_column"):
        ledger.sql("SELECT no_such_column FROM charges")


def test_results_convert_exactly(ledger, book, row):
    book(row(list_cost="0.000000000000001", tags={"a": "b"}), row(list_cost="0.3"))
    answer = ledger.charges(columns=["list_cost", "tags", "started_at", "costs"])
    assert str(answer.to_arrow().schema.field("list_cost").type) == "decimal128(38, 15)"
    assert str(answer.to_arrow().schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    frame = answer.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["list_cost"].sum() == Decimal("0.300000000000001")
    polars = answer.to_polars()
    assert isinstance(polars, pl.DataFrame)
    assert polars["list_cost"].sum() == Decimal("0.300000000000001")
    assert '"list_cost": "0.000000000000001"' in answer.to_json()
    assert answer.to_csv().splitlines()[1].startswith("0.000000000000001,")


def test_a_notebook_shows_an_escaped_table_with_shares(ledger, book, row):
    book(row(team="<script>"), row(team="core", list_cost="0.03"))
    shown = ledger.cost("team")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert '<td style="text-align:right">75.0%</td>' in shown
    assert "25.0%" in repr(ledger.cost("team"))


def test_amounts_too_small_to_show_are_not_shown_as_zero(ledger, book, row):
    book(row(list_cost="0.0000000001"))
    assert "<0.000001" in repr(ledger.cost("team"))


def test_an_empty_ledger_gives_empty_answers_and_a_missing_one_an_error(ledger, tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger here"):
        ledger.cost("team")
    (tmp_path / "spend.ledger").mkdir()
    assert len(ledger.cost("team")) == 0
    assert len(ledger.charges()) == 0
    assert "team" in repr(ledger.cost("team"))
    with pytest.raises(LedgerError, match="there is no field 'taem'"):
        ledger.cost("taem")


def test_a_directory_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(LedgerError, match=r"meta\.json.*schema_version"):
        Ledger(tmp_path).cost()


def test_a_slow_question_prints_nothing(ledger, book, row, capfd):
    """DuckDB draws a progress bar on standard output after two seconds, also into a report that goes to a file."""
    book(row())
    settings = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    assert ledger.sql(settings).rows() == [{"value": "false"}]
    assert capfd.readouterr().out == ""
