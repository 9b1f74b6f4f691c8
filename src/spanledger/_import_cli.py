"""The command `import`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spanledger.otlp_import import import_otlp

if TYPE_CHECKING:
    from spanledger.cli import Commands


def add_commands(commands: Commands) -> None:
    """Adds `import`."""
    parser = commands.add_parser("import", help="charges from an archive of spans, or from a list of seats")
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    does = "OTLP JSON, as a collector's file exporter writes it"
    otlp = kinds.add_parser("otlp", help=does, description=does)
    otlp.add_argument("file", metavar="FILE", help="JSON, one export request a line")
    otlp.add_argument("ledger", metavar="LEDGER", help="the ledger directory; what it has already is not booked again")
    otlp.set_defaults(run=_run)
    _add_seats(kinds)


def _add_seats(kinds: Commands) -> None:
    does = "a CSV file of seats: user, price, and team, start, end where known"
    seats = kinds.add_parser("seats", help=does, description=does)
    seats.add_argument("file", metavar="FILE", help="the CSV file")
    seats.add_argument("ledger", metavar="LEDGER", help="the ledger directory; what it has already is not booked again")
    seats.add_argument("--period", required=True, help="the month, such as 2026-11")
    seats.add_argument("--tool", default="", help="the product, where the file has no such column")
    seats.add_argument("--prorated", action="store_true", help="the provider bills the days that a seat was held only")
    seats.set_defaults(run=_run_seats)


def _run_seats(asked: argparse.Namespace) -> int:
    from spanledger.seat_import import import_seats

    done = import_seats(asked.file, asked.ledger, asked.period, tool=asked.tool, prorated=asked.prorated)
    print(f"{done.booked} charges booked, {done.corrected} corrected, {done.known} known already")
    return 0


def _run(asked: argparse.Namespace) -> int:
    done = import_otlp(asked.file, asked.ledger)
    print(f"{done.booked} charges booked, {done.known} known already, {done.passed_over} spans above or without a call")
    if done.broken:
        print(f"{done.broken} lines are no OTLP JSON and were passed over")
    return 0
