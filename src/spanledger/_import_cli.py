"""The command `import`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spanledger.otlp_import import import_otlp

if TYPE_CHECKING:
    from spanledger.cli import Commands


def add_commands(commands: Commands) -> None:
    """Adds `import`."""
    parser = commands.add_parser("import", help="books calls from an archive into a ledger")
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    otlp = kinds.add_parser("otlp", help="OTLP JSON, as a collector's file exporter writes it")
    otlp.add_argument("file", metavar="FILE")
    otlp.add_argument("ledger", metavar="LEDGER")
    otlp.set_defaults(run=_run)


def _run(asked: argparse.Namespace) -> int:
    done = import_otlp(asked.file, asked.ledger)
    print(f"{done.booked} charges booked, {done.known} known already, {done.passed_over} spans above or without a call")
    if done.broken:
        print(f"{done.broken} lines are no OTLP JSON and were passed over")
    return 0
