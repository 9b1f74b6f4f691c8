"""Every number of the worked example, through a plan and a ledger: November 2026, 1,200.00 dollars of direct cost."""

from datetime import date
from decimal import Decimal

import pytest

from spanledger.finops import allocate, unit_costs
from spanledger.finops._views import grouped

TEAMS = ("search", "support", "growth")


def plan(*pools, levels=("team",), dimensions=(), **more):
    head = {"name": "golden", "version": "2026-11-01", "hierarchy": list(levels), "dimensions": list(dimensions)}
    return {"plan": head, "pools": list(pools), **more}


def pool(amount="1000.00", name="gateway", **fields):
    return {"name": name, "amount": amount, **fields}


def owners(statement, level="team", **only):
    """Owner to published amount, as text."""
    rows = grouped(statement.lines, [level, "source", "kind"], ["amount"])
    totals = {}
    for row in rows:
        if all(row[key] == value for key, value in only.items()):
            totals[row[level]] = totals.get(row[level], Decimal(0)) + row["amount"]
    assert statement.ok, [check for check in statement.checks if not check.ok]
    return {owner: str(amount) for owner, amount in totals.items()}


def teams(*amounts, **others):
    return {**dict(zip(TEAMS, amounts, strict=True)), **others}


DRIVERS = [
    {"name": "headcount", "to": "team", "values": {"search": 12, "support": 5, "growth": 3}},
    {"name": "desks", "to": "team", "values": {"search": 7, "support": 5, "growth": 3}},
    {"name": "revenue", "to": "team", "values": {"search": 500_000, "support": 300_000, "growth": 100_000}},
]


class TestDirect:
    @pytest.mark.parametrize(
        ("level", "expected"),
        [
            ("team", teams("600.00", "400.00", "200.00")),
            ("feature", {"chat": "900.00", "summarize": "300.00"}),
            ("customer", {"acme": "600.00", "globex": "300.00", "initech": "200.00", "(unallocated)": "100.00"}),
            ("billed_model", {"model-a": "800.00", "model-b": "400.00"}),
        ],
    )
    def test_totals(self, golden, level, expected):
        statement = allocate(golden, plan(levels=[level]), "2026-11")
        assert owners(statement, level) == expected
        assert str(statement.total) == "1200.00"


class TestGateway:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"driver": "requests"}, ("500.00", "400.00", "100.00")),
            ({"driver": "tokens"}, ("500.00", "138.73", "361.27")),
            ({"driver": "direct_cost"}, ("500.00", "333.33", "166.67")),
            ({"driver": "even", "to": "team"}, ("333.33", "333.33", "333.34")),
            ({"driver": "headcount"}, ("600.00", "250.00", "150.00")),
            ({"driver": "desks"}, ("466.67", "333.33", "200.00")),
            ({"driver": "revenue"}, ("555.56", "333.33", "111.11")),
            ({"to": "team", "percent": {"search": 50, "support": 30, "growth": 20}}, ("500.00", "300.00", "200.00")),
            ({"driver": {"tokens": Decimal("0.5"), "requests": Decimal("0.5")}}, ("500.00", "269.36", "230.64")),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_by_each_rule(self, golden, fields, expected):
        statement = allocate(golden, plan(pool(**fields), drivers=DRIVERS), "2026-11")
        assert owners(statement, source="gateway") == teams(*expected)
        assert statement.exact_total == Decimal(2200)

    def test_exact_before_rounding(self, golden):
        half = Decimal("0.5")
        statement = allocate(golden, plan(pool(driver={"tokens": half, "requests": half})), "2026-11")
        lines = grouped(statement.lines, ["source", "team"], ["exact"])
        parts = grouped(statement.drivers, ["team"], ["part"])
        assert [row["exact"] for row in lines if row["source"] == "gateway"] == [row["part"] for row in parts]
        assert {row["team"]: row["part"] for row in parts} == {
            "search": Decimal(500),
            "support": Decimal("269.364161849710983"),
            "growth": Decimal("230.635838150289017"),
        }

    @pytest.mark.parametrize(
        ("level", "expected"),
        [
            ("feature", {"chat": "840.00", "summarize": "160.00"}),
            ("customer", {"acme": "600.00", "globex": "160.00", "initech": "200.00", "(unallocated)": "40.00"}),
        ],
    )
    def test_by_requests_to_every_level(self, golden, level, expected):
        by_cell = plan(pool(driver="requests"), levels=["team", "feature"], dimensions=["customer"])
        assert owners(allocate(golden, by_cell, "2026-11"), level, source="gateway") == expected

    def test_by_requests_to_the_finest_cells(self, golden):
        by_cell = plan(pool(driver="requests"), levels=["team", "feature"], dimensions=["customer"])
        lines = [row for row in allocate(golden, by_cell, "2026-11").lines if row["source"] == "gateway"]
        assert {(row["team"], row["feature"], row["customer"]): str(row["amount"]) for row in lines} == {
            ("search", "chat", "acme"): "400.00",
            ("search", "summarize", "globex"): "100.00",
            ("support", "chat", "acme"): "200.00",
            ("support", "chat", "initech"): "200.00",
            ("growth", "summarize", "globex"): "60.00",
            ("growth", "chat", "(unallocated)"): "40.00",
        }

    @pytest.mark.parametrize(
        ("amount", "expected"),
        [("100.00", ("33.33", "33.33", "33.34")), ("-10.00", ("-3.33", "-3.33", "-3.34"))],
    )
    def test_three_even_parts(self, golden, amount, expected):
        statement = allocate(golden, plan(pool(amount, driver="even", to="team")), "2026-11")
        assert owners(statement, source="gateway") == teams(*expected)

    def test_one_cent_goes_to_the_first_key(self, golden):
        statement = allocate(golden, plan(pool("0.01", driver="even", to="team")), "2026-11")
        assert owners(statement, source="gateway") == teams("0.00", "0.00", "0.01")

    def test_seventy_percent_of_requests_is_seventy_percent_of_the_cost(self, golden):
        among = {"team": ["search", "support"], "customer": ["acme", "globex"]}
        statement = allocate(golden, plan(pool("700.00", driver="requests", among=among)), "2026-11")
        assert owners(statement, source="gateway") == {"search": "500.00", "support": "200.00"}


