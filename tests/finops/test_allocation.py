"""Plans and statements: fallbacks, sources of cost, what a statement shows, and what a bad plan is told."""

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanledger.errors import PlanError
from spanledger.finops import Plan, allocate
from spanledger.ledger import Ledger

HEAD = {"name": "p", "version": "2026-11-01", "hierarchy": ["team", "feature"]}


def plan(*pools, head=HEAD, **more):
    return {"plan": head, "pools": list(pools), **more}


def of(statement, *levels, **only):
    rows = [row for row in statement.lines if all(row[key] == value for key, value in only.items())]
    found = {}
    for row in rows:
        key = tuple(row[level] for level in levels)
        found[key] = found.get(key, 0) + row["amount"]
    return {key if len(key) > 1 else key[0]: str(amount) for key, amount in found.items()}


GATEWAY = {"name": "gateway", "amount": "90.00"}
HEADS = [{"name": "heads", "to": "team", "values": {"search": 2, "new": 1}}]


class TestFallbacks:
    def test_the_first_driver_that_anyone_has_any_of_divides(self, golden):
        pool = {**GATEWAY, "driver": "usage.gpu_seconds", "fallback": ["reasoning_tokens", "heads", "even"]}
        statement = allocate(golden, plan(pool, drivers=HEADS), "2026-11")
        assert of(statement, "team", source="gateway") == {"search": "60.00", "new": "30.00"}
        assert "spanledger/gateway/heads@2026-11-01" in statement.methods

    def test_without_a_fallback_it_is_unallocated_and_not_spread(self, golden):
        statement = allocate(golden, plan({**GATEWAY, "driver": "usage.gpu_seconds"}), "2026-11")
        assert of(statement, "team", source="gateway") == {"(unallocated)": "90.00"}
        assert str(statement.unallocated) == "90.00"
        assert "spanledger/gateway/unallocated@2026-11-01" in statement.methods

    def test_a_driver_that_is_not_in_force_passes(self, golden):
        later = [{**HEADS[0], "from": date(2026, 12, 1)}]
        statement = allocate(golden, plan({**GATEWAY, "driver": "heads"}, drivers=later), "2026-11")
        assert of(statement, "team", source="gateway") == {"(unallocated)": "90.00"}

    def test_an_empty_month(self, make_ledger):
        statement = allocate(make_ledger(), plan({**GATEWAY, "driver": "even", "to": "team"}), "2026-11")
        assert of(statement, "team") == {"(unallocated)": "90.00"}
        nothing = allocate(make_ledger(), plan(), "2026-11")
        assert (nothing.total, nothing.ok, len(nothing.lines), nothing.showback().rows()) == (0, True, 0, [])
        assert nothing.chargeback().balanced
        assert str(nothing).endswith("total 0.00, of which unallocated 0.00\nchecks: 2 tie")
        assert "2 tie" in nothing._repr_html_()

    @pytest.mark.parametrize(
        "ask",
        [
            lambda statement: statement.by("taem"),
            lambda statement: statement.owner(taem="search"),
            lambda statement: statement.showback("team", "taem"),
            lambda statement: statement.chargeback("taem"),
            lambda statement: statement.unallocated_by("taem"),
        ],
    )
    def test_a_level_that_is_none_is_named(self, make_ledger, ask):
        statement = allocate(make_ledger(), plan(), "2026-11")
        with pytest.raises(PlanError, match="by: 'taem' is no level of the statement: team, feature"):
            ask(statement)


class TestBelowTheOwner:
    def test_a_team_owns_it_and_no_one_feature_does(self, golden):
        statement = allocate(golden, plan({**GATEWAY, "driver": "heads"}, drivers=HEADS), "2026-11")
        assert of(statement, "team", "feature", source="gateway") == {
            ("search", "(shared)"): "60.00",
            ("new", "(shared)"): "30.00",
        }

    def test_or_it_is_spread_within_the_team(self, golden):
        pool = {**GATEWAY, "driver": "heads", "within": "requests"}
        statement = allocate(golden, plan(pool, drivers=HEADS), "2026-11")
        assert of(statement, "team", "feature", source="gateway") == {
            ("search", "chat"): "48.00",
            ("search", "summarize"): "12.00",
            ("new", "(shared)"): "30.00",
        }
        assert {row["driver"] for row in statement.drivers} == {"heads", "requests"}

    def test_above_the_owner_the_rules_say(self, golden):
        chart = {"name": "chart", "by": "team", "map": {"search": "north", "new": "south"}}
        head = {**HEAD, "hierarchy": ["unit", "team"]}
        tags = {"unit": {"default": "(unallocated)", "rules": [chart]}}
        statement = allocate(
            golden, plan({**GATEWAY, "driver": "heads"}, head=head, tags=tags, drivers=HEADS), "2026-11"
        )
        assert of(statement, "unit", "team", source="gateway") == {
            ("north", "search"): "60.00",
            ("south", "new"): "30.00",
        }


