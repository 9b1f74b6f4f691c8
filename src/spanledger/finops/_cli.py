"""The commands `allocate`, `rules`, `unit-costs`, `waste`, `runs` and `kpis`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger.finops import Plan, allocate, chains, close, corrections, coverage, indicators, unit_costs
from spanledger.finops._views import View
from spanledger.finops.showback import notes
from spanledger.finops.statements import Statement
from spanledger.ledger import Ledger, Result

if TYPE_CHECKING:
    from spanledger.cli import Commands

FORMATS: Final = {"text": Result.to_text, "csv": View.to_csv, "json": Result.to_json, "html": Result.to_html}
VIEWS: Final[Mapping[str, Callable[[Statement, argparse.Namespace], View]]] = {
    "showback": lambda statement, asked: statement.showback(*asked.by),
    "chargeback": lambda statement, asked: statement.chargeback(*asked.by, invoice=asked.invoice).entries,
    "lines": lambda statement, _: statement.lines,
    "drivers": lambda statement, _: statement.drivers,
}


def add_commands(commands: Commands) -> None:
    """Adds the commands of allocation."""
    _add_allocate(commands)
    _add_rules(commands)
    _add_unit_costs(commands)
    for name, run, does in (
        ("waste", chains.waste, "what was paid for nothing: failed, retried, aborted, truncated"),
        ("runs", chains.runs, "what the runs of agentic workflows cost"),
    ):
        parser = _question(commands, name, does)
        parser.add_argument("--by", default="workflow", metavar="LEVEL", help="workflow, or a level of the plan")
        parser.set_defaults(run=_by(run))
    kpis = _question(commands, "kpis", "the indicators of FinOps for AI")
    kpis.add_argument("--outcomes", type=int, metavar="COUNT", help="how many successful outcomes there were")
    kpis.set_defaults(run=_kpis)


def _question(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=does, description=does)
    parser.add_argument("plan", metavar="PLAN", help="the plan, a TOML file")
    _over_a_period(parser)
    return parser


def _over_a_period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory")
    parser.add_argument("--period", required=True, help="2026-11, or 2026-11-01..2026-11-15 with the end not included")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the answer (text)")


def _levels(text: str) -> list[str]:
    return [level.strip() for level in text.split(",") if level.strip()]


def _show(view: Result, asked: argparse.Namespace) -> int:
    print(FORMATS[asked.format](view if isinstance(view, View) else View(view.to_arrow())))
    return 0


def _add_allocate(commands: Commands) -> None:
    parser = _question(commands, "allocate", "who owns the cost of a period, by a plan")
    parser.add_argument("--by", type=_levels, default=[], metavar="LEVELS", help="levels of the plan: team,feature")
    parser.add_argument("--view", choices=VIEWS, default="showback", help="which part of the statement (showback)")
    parser.add_argument("--invoice", metavar="AMOUNT", help="what a chargeback must tie to")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the lines too, as .csv or .parquet")
    parser.add_argument("--corrections", action="store_true", help="what changed since the period was closed")
    parser.add_argument("--close", action="store_true", help="close the period with this statement")
    parser.set_defaults(run=_allocate)


def _allocate(asked: argparse.Namespace) -> int:
    ledger = Ledger(asked.ledger)
    statement = (corrections if asked.corrections else allocate)(ledger, asked.plan, asked.period)
    _show(VIEWS[asked.view](statement, asked), asked)
    if asked.out is not None:
        statement.to_parquet(asked.out) if asked.out.suffix == ".parquet" else statement.to_csv(asked.out)
    closed = [f"closed: {close(ledger, statement)}"] if asked.close else []
    if asked.format == "text":
        print("\n".join(["", *notes(statement), *closed]))
    return 0 if statement.ok else 1


def _add_rules(commands: Commands) -> None:
    rules = commands.add_parser("rules", help="what virtual tags do").add_subparsers(metavar="QUESTION", required=True)
    covered = _question(rules, "coverage", "what each rule owns; which are shadowed, unused or stale")
    covered.add_argument("--as-of", type=date.fromisoformat, metavar="DAY", help="for review_by (today)")
    covered.set_defaults(run=_coverage)
    does = "whether the samples of a plan get the owners that they expect"
    test = rules.add_parser("test", help=does, description=does)
    test.add_argument("plan", metavar="PLAN", help="the plan, a TOML file")
    test.set_defaults(run=_test)
    does = "who gains and who loses when rules change"
    diff = rules.add_parser("diff", help=does, description=does)
    diff.add_argument("old", metavar="OLD", help="the plan as it was")
    diff.add_argument("new", metavar="NEW", help="the plan as it is to be")
    _over_a_period(diff)
    diff.set_defaults(run=_diff)


def _coverage(asked: argparse.Namespace) -> int:
    return _show(coverage.coverage(Ledger(asked.ledger), asked.plan, asked.period, as_of=asked.as_of), asked)


def _test(asked: argparse.Namespace) -> int:
    """The exit code is 1 where a sample fails, for a build to stop on."""
    plan = Plan.load(asked.plan)
    found = coverage.failures(plan)
    for one in found:
        print(f"{one.sample}: {one.tag} is {one.found!r}, and should be {one.expected!r}")
    print(f"{len(plan.samples)} samples, {len({one.sample for one in found})} without the owner that they expect")
    return 1 if found else 0


def _diff(asked: argparse.Namespace) -> int:
    moves = coverage.difference(Ledger(asked.ledger), asked.old, asked.new, asked.period)
    _show(moves, asked)
    if asked.format == "text" and len(moves):
        print()
        _show(coverage.gains(moves), asked)
    return 0


def _add_unit_costs(commands: Commands) -> None:
    parser = _question(commands, "unit-costs", "what a request, a token, a customer, a run or an outcome costs")
    parser.add_argument("--by", metavar="LEVEL", help="a level of the plan; without it, altogether")
    parser.add_argument("--outcomes", metavar="FILE", help="a CSV file of the level and outcomes")
    parser.add_argument("--revenue", metavar="FILE", help="a CSV file of the level and revenue: the margin instead")
    parser.set_defaults(run=_unit_costs)


def _unit_costs(asked: argparse.Namespace) -> int:
    ledger = Ledger(asked.ledger)
    if asked.revenue:
        statement = allocate(ledger, asked.plan, asked.period)
        return _show(unit_costs.margin(statement, asked.revenue, by=asked.by or "customer"), asked)
    found = unit_costs.unit_costs(ledger, asked.plan, asked.period, by=asked.by, outcomes=asked.outcomes)
    return _show(found, asked)


def _by(run: Callable[..., View]) -> Callable[[argparse.Namespace], int]:
    return lambda asked: _show(run(Ledger(asked.ledger), asked.plan, asked.period, by=asked.by), asked)


def _kpis(asked: argparse.Namespace) -> int:
    found = indicators.indicators(Ledger(asked.ledger), asked.plan, asked.period, outcomes=asked.outcomes)
    return _show(View.of([{**one._asdict(), "value": _number(one.value)} for one in found]), asked)


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"
