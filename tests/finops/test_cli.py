"""The commands of allocation, as a user types them."""

import json

import pytest

from spanledger import cli
from spanledger.ledger import Ledger

PLAN = """
[plan]
name = "showback"
version = 2026-11-01
hierarchy = ["team"]
dimensions = ["customer"]

[tags.tier]
default = "small"
[[tags.tier.rules]]
name = "key accounts"
when = { customer = "acme" }
value = "key"

[[pools]]
name = "gateway"
amount = "1000.00"
driver = "requests"

[[samples]]
name = "acme"
charge = { customer = "acme" }
expect = { tier = "key" }
"""


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return str(file)


@pytest.fixture
def run(capsys):
    def main(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return main


PERIOD = ("--period", "2026-11")


def test_allocate_shows_owners_and_whether_it_ties(run, plan, golden):
    code, out, _ = run("allocate", plan, golden.path, *PERIOD)
    assert code == 0
    assert "search   600.00   500.00  1,100.00  50.0%" in out
    assert "total 2200.00, of which unallocated 0.00" in out
    assert "checks: 4 tie" in out


def test_allocate_by_levels_as_csv_and_to_a_file(run, plan, golden, tmp_path):
    _, out, _ = run("allocate", plan, golden.path, *PERIOD, "--by", "customer", "--format", "csv")
    assert out.splitlines()[:2] == ["customer,direct,gateway,total", "acme,600.00,600.00,1200.00"]
    for name in ("lines.csv", "lines.parquet"):
        run("allocate", plan, golden.path, *PERIOD, "--out", tmp_path / name)
        assert (tmp_path / name).stat().st_size


def test_allocate_as_a_journal_that_must_tie(run, plan, golden):
    code, out, _ = run("allocate", plan, golden.path, *PERIOD, "--view", "chargeback", "--invoice", "2200.00")
    assert (code, "pool:gateway" in out) == (0, True)
    code, _, err = run("allocate", plan, golden.path, *PERIOD, "--view", "chargeback", "--invoice", "2200.01")
    assert (code, err.startswith("spanledger: chargeback: the statement is 2200.00")) == (2, True)


@pytest.mark.parametrize("view", ["lines", "drivers"])
def test_allocate_shows_its_evidence(run, plan, golden, view):
    _, out, _ = run("allocate", plan, golden.path, *PERIOD, "--view", view, "--format", "json")
    assert {row["source"] for row in json.loads(out)} >= {"gateway"}


def test_close_and_correct(run, plan, write_ledger, tmp_path):
    path = tmp_path / "x.ledger"
    write_ledger(path, [{"team": "a", "list_cost": "1"}])
    assert "closed: " in run("allocate", plan, path, *PERIOD, "--close")[1]
    write_ledger(path, [{"team": "b", "list_cost": "2"}])
    assert "correction" in run("allocate", plan, path, *PERIOD, "--corrections", "--view", "lines")[1]
    assert run("allocate", plan, path, *PERIOD, "--close")[0] == 2
    assert Ledger(path).allocate(plan, "2026-11").total == 1001


def test_rules(run, plan, golden, tmp_path):
    code, out, _ = run("rules", "coverage", plan, golden.path, *PERIOD, "--as-of", "2026-11-30")
    assert (code, "key accounts" in out) == (0, True)
    assert run("rules", "test", plan)[:2] == (0, "1 samples, 0 without the owner that they expect\n")
    other = tmp_path / "other.toml"
    other.write_text(PLAN.replace('value = "key"', 'value = "strategic"'))
    code, out, _ = run("rules", "test", other)
    assert (code, out.splitlines()[0]) == (1, "acme: tier is 'strategic', and should be 'key'")
    _, out, _ = run("rules", "diff", plan, other, golden.path, *PERIOD)
    assert "strategic" in out
    assert "-600" in out


def test_economics(run, plan, golden, tmp_path):
    assert "cost_per_request" in run("unit-costs", plan, golden.path, *PERIOD, "--by", "team")[1]
    revenue = tmp_path / "revenue.csv"
    revenue.write_text("customer,revenue\nacme,2000\n")
    assert "40.0" in run("unit-costs", plan, golden.path, *PERIOD, "--revenue", revenue)[1]
    assert "cost per inference" in run("kpis", plan, golden.path, *PERIOD, "--outcomes", "10")[1]
    assert run("waste", plan, golden.path, *PERIOD, "--by", "team")[0] == 0
    assert run("runs", plan, golden.path, *PERIOD)[0] == 0
