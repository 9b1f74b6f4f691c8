"""The command `spanledger`. Each command's code loads when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NamedTuple, TypeAlias

from spanledger.errors import SpanledgerError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Place(NamedTuple):
    """Where a command lives: `module` has `add_commands(commands)`, or `main(argv)` where it parses for itself."""

    module: str
    help: str
    own_parser: bool = False


PLACES: Final = {
    "report": Place("spanledger.ledger._cli", "what was spent, by any dimension"),
    "tail": Place("spanledger.ledger._cli", "the latest charges, and those to come"),
    "allocate": Place("spanledger.finops._cli", "who owns the cost of a period, by a plan"),
    "rules": Place("spanledger.finops._cli", "what virtual tags own, whether samples pass, who gains when they change"),
    "unit-costs": Place("spanledger.finops._cli", "what a request, a token, a customer, a run or an outcome costs"),
    "runs": Place("spanledger.finops._cli", "what the runs of agentic workflows cost"),
    "waste": Place("spanledger.finops._cli", "what was paid for nothing"),
    "kpis": Place("spanledger.finops._cli", "the indicators of FinOps for AI"),
    "import": Place("spanledger._import_cli", "charges from an archive of spans, or from a list of seats"),
    "seal": Place("spanledger.ledger._keeping_cli", "turns closed segments into Parquet, merges past days"),
    "ship": Place("spanledger.ledger._keeping_cli", "copies sealed files to an object store or another place"),
    "load": Place("spanledger.ledger._keeping_cli", "brings sealed files into a PostgreSQL server"),
    "verify": Place("spanledger.ledger._keeping_cli", "reads every file of a ledger and says what is wrong"),
    "forget": Place("spanledger.ledger._keeping_cli", "erases a person from a ledger, with proof"),
    "retain": Place("spanledger.ledger._keeping_cli", "replaces the charges of old days by exact sums, or drops them"),
    "repair": Place("spanledger.ledger._keeping_cli", "puts right what verify finds"),
    "prices": Place("spanledger.prices._cli", "what models cost, and why a charge costs what it does"),
    "push-prices": Place("spanledger._push_cli", "prices of the models in a ledger, for a backend"),
    "doctor": Place("spanledger._doctor", "what is hooked, which versions are installed, what was lost"),
    "demo": Place(
        "spanledger.testing.demo", "a small application on a loopback provider, and its costs", own_parser=True
    ),
}
"""Every command, in the order of `--help`. A package adds its commands here and nowhere else."""


ABOUT: Final = "Who spent what on LLMs, from a local ledger."
MORE: Final = (
    "spanledger COMMAND --help has the options. Exit codes: 1 where the answer is no, 2 where the question is wrong."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 for an answer of no, 2 for a question that is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    place = PLACES.get(arguments[0]) if arguments else None
    if place and place.own_parser:
        return _guarded(lambda: import_module(place.module).main(arguments[1:]))
    asked = _parser(place).parse_args(arguments)
    return _guarded(lambda: asked.run(asked))


def _guarded(run: Callable[[], int | None]) -> int:
    """An error as one line; a reader that stops reading (`| head`) is none."""
    try:
        return run() or 0
    except SpanledgerError as error:
        print(f"spanledger: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser(place: Place | None) -> argparse.ArgumentParser:
    """The parser of one command, or of all by name where the command is not known."""
    parser = argparse.ArgumentParser(prog="spanledger", description=ABOUT, epilog=MORE)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    if place:
        import_module(place.module).add_commands(commands)
        _describe(commands)
        return parser
    for name, known in PLACES.items():
        commands.add_parser(name, help=known.help)
    return parser


def _describe(commands: Commands) -> None:
    """What a command does is said in its own help too."""
    for name, parser in commands.choices.items():
        parser.description = parser.description or PLACES[name].help


class _Version(argparse.Action):
    """Says the version; looked up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="the installed version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"spanledger {version('spanledger')}")
        parser.exit()