class TestSourcesOfCost:
    def test_manual_lines_make_a_total_cost_of_ownership(self, golden):
        lines = [
            {"name": "tracing tool", "amount": "50.00"},
            {"name": "engineer", "amount": "300.00", "from": date(2026, 11, 16), "until": date(2026, 12, 16)},
            {"name": "last year", "amount": "7.00", "until": date(2026, 1, 1)},
        ]
        statement = allocate(golden, plan({"name": "platform", "lines": lines, "driver": "requests"}), "2026-11")
        assert of(statement, "source")["platform"] == "200.00"

    def test_a_bill_in_focus_columns(self, golden, tmp_path):
        rows = {
            "ServiceName": ["gateway", "gateway", "other", "gateway"],
            "ChargePeriodStart": ["2026-11-01T00:00:00Z", "2026-11-30", "2026-11-02", "2026-12-01"],
            "BilledCost": ["1.25", "0.000000000000001", "9", "5"],
        }
        pa_table = pa.table(rows)
        (tmp_path / "bill.csv").write_text(
            "\n".join([",".join(rows), *(",".join(row) for row in zip(*rows.values(), strict=True))])
        )
        pq.write_table(pa_table, tmp_path / "bill.parquet")
        for file in ("bill.csv", "bill.parquet"):
            pool = {"name": "bill", "bill": {"file": file, "where": {"ServiceName": "gateway"}}, "driver": "requests"}
            statement = allocate(golden, Plan.from_dict(plan(pool), folder=tmp_path), "2026-11")
            assert sum(row["exact"] for row in statement.lines if row["source"] == "bill") == Decimal(
                "1.250000000000001"
            )

    def test_charges_of_the_ledger_move_to_a_pool_and_nothing_is_counted_twice(self, golden):
        pool = {
            "name": "growth pays all",
            "take": {"team": "growth"},
            "driver": "requests",
            "among": {"team": "search"},
        }
        statement = allocate(golden, plan(pool), "2026-11")
        assert of(statement, "team") == {"search": "800.00", "support": "400.00"}
        assert statement.total == 1200

    def test_what_a_commitment_covers_is_not_paid_twice(self, golden):
        held = {
            "name": "ptu",
            "owner": "platform",
            "amount": "900.00",
            "units": 1,
            "hours": 12_000_000,
            "covers": {"billed_model": "model-a"},
            "per_unit_hour": {"output_tokens": 2},
            "within": "requests",
        }
        statement = allocate(golden, plan(commitments=[held]), "2026-11")
        assert of(statement, "team", source="direct") == {"search": "200.00", "growth": "200.00"}
        assert of(statement, "team", source="ptu") == {"search": "300.00", "support": "300.00", "platform": "300.00"}
        (one,) = statement.commitments
        assert (one.on_demand, one.utilisation) == (800, Decimal("0.666666667"))
        assert one.break_even == Decimal("0.75")

    def test_telemetry_of_each_day(self, golden, tmp_path):
        (tmp_path / "gpu.csv").write_text("date,key,value\n2026-11-01,search,1\n2026-11-02,support,5\n2026-12-01,x,9\n")
        drivers = [{"name": "gpu", "to": "team", "file": "gpu.csv"}]
        pool = {"name": "gpus", "amount": "30.00", "driver": "gpu", "per": "day", "fallback": "even", "to": "team"}
        statement = allocate(
            golden, Plan.from_dict(plan(pool, drivers=drivers), folder=tmp_path), "2026-11-01..2026-11-03"
        )
        assert of(statement, "team", source="gpus") == {"search": "1.00", "support": "1.00"}
        month = Plan.from_dict(plan({**pool, "per": "period"}, drivers=drivers), folder=tmp_path)
        assert of(allocate(golden, month, "2026-11"), "team", source="gpus") == {"search": "5.00", "support": "25.00"}


