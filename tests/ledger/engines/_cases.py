"""What every engine is asked, and where one has a gap. The page `docs/reference/engines.md` is made of these tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from spanledger import Ledger
from spanledger._types import COLUMNS
from spanledger.finops import unit_costs
from spanledger.finops.caching import cache
from spanledger.finops.chains import runs, waste
from spanledger.finops.coverage import coverage
from spanledger.finops.indicators import indicators

Ask = Callable[[Ledger], Any]


class Case(NamedTuple):
    """A question to one of two ledgers, `filled` or `rolled`, under the heading that the page has it under."""

    group: str
    ask: Ask
    of: str = "filled"


def in_order(answer: Any) -> list[dict[str, Any]]:
    """The rows in an order of their own, where the question leaves it open which comes first."""
    return sorted(answer.rows(), key=lambda row: [str(value) for value in row.values()])


def _cost(**asked: Any) -> Ask:
    def ask(ledger: Ledger) -> Any:
        answer = ledger.cost(**asked)
        return answer.columns, in_order(answer)

    return ask


def _charges(**asked: Any) -> Ask:
    return lambda ledger: ledger.charges(**asked).rows()


def _sql(query: str, *params: Any) -> Ask:
    def ask(ledger: Ledger) -> Any:
        return [tuple(row.values()) for row in ledger.sql(query, params).rows()]

    return ask


def _allocated(**plan: Any) -> Ask:
    def ask(ledger: Ledger) -> Any:
        statement = ledger.allocate(plan, "2026-11")
        return statement.total, statement.ok, statement.lines.rows(), in_order(statement.drivers)

    return ask


def _rolled(ask: Ask) -> Case:
    return Case("rolled", ask, "rolled")


NAMES: Final = [column.name for column in COLUMNS]
SEVERAL: Final = [column.name for column in COLUMNS if "MAP" in column.sql or "[]" in column.sql]
"""The columns of a charge, and those that hold several values."""

PLAN: Final[Mapping[str, Any]] = {
    "plan": {
        "name": "showback",
        "version": "2026-11-01",
        "hierarchy": ["unit", "team"],
        "dimensions": ["customer"],
        "inherit": ["customer"],
        "round_to": "0.0001",
    },
    "tags": {
        "unit": {
            "default": "(unallocated)",
            "rules": [
                {"name": "odd", "when": {"tags.zone": ["it's", "e*"], "usage.input": {">": 1}}, "value": "odd"},
                {"name": "chart", "by": "team", "map": {"growth": "product", "core": "platform"}},
                {"name": "stopped", "when": {"finish_reasons": "stop"}, "value": "stopped"},
            ],
        }
    },
}
"""Rules over maps, lists and patterns, owners that a trace passes on, two levels and a dimension."""

POOLS: Final = [
    {"name": "gateway", "amount": "10.00", "driver": "requests"},
    {"name": "gpu", "amount": "7.77", "driver": "usage.gpu_seconds", "fallback": ["even"]},
    {"name": "people", "amount": "3.33", "driver": "heads", "within": "direct_cost"},
    {"name": "network", "amount": "1.01", "driver": {"input_tokens": 1, "latency": 1}, "among": {"team": "gr*"}},
    {"name": "november", "amount": "5.00", "driver": "tokens", "from": date(2026, 11, 10)},
]
HEADS: Final = [{"name": "heads", "to": "team", "values": {"growth": 2, "core": 1}}]
ROLLED_PLAN: Final[Mapping[str, Any]] = {
    "plan": {
        "name": "showback",
        "version": "2026-11-01",
        "hierarchy": ["unit", "team"],
        "dimensions": ["customer"],
        "round_to": "0.0001",
    },
    "tags": {
        "unit": {
            "default": "(unallocated)",
            "rules": [
                {"name": "odd", "when": {"tags.zone": ["it's", "e*"]}, "value": "odd"},
                {"name": "small", "when": {"billed_model": "*-mini"}, "value": "small"},
                {"name": "chart", "by": "team", "map": {"growth": "product", "core": "platform"}},
            ],
        }
    },
}
"""Rules over what the days that are rolled up have kept."""

KEPT: Final = ("team", "feature", "customer", "workflow_id", "tag:zone")
"""What they have kept."""

ROLLED_POOLS: Final = [
    {"name": f"by {driver}", "amount": "10.01", "driver": driver, "fallback": ["even"]}
    for driver in ("requests", "tokens", "direct_cost", "usage.gpu_seconds", "cache_read_tokens", "seats")
]
_ODD: Final = "team != 'core' and (list_cost > 0.000000000000001 or tag:zone = 'it''s')"

CASES: Final = {
    "team and feature": Case("cost", _cost(by=["team", "feature"])),
    "model and day": Case("cost", _cost(by=["model", "day"])),
    "hour, week and month": Case("cost", _cost(by=["hour", "week", "month"])),
    "a tag": Case("cost", _cost(by=["tag:zone"])),
    "a condition": Case("cost", _cost(by="team", where=_ODD)),
    "a negated condition": Case("cost", _cost(by="team", where="not (team in ('core', 'growth') or stream = true)")),
    "a pattern": Case("cost", _cost(by="team", where=r"tag:path like 'C:\_%' or team like 'gr_wth'")),
    "text with a backslash": Case("cost", _cost(by="tag:path", where={"tag:path": "C:\\_x"})),
    "a period": Case("cost", _cost(by="day", since="2026-11-23", until="2026-11-24T12:00:00Z")),
    "everything, in two currencies": Case("cost", _cost(by=[])),
    "the first": Case("cost", _cost(by="team", limit=1)),
    "full history": Case("cost", _cost(by="team", history=True)),
    "unit": Case("cost", _cost(by=["unit", "team"])),
    "every column": Case("charges", _charges(columns=[name for name in NAMES if name not in SEVERAL])),
    "lists and maps": Case("charges", _charges(columns=["charge_id", *SEVERAL])),
    "some, the latest": Case(
        "charges", _charges(columns=["charge_id", "started_at", "list_cost", "tag:zone", "model", "day"], limit=3)
    ),
    "full history, corrections too": Case("charges", _charges(history=True, columns=["charge_id", "corrects"])),
    "a trace": Case("trace", lambda ledger: ledger.trace("a" * 32).to_text()),
    "a run of a workflow": Case("trace", lambda ledger: ledger.trace("run-1").to_text()),
    "sums and counts": Case(
        "sql",
        _sql(
            "SELECT team, count(*) FILTER (WHERE stream) AS n, sum(list_cost) AS c FROM charges GROUP BY 1 ORDER BY 1"
        ),
    ),
    "entries of maps": Case(
        "sql",
        _sql(
            "SELECT tags['zone'] AS z, sum(usage['input']) AS i, sum(costs['output']) AS o "
            "FROM charges GROUP BY 1 ORDER BY 1"
        ),
    ),
    "lists, patterns and parameters": Case(
        "sql",
        _sql(
            "SELECT charge_id FROM charges WHERE list_contains(finish_reasons, $1) AND started_at < $2 "
            "AND (team LIKE 'gr!_w%' ESCAPE '!') IS NOT TRUE ORDER BY charge_id",
            "stop",
            date(2026, 11, 30),
        ),
    ),
    "common tables and windows": Case(
        "sql",
        _sql(
            "WITH days AS (SELECT CAST(started_at AS DATE) AS day, sum(list_cost) AS cost FROM history GROUP BY 1) "
            "SELECT day, cost, sum(cost) OVER (ORDER BY day) AS so_far FROM days ORDER BY day"
        ),
    ),
    "the first of a trace": Case(
        "sql",
        _sql(
            "SELECT trace_id, arg_min(customer, started_at) FILTER (WHERE team = 'growth') AS first, "
            "arg_max(customer, started_at) AS last "
            "FROM charges WHERE trace_id IS NOT NULL GROUP BY trace_id ORDER BY trace_id"
        ),
    ),
    "products of amounts": Case("sql", _sql("SELECT sum(list_cost) * 2 AS c FROM charges WHERE list_cost < 3")),
    "quotients of whole numbers": Case(
        "sql", _sql("SELECT sum(input_tokens) // 7 AS a, 9007199254740995 // 2 AS b FROM charges")
    ),
    "direct costs by rules": Case("allocate", _allocated(**PLAN)),
    "shared pools": Case("allocate", _allocated(**PLAN, pools=POOLS, drivers=HEADS)),
    "a commitment": Case(
        "allocate",
        _allocated(
            **PLAN,
            commitments=[
                {
                    "name": "throughput",
                    "owner": "growth",
                    "to": "team",
                    "amount": "2.00",
                    "hours": 720,
                    "covers": {"billed_model": "*mini*"},
                    "per_unit_hour": {"input_tokens": 100},
                }
            ],
        ),
    ),
    "unit costs": Case("finance", lambda ledger: unit_costs.unit_costs(ledger, PLAN, "2026-11", by="team").rows()),
    "runs of workflows": Case("finance", lambda ledger: runs(ledger, PLAN, "2026-11").rows()),
    "waste": Case("finance", lambda ledger: waste(ledger, PLAN, "2026-11", by="team").rows()),
    "caching": Case("finance", lambda ledger: cache(ledger, PLAN, "2026-11", by="team")),
    "coverage of rules": Case("finance", lambda ledger: coverage(ledger, PLAN, "2026-11").rows()),
    "indicators": Case("finance", lambda ledger: [tuple(one) for one in indicators(ledger, PLAN, "2026-11")]),
    "by what was kept": _rolled(_cost(by=["team", "customer", "tag:zone", "model"])),
    "by day, on a condition": _rolled(_cost(by="day", where="team != 'core' or tag:zone = 'it''s'")),
    "by unit, of rolled-up days": _rolled(_cost(by=["unit", "team"])),
    "by month, in two currencies": _rolled(_cost(by="month")),
    "direct costs, of rolled-up days": _rolled(_allocated(**ROLLED_PLAN)),
    "shared pools, of rolled-up days": _rolled(_allocated(**ROLLED_PLAN, pools=ROLLED_POOLS)),
    "unit costs, of rolled-up days": _rolled(
        lambda ledger: unit_costs.unit_costs(ledger, ROLLED_PLAN, "2026-11", by="team").rows()
    ),
    "caching, of rolled-up days": _rolled(lambda ledger: cache(ledger, ROLLED_PLAN, "2026-11", by="team")),
    "coverage of rules, of rolled-up days": _rolled(lambda ledger: coverage(ledger, ROLLED_PLAN, "2026-11").rows()),
    "indicators, of rolled-up days": _rolled(
        lambda ledger: [tuple(one) for one in indicators(ledger, ROLLED_PLAN, "2026-11")]
    ),
}
"""Every question, by what it asks."""

GAPS: Final[Mapping[tuple[str, str], str]] = {
    ("clickhouse", "lists and maps"): "ClickHouse has no unknown list or map: one that is not known is an empty one",
}
"""Where an engine does not answer as DuckDB does, (engine, case), and why. One that closes must leave this table."""
