"""The command line, in its own process as a shell would run it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from spanledger import _ids, cli
from spanledger._types import Charge
from spanledger.sinks.ledger import LedgerSink

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spend.ledger"


@pytest.fixture
def book(path):
    sink = LedgerSink(path)

    def append(team="growth", cost="0.01", started_at="2026-11-23T10:00:00.000000Z"):
        row = {
            "charge_id": _ids.uuid7(), "started_at": started_at, "provider_name": "openai", "operation": "chat",
            "billed_model": "gpt-5", "status": "ok", "team": team, "feature": "search", "currency": "USD",
            "list_cost": cost, "cost_status": "exact", "usage": {"input": 5}, "input_tokens": 5,
        }  # fmt: skip
        sink.book(Charge(row))

    return append


def run(*arguments):
    command = [sys.executable, "-m", "spanledger", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_report_prints_costs_by_the_dimensions_asked_for(path, book):
    book()
    book("core", "0.03")
    done = run("report", "--by", "team,feature", path)
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:]] == [["core", "search"], ["growth", "search"]]
    assert "75.0%" in done.stdout


def test_report_speaks_csv_json_and_html(path, book):
    book()
    assert run("report", path, "--format", "csv").stdout.splitlines()[1] == "growth,1,5,,0.01,,,0"
    assert orjson.loads(run("report", path, "--format", "json").stdout)[0]["list_cost"] == "0.01"
    assert run("report", path, "--format", "html").stdout.startswith("<table>")


def test_report_takes_a_period_and_a_condition(path, book):
    book()
    book("core")
    asked = ("report", path, "--since", "2026-11-23", "--until", "2026-11-24", "--where", "team != 'core'")
    assert run(*asked, "--format", "csv").stdout.splitlines()[1:2] == ["growth,1,5,,0.01,,,0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "taem"), "by: there is no field 'taem' (did you mean team?)"),
        (("--last", "soon"), "last: 'soon' is no duration"),
        (("--where", "team"), "where:"),
    ],
)
def test_a_wrong_question_is_one_line_and_exit_code_2(path, book, arguments, message):
    book()
    done = run("report", path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"spanledger: {message}")
    assert "Traceback" not in done.stderr


def test_a_missing_ledger_is_said(path):
    done = run("report", path)
    assert (done.returncode, "there is no ledger here" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["report", "tail", "prices check"])
def test_what_is_not_installed_is_said_with_its_remedy(path, book, command):
    book("one")
    script = "import sys; sys.modules['duckdb'] = None\nfrom spanledger.cli import main; sys.exit(main(sys.argv[1:]))"
    told = subprocess.run(
        [sys.executable, "-c", script, *command.split(), path], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in told.stderr
    assert "pip install 'spanledger[ledger]'" in told.stderr + told.stdout


@pytest.mark.parametrize("command", ["forget --customer acme", "retain --older-than 1d", "verify", "repair"])
def test_what_is_kept_in_order_is_the_ledger_that_is_shipped_and_not_the_store(command, capsys):
    name, *options = command.split()
    with pytest.raises(SystemExit):
        cli.main([name, "s3://costs/ledger", *options])
    assert "s3://costs/ledger is where ledgers are shipped to: name each of those instead" in capsys.readouterr().err


def test_tail_shows_the_latest_charges(path, book):
    book("first", started_at="2026-11-20T00:00:00Z")
    book("second")
    done = run("tail", path, "-n", "1")
    assert "second" in done.stdout
    assert "first" not in done.stdout


def test_tail_follows_until_it_is_interrupted(path, book):
    from datetime import datetime, timezone

    book()
    command = [sys.executable, "-m", "spanledger", "tail", str(path), "-f", "--every", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        for _ in range(3):
            follower.stdout.readline()
        book("fresh", started_at=datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"))
        assert "fresh" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 130


def test_doctor_names_versions_hooks_and_the_ledgers_faults(path, book):
    book()
    (path / "health").mkdir()
    (path / "health" / "seg.json").write_bytes(orjson.dumps({"lost": 3, "faults": {"x: ValueError": {"count": 1}}}))
    done = run("doctor", path)
    assert done.returncode == 1
    assert "duckdb: " in done.stdout
    assert "1 charges in 1 open segments" in done.stdout
    assert "seg: lost 3 charges" in done.stdout
    assert run("doctor").returncode == 0


def test_help_lists_every_command_and_each_has_its_own():
    listed = run("--help").stdout
    assert all(name in listed for name in ("report", "tail", "doctor", "demo"))
    assert "--by" in run("report", "--help").stdout
    assert run("--version").stdout.startswith("spanledger ")
    assert run("nonsense").returncode == 2


def commands_of(parser, name):
    """Every command below a parser that has none below itself, with its options."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, nested in action.choices.items():
            yield from commands_of(nested, f"{name} {word}")


EVERY = [
    pytest.param(name, parser, id=name)
    for place in {place.module: place for place in cli.PLACES.values() if not place.own_parser}.values()
    for name, parser in commands_of(cli._parser(place), "spanledger")
]


@pytest.mark.parametrize(("name", "parser"), EVERY)
def test_a_command_says_what_it_does_and_is_in_the_reference_with_every_option(name, parser):
    assert parser.description
    rows = [row for row in REFERENCE.read_text().splitlines() if row.startswith(f"| `{name} ")]
    options = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
    assert rows
    assert not {option for option in options if not any(option in row for row in rows)}


def test_a_command_loads_only_what_it_needs(path, book):
    book()
    source = (
        "import sys; from spanledger.cli import main; main(sys.argv[1:]); "
        "print([name for name in ('openai', 'anthropic', 'botocore', 'pandas', 'polars') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, "report", str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
