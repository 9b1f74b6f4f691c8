"""The command `push-prices`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from spanledger.push_prices import models_of, push_phoenix

if TYPE_CHECKING:
    from spanledger.cli import Commands


def add_commands(commands: Commands) -> None:
    """Adds `push-prices`."""
    push = commands.add_parser("push-prices", help="gives a backend the prices of the models in a ledger")
    push.add_argument("backend", choices=["phoenix"], help="which one")
    push.add_argument("url", metavar="URL", help="e.g. http://localhost:6006")
    push.add_argument("ledger", metavar="LEDGER", help="the ledger directory, whose models are priced")
    push.set_defaults(run=_push)


def _push(asked: argparse.Namespace) -> int:
    pushed = push_phoenix(asked.url, models_of(asked.ledger))
    print(f"{len(pushed)} models: {', '.join(pushed)}" if pushed else "no model of the ledger has a price in the book")
    return 0