COMMITMENT = {
    "name": "ptu",
    "owner": "platform",
    "to": "team",
    "units": 100,
    "hours": 30,
    "price": "1.00",
    "used": {"search": 1200, "support": 600, "growth": 0},
    "reservations": {"search": 60, "support": 30, "growth": 10},
}


def commitment(idle):
    return {**COMMITMENT, "idle": idle}


class TestProvisionedThroughput:
    @pytest.mark.parametrize(
        ("idle", "expected"),
        [
            ("owner", {"search": "1200.00", "support": "600.00", "platform": "1200.00"}),
            ("proportional", {"search": "2000.00", "support": "1000.00"}),
            ("reserved", {"search": "1920.00", "support": "960.00", "growth": "120.00"}),
            ("unused_reservation", {"search": "1800.00", "support": "900.00", "growth": "300.00"}),
            ("even", {"search": "1600.00", "support": "1000.00", "growth": "400.00"}),
        ],
    )
    def test_each_idle_policy(self, golden, idle, expected):
        statement = allocate(golden, plan(commitments=[commitment(idle)]), "2026-11")
        assert owners(statement, source="ptu") == expected
        assert str(statement.idle) == "1200.00"

    @pytest.mark.parametrize(
        ("idle", "expected"),
        [
            ("reserved", {"search": "720.00", "support": "360.00", "growth": "120.00"}),
            ("unused_reservation", {"search": "600.00", "support": "300.00", "growth": "300.00"}),
            ("even", {"search": "400.00", "support": "400.00", "growth": "400.00"}),
        ],
    )
    def test_idle_is_a_line_of_its_own(self, golden, idle, expected):
        statement = allocate(golden, plan(commitments=[commitment(idle)]), "2026-11")
        assert owners(statement, source="ptu", kind="idle") == expected

    def test_utilisation(self, golden):
        (one,) = allocate(golden, plan(commitments=[commitment("owner")]), "2026-11").commitments
        assert (one.cost, one.idle, one.capacity, one.used, one.utilisation) == (3000, 1200, 3000, 1800, Decimal("0.6"))

    def test_by_reservation_alone(self, golden):
        whole = pool("3000.00", to="team", percent={"search": 60, "support": 30, "growth": 10})
        statement = allocate(golden, plan(whole), "2026-11")
        assert owners(statement, source="gateway") == teams("1800.00", "900.00", "300.00")


