"""The plan that ships with the examples, over the application that it is for."""

from pathlib import Path

from spanledger.finops import Plan, coverage
from spanledger.finops.showback import notes
from spanledger.ledger import Ledger
from spanledger.testing.demo import run_application

PLAN = Path(__file__).parents[2] / "examples" / "plan.toml"


README = Path(__file__).parents[2] / "README.md"


def month_of(ledger):
    ((last,),) = [tuple(row.values()) for row in ledger.sql("SELECT max(started_at) FROM charges")]
    return f"{last:%Y-%m}"


def test_the_statement_in_the_readme_is_what_its_plan_gives(tmp_path):
    section = README.read_text().partition("## Allocate it")[2]
    (tmp_path / "plan.toml").write_text(section.partition("```toml\n")[2].partition("```")[0])
    run_application(tmp_path / "demo.ledger")
    ledger = Ledger(tmp_path / "demo.ledger")
    statement = ledger.allocate(tmp_path / "plan.toml", month_of(ledger))
    said = "\n".join([statement.showback("team").to_text(), "", *notes(statement)])
    shown = "\n".join(f"    {line}".rstrip() for line in said.splitlines())
    assert shown in section


def test_every_sample_has_its_owner():
    assert len(Plan.load(PLAN).samples) == 2
    assert coverage.failures(PLAN) == []


def test_it_allocates_the_demo_application(tmp_path):
    run_application(tmp_path / "demo.ledger")
    ledger = Ledger(tmp_path / "demo.ledger")
    ((first, last),) = [
        tuple(row.values()) for row in ledger.sql("SELECT min(started_at), max(started_at) FROM charges")
    ]
    statement = ledger.allocate(PLAN, f"{first:%Y-%m}" if first.month == last.month else f"{last:%Y-%m}")
    assert statement.ok
    assert statement.unallocated == 0
    assert statement.chargeback("business_unit").balanced
    assert {row["source"] for row in statement.by("source")} == {
        "direct",
        "gateway",
        "vector database",
        "platform team",
        "nova throughput",
    }