@pytest.fixture(scope="module")
def statement(golden):
    return golden.allocate(plan({**GATEWAY, "driver": "requests"}), "2026-11")


class TestStatements:
    def test_the_ledger_allocates(self, statement):
        assert (statement.total, statement.period.label, statement.currency) == (Decimal("1290.00"), "2026-11", "USD")

    def test_it_goes_everywhere(self, statement, tmp_path):
        assert statement.to_arrow().schema.field("amount").type == pa.decimal128(38, 2)
        assert statement.to_pandas()["amount"].sum() == Decimal("1290.00")
        assert statement.to_polars()["amount"].sum() == Decimal("1290.00")
        statement.to_parquet(tmp_path / "x.parquet")
        assert pq.read_table(tmp_path / "x.parquet") == statement.to_arrow()
        assert statement.to_csv(tmp_path / "x.csv") == (tmp_path / "x.csv").read_text()
        assert (
            "direct,direct,spanledger/direct@2026-11-01,growth,chat,100.000000000000000,100.00,400,0"
            in statement.to_csv()
        )

    def test_it_shows_itself(self, statement):
        assert "total 1290.00, of which unallocated 0.00" in str(statement)
        assert "<table>" in statement._repr_html_()
        assert "checks: 4 tie" in statement._repr_html_()

    def test_html_is_escaped(self, make_ledger):
        found = allocate(make_ledger({"team": "<script>", "list_cost": "1"}), plan(), "2026-11")._repr_html_()
        assert "<script>" not in found
        assert "&lt;script&gt;" in found

    def test_it_cannot_be_changed(self, statement):
        with pytest.raises(AttributeError):
            statement.currency = "EUR"

    def test_showback_has_a_column_a_source(self, statement):
        (search, *_) = statement.showback("team")
        assert {name: str(value) for name, value in search.items()} == {
            "team": "search",
            "direct": "600.00",
            "gateway": "45.00",
            "total": "645.00",
        }

    def test_a_chargeback_must_tie_to_the_invoice(self, statement):
        with pytest.raises(PlanError, match=r"statement is 1290.00 and the invoice 1290.01, 0.01 apart: add the diff"):
            statement.chargeback(invoice="1290.01")

    def test_a_credit_is_debited_to_its_pool(self, golden):
        statement = allocate(golden, plan({"name": "credit", "amount": "-50.00", "driver": "requests"}), "2026-11")
        journal = statement.chargeback("team")
        pool = next(row for row in journal.entries if row["account"] == "pool:credit")
        assert (str(pool["debit"]), journal.balanced) == ("50.00", True)

    def test_charges_without_a_price_are_counted_and_not_zero(self, make_ledger):
        rows = {"team": "a", "cost_status": "unknown"}, {"team": "a", "list_cost": "1", "cost_status": "partial"}
        statement = allocate(make_ledger(*rows), plan(), "2026-11")
        assert [row["unpriced"] for row in statement.lines] == [2]
        assert "2 charges have no known cost, or a lower bound only" in str(statement)

    def test_the_period_is_half_open(self, make_ledger):
        moments = ["2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00.000000Z", "2026-12-01T00:00:00.000000Z"]
        rows = [{"team": "a", "list_cost": "1", "started_at": moment} for moment in moments]
        assert allocate(make_ledger(*rows), plan(), "2026-11").total == 1

    def test_another_basis(self, make_ledger):
        row = {"team": "a", "list_cost": "3", "contracted_cost": "2", "effective_cost": "1"}
        ledger = make_ledger(row)
        totals = [
            allocate(ledger, plan(head={**HEAD, "basis": basis}), "2026-11").total
            for basis in ("list_cost", "contracted_cost", "effective_cost")
        ]
        assert totals == [3, 2, 1]

    def test_rules_in_force_are_listed(self, golden):
        rules = [
            {"name": "old", "value": "x", "until": date(2026, 10, 1)},
            {"name": "new", "value": "y", "from": date(2026, 11, 5)},
        ]
        tags = {"team": {"default": "(unallocated)", "rules": rules}}
        statement = allocate(golden, plan(tags=tags), "2026-11")
        assert statement.rules == ("team/new@2026-11-05",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "plan: plan is missing: it takes a table"),
        ({"plan": {"name": "p", "version": "1"}}, "plan: plan: hierarchy is missing"),
        (plan(head={**HEAD, "hierarchy": ["input_tokens"]}), "hierarchy has 'input_tokens', which is no text"),
        (plan(head={**HEAD, "hierarchy": ["team", "team"]}), "hierarchy takes at least one level"),
        (
            plan(head={**HEAD, "dimensions": ["amount"]}),
            "dimensions has 'amount', which is a column of every statement",
        ),
        (plan(head={**HEAD, "basis": "billed"}), "basis is 'billed': it takes list_cost"),
        (plan(head={**HEAD, "inherit": ["region"]}), "inherit has 'region'"),
        (
            plan({"name": "g", "driver": "requests"}),
            "pool 'g' has no cost: a pool takes one of amount, lines, take, bill",
        ),
        (plan({"name": "g", "amount": "x", "driver": "requests"}), "pool 'g': amount 'x' is not an amount"),
        (plan({**GATEWAY, "driver": "reqests"}), "pool 'gateway': driver 'reqests' is no driver"),
        (plan({**GATEWAY, "driver": {"requests": 0}}), "driver has no weight above zero"),
        (plan({**GATEWAY, "driver": {"requests": -1}}), "driver.requests is -1: it takes a number of zero or more"),
        (plan({**GATEWAY, "driver": "even", "within": "heads"}), "within is 'heads'"),
        (plan({**GATEWAY, "percent": {"a": 50}}), "percent comes to 50: percent and serves make 100 together"),
        (plan({**GATEWAY, "percent": {"a": 100}}), "to is missing: which level are the owners under percent"),
        (plan({**GATEWAY, "driver": "even", "owners": ["a"]}), "owners needs to"),
        (plan({**GATEWAY, "driver": "requests", "serves": {"x": 5}}), "serves names 'x', which is no other pool"),
        (plan({**GATEWAY, "driver": "heads", "to": "feature"}, drivers=HEADS), "driver 'heads' is by 'team'"),
        (plan({**GATEWAY, "name": "direct", "driver": "even"}), "'direct' is the name of two sources of cost"),
        (plan(drivers=[{"name": "h", "to": "x", "values": {}}]), "driver 'h': to is 'x', and must be a level"),
        (plan(drivers=[{"name": "requests", "to": "team", "values": {}}]), "which the ledger measures: choose another"),
        (plan(drivers=HEADS * 2), "driver 'heads': from overlaps another version"),
        (plan({"name": "g", "bill": "none.csv", "driver": "even"}), "file is 'none.csv', and there is no such file"),
        (plan(services={"method": "recursive"}), "method is 'recursive': it takes direct | step_down | reciprocal"),
        (plan(pool=[]), "plan: pool is not a field here: did you mean 'pools'"),
    ],
)
def test_a_bad_plan_is_told_the_place_and_the_field(given, message):
    with pytest.raises(PlanError) as error:
        Plan.from_dict(given)
    assert message in str(error.value)