class TestSeats:
    def test_direct_and_unassigned(self, seats):
        statement = allocate(seats, plan(), "2026-11")
        assert owners(statement) == teams("76.00", "57.00", "19.00", **{"(unallocated)": "19.00"})
        assert str(statement.unallocated) == "19.00"
        assert {row["source"] for row in statement.lines} == {"seats"}

    def test_the_unassigned_seat_spread(self, seats):
        spread = {
            "name": "unassigned seats",
            "take": {"operation": "seat", "team": {"present": False}},
            "driver": "seats",
            "among": {"team": {"present": True}},
        }
        assert owners(allocate(seats, plan(spread), "2026-11")) == teams("85.50", "64.13", "21.37")


class TestVectorDatabase:
    def test_storage_and_queries(self, golden):
        drivers = [
            {"name": "gigabytes", "to": "team", "values": {"search": 6, "support": 3, "growth": 1}},
            {"name": "queries", "to": "team", "values": {"search": 400_000, "support": 400_000, "growth": 200_000}},
        ]
        pools = pool("84.00", "storage", driver="gigabytes"), pool("36.00", "search", driver="queries")
        statement = allocate(golden, plan(*pools, drivers=drivers), "2026-11")
        assert owners(statement, source="storage") == teams("50.40", "25.20", "8.40")
        assert owners(statement, source="search") == teams("14.40", "14.40", "7.20")
        both = {team: statement.owner(team=team) - statement.owner(team=team, source="direct") for team in TEAMS}
        assert {team: str(amount) for team, amount in both.items()} == teams("64.80", "39.60", "15.60")


class TestInvoice:
    def test_pro_rata_true_up(self, golden):
        true_up = pool("36.00", "true-up", driver="direct_cost")
        statement = allocate(golden, plan(true_up, dimensions=["customer"]), "2026-11")
        assert owners(statement, source="true-up") == teams("18.00", "12.00", "6.00")
        assert owners(statement, "customer", source="true-up") == {
            "acme": "18.00",
            "globex": "9.00",
            "initech": "6.00",
            "(unallocated)": "3.00",
        }

    def test_true_up_by_cause(self, golden):
        price = pool("20.00", "price variance", driver="input_tokens", among={"billed_model": "model-b"})
        quantity = pool("16.00", "quantity variance", driver="output_tokens", among={"billed_model": "model-a"})
        statement = allocate(golden, plan(price, quantity), "2026-11")
        assert owners(statement, source="price variance") == {"search": "10.00", "growth": "10.00"}
        assert owners(statement, source="quantity variance") == {"search": "8.00", "support": "8.00"}
        assert statement.total == Decimal("1236.00")
        assert statement.chargeback(invoice="1236.00").balanced

    def test_credit_and_tax(self, golden):
        credit = pool("-50.00", "credit", driver="direct_cost")
        tax = pool("94.88", "tax", driver="direct_cost")
        statement = allocate(golden, plan(credit, tax), "2026-11")
        assert owners(statement, source="credit") == teams("-25.00", "-16.67", "-8.33")
        assert owners(statement, source="tax") == teams("47.44", "31.63", "15.81")


def full(idle):
    kept = {"operation": {"not": "seat"}}
    return plan(
        pool(driver="requests"),
        pool("36.00", "true-up", driver="direct_cost", among=kept),
        commitments=[commitment(idle)],
    )