def test_other_currencies_are_refused(make_ledger):
    ledger = make_ledger({"team": "a", "list_cost": "1", "currency": "EUR"})
    with pytest.raises(PlanError, match="currency is 'USD', and 1 charges of 2026-11 are in another"):
        allocate(ledger, plan(), "2026-11")


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), True, "3", None])
def test_what_is_no_weight_is_refused(value):
    with pytest.raises(PlanError, match=r"values.a is .*: it takes a number of zero or more"):
        Plan.from_dict(plan(drivers=[{"name": "h", "to": "team", "values": {"a": value}}]))


def test_what_is_no_number_is_refused_in_telemetry_and_conditions(tmp_path):
    (tmp_path / "gpu.csv").write_text("date,key,value\n2026-11-01,search,nan\n")
    with pytest.raises(PlanError, match=r"driver 'gpu': file is 'gpu.csv', whose line 2 is not date,key,value"):
        Plan.from_dict(plan(drivers=[{"name": "gpu", "to": "team", "file": "gpu.csv"}]), folder=tmp_path)
    with pytest.raises(PlanError, match=r"among.input_tokens is Decimal\('NaN'\)"):
        Plan.from_dict(plan({**GATEWAY, "driver": "even", "among": {"input_tokens": Decimal("NaN")}}))


@pytest.mark.parametrize("period", ["2026", "2026-11-02..2026-11-02", "2026-11-02..2026-11-01", (1, 2), None])
def test_what_is_no_period_is_refused(golden, period):
    with pytest.raises(PlanError, match="is no period"):
        allocate(golden, plan(), period)


def test_a_plan_file_with_its_folder(golden, tmp_path):
    (tmp_path / "owners.csv").write_text("team,unit\nsearch,north\nsupport,south\ngrowth,south\n")
    (tmp_path / "plan.toml").write_text(
        """
[plan]
name = "showback"
version = 2026-11-01
hierarchy = ["unit"]

[tags.unit]
default = "(unallocated)"
[[tags.unit.rules]]
name = "chart"
by = "team"
map = "owners.csv"
"""
    )
    statement = golden.allocate(tmp_path / "plan.toml", (date(2026, 11, 1), date(2026, 12, 1)))
    assert of(statement, "unit") == {"north": "600.00", "south": "600.00"}
    assert statement.source == (tmp_path / "plan.toml").read_text()


def test_a_ledger_that_is_not_there(tmp_path):
    from spanledger.errors import LedgerError

    with pytest.raises(LedgerError, match="there is no ledger here"):
        allocate(Ledger(tmp_path / "none.ledger"), plan(), "2026-11")


def test_within_is_by_the_whole_period_where_a_driver_changes_midway(make_ledger):
    rows = [{"team": "a", "feature": name, "list_cost": cost} for name, cost in (("x", "3"), ("y", "1"))]
    drivers = [
        {"name": "heads", "to": "team", "values": {"a": 1}, "until": date(2026, 11, 11)},
        {"name": "heads", "to": "team", "values": {"a": 2}, "from": date(2026, 11, 11)},
    ]
    pool = {"name": "platform", "amount": "30.00", "driver": "heads", "within": "direct_cost"}
    statement = allocate(make_ledger(*rows), plan(pool, drivers=drivers), "2026-11")
    assert of(statement, "feature", source="platform") == {"x": "22.50", "y": "7.50"}


def test_measured_drivers_of_every_kind(make_ledger):
    rows = [
        {"team": "a", "duration_ms": 1.5, "usage": {"gpu_seconds": "0.25"}, "reasoning_tokens": 1, "list_cost": "1"},
        {"team": "b", "duration_ms": 4.5, "usage": {"gpu_seconds": 1}, "reasoning_tokens": 4, "cache_read_tokens": 7},
    ]
    pools = [
        {"name": driver, "amount": "100.00", "driver": driver}
        for driver in ("latency", "usage.gpu_seconds", "reasoning_tokens", "cache_read_tokens", "direct_cost")
    ]
    statement = allocate(make_ledger(*rows), plan(*pools), "2026-11")
    assert {pool["name"]: of(statement, "team", source=pool["name"]) for pool in pools} == {
        "latency": {"a": "25.00", "b": "75.00"},
        "usage.gpu_seconds": {"a": "20.00", "b": "80.00"},
        "reasoning_tokens": {"a": "20.00", "b": "80.00"},
        "cache_read_tokens": {"b": "100.00"},
        "direct_cost": {"a": "100.00"},
    }


def test_each_day_is_divided_by_what_that_day_measured(make_ledger):
    rows = [{"team": team, "started_at": f"2026-11-0{day}T09:00:00.000000Z"} for team, day in
            (("a", 1), ("a", 2), ("b", 2), ("b", 2), ("b", 2))]  # fmt: skip
    pool = {"name": "gateway", "amount": "900.00", "driver": "requests"}
    period = "2026-11-01..2026-11-03"
    ledger = make_ledger(*rows)
    by_day = allocate(ledger, plan({**pool, "per": "day"}), period)
    assert of(by_day, "team", source="gateway") == {"a": "37.50", "b": "22.50"}
    assert of(allocate(ledger, plan(pool), period), "team", source="gateway") == {"a": "24.00", "b": "36.00"}