class TestFullChargeback:
    @pytest.mark.parametrize(
        ("idle", "expected"),
        [
            ("owner", {**teams("2394.00", "1469.00", "325.00"), "platform": "1200.00", "(unallocated)": "19.00"}),
            ("proportional", {**teams("3194.00", "1869.00", "325.00"), "(unallocated)": "19.00"}),
            ("reserved", {**teams("3114.00", "1829.00", "445.00"), "(unallocated)": "19.00"}),
        ],
    )
    def test_every_source_together(self, everything, idle, expected):
        statement = allocate(everything, full(idle), "2026-11")
        assert owners(statement) == expected
        assert str(statement.total) == "5407.00"
        journal = statement.chargeback(invoice="5407.00")
        assert journal.balanced
        assert str(journal.total) == "5407.00"

    def test_the_unallocated_customer_is_kept_or_spread_by_choice(self, golden):
        kept = allocate(golden, plan(levels=["customer"]), "2026-11")
        assert str(kept.unallocated) == "100.00"
        spread = {
            "name": "no customer",
            "take": {"customer": {"present": False}},
            "driver": "direct_cost",
            "among": {"customer": {"present": True}},
        }
        statement = allocate(golden, plan(spread, levels=["customer"]), "2026-11")
        assert owners(statement, "customer", source="no customer") == {
            "acme": "54.55",
            "globex": "27.27",
            "initech": "18.18",
        }
        assert statement.unallocated == 0

    def test_margin(self, golden):
        pools = pool(driver="requests"), pool("36.00", "true-up", driver="direct_cost")
        statement = allocate(golden, plan(*pools, levels=["customer"]), "2026-11")
        margins = unit_costs.margin(statement, {"acme": "2000", "globex": "1000", "initech": "500"}, by="customer")
        assert [
            (row["customer"], str(row["cost"]), str(row["margin"]), str(row["margin_percent"]))
            for row in margins
            if row["revenue"] is not None
        ] == [
            ("acme", "1218.00", "782.00", "39.1"),
            ("globex", "469.00", "531.00", "53.1"),
            ("initech", "406.00", "94.00", "18.8"),
        ]


class TestServices:
    @pytest.mark.parametrize(
        ("services", "expected"),
        [
            ({"method": "direct"}, ("825.00", "370.00", "205.00")),
            ({"method": "step_down", "order": ["platform", "data"]}, ("800.00", "380.00", "220.00")),
            ({"method": "step_down", "order": ["data", "platform"]}, ("837.50", "365.00", "197.50")),
            ({"method": "reciprocal"}, ("815.79", "373.68", "210.53")),
        ],
        ids=str,
    )
    def test_each_method(self, make_ledger, services, expected):
        pools = (
            pool(
                name="platform",
                to="team",
                percent={"search": 50, "support": 20, "growth": 10},
                serves={"data": 20},
            ),
            pool(
                "400.00",
                "data",
                to="team",
                percent={"search": Decimal("37.5"), "support": Decimal("22.5"), "growth": 15},
                serves={"platform": 25},
            ),
        )
        statement = allocate(make_ledger(), plan(*pools, services=services), "2026-11")
        assert {team: round(statement_exact(statement, team), 2) for team in TEAMS} == {
            team: Decimal(amount) for team, amount in teams(*expected).items()
        }
        assert statement.total == 1400
        assert statement.services[0].method == services["method"]


def statement_exact(statement, team):
    return next(row["exact"] for row in statement.by("team") if row["team"] == team)


class TestEffectiveDates:
    GATEWAY = (
        {"name": "heads", "to": "team", "values": dict.fromkeys(TEAMS, 10), "until": date(2026, 11, 11)},
        {
            "name": "heads",
            "to": "team",
            "values": {"search": 12, "support": 5, "growth": 3},
            "from": date(2026, 11, 11),
        },
    )

    @pytest.mark.parametrize("per", ["day", "period"])
    def test_two_versions_of_headcount(self, golden, per):
        statement = allocate(golden, plan(pool(driver="heads", per=per), drivers=self.GATEWAY), "2026-11")
        assert owners(statement, source="gateway") == teams("511.11", "277.78", "211.11")
        by_version = grouped(statement.lines, ["method", "team"], ["amount"])
        assert {(row["method"], row["team"]): str(row["amount"]) for row in by_version if "heads" in row["method"]} == {
            ("spanledger/gateway/heads@2026-11-01", "growth"): "111.11",
            ("spanledger/gateway/heads@2026-11-01", "search"): "111.11",
            ("spanledger/gateway/heads@2026-11-01", "support"): "111.11",
            ("spanledger/gateway/heads@2026-11-11", "growth"): "100.00",
            ("spanledger/gateway/heads@2026-11-11", "search"): "400.00",
            ("spanledger/gateway/heads@2026-11-11", "support"): "166.67",
        }
        parts = {row["method"]: str(row["amount"]) for row in grouped(statement.lines, ["method"], ["amount"])}
        assert parts["spanledger/gateway/heads@2026-11-01"] == "333.33"
        assert parts["spanledger/gateway/heads@2026-11-11"] == "666.67"
