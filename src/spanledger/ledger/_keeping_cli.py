"""The commands that keep a ledger in order: `seal`, `verify`, `repair`, `forget`, `retain`, and to elsewhere."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spanledger.cli import Commands
    from spanledger.ledger._seal import Sealing


def add_commands(commands: Commands) -> None:
    """Adds the commands."""
    _add_seal(commands)
    _add_forget(commands)
    _add_retain(commands)
    _add_ship(commands)
    _add_load(commands)
    for name, about, run in (
        ("verify", "reads every file and says what is wrong: exit code 1 if anything is", _verify),
        ("repair", "puts right what `verify` finds, as far as nothing is lost by it", _repair),
    ):
        parser = commands.add_parser(name, help=about)
        parser.add_argument("ledger", metavar="LEDGER", type=_directory, help="the ledger directory")
        parser.set_defaults(run=run)


def _directory(text: str) -> Path:
    """The ledger where it is written: what is put right or erased there goes on from there."""
    if "://" in text:
        msg = f"{text} is where ledgers are shipped to: name each of those instead, and ship it again afterwards"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def _add_forget(commands: Commands) -> None:
    parser = commands.add_parser("forget", help="erases a person: their rows keep the money and lose who they were for")
    parser.add_argument("ledger", metavar="LEDGER", type=_directory, help="the ledger directory")
    who = parser.add_mutually_exclusive_group(required=True)
    for name, field in (("--customer", "customer"), ("--user", "user_id"), ("--session", "session_id")):
        who.add_argument(name, dest=field, metavar="ID")
    parser.set_defaults(run=_forget)


def _forget(asked: argparse.Namespace) -> int:
    from spanledger.ledger._forget import FIELDS, forget

    field, value = next((name, value) for name in FIELDS if (value := getattr(asked, name)) is not None)
    proof = forget(asked.ledger, field, value)
    print(f"{proof.rows} rows in {proof.files} files no longer name that {field}; {proof.left} rows are left that do")
    for days in proof.rolled_up:
        print(f"{days}: rolled up without {field}, so nothing of it was there")
    print(f"recorded in {asked.ledger / 'forgotten.jsonl'}")
    return 0


def _add_retain(commands: Commands) -> None:
    parser = commands.add_parser("retain", help="replaces the charges of old days by exact sums, or drops them")
    parser.add_argument("ledger", metavar="LEDGER", type=_directory, help="the ledger directory")
    parser.add_argument("--older-than", required=True, metavar="SPAN", help="days wholly older than this, e.g. 400d")
    parser.add_argument("--by", default="", metavar="FIELDS", help="dimensions that are kept besides day and model")
    parser.add_argument("--drop", action="store_true", help="keeps no sums either, only how many charges there were")
    parser.set_defaults(run=_retain)


def _retain(asked: argparse.Namespace) -> int:
    from spanledger.ledger import Ledger
    from spanledger.ledger._rolled import statements

    done = Ledger(asked.ledger).retain(asked.older_than, by=asked.by, drop=asked.drop)
    print("\n".join(statements(done.days)) or "nothing to roll up")
    for day in done.waiting:
        print(f"{day}: another process is at work on it; run this again")
    if done.lost_corrections:
        print(f"{done.lost_corrections} corrections of charges that had been rolled up are in quarantine/")
    return 0


def _add_ship(commands: Commands) -> None:
    parser = commands.add_parser("ship", help="copies sealed files to s3://, gs://, abfs:// or a path; resumable")
    parser.add_argument("ledger", metavar="LEDGER", type=_directory, help="the ledger directory")
    parser.add_argument("destination", metavar="DEST", help="any address that fsspec knows")
    parser.set_defaults(run=_ship)


def _ship(asked: argparse.Namespace) -> int:
    from spanledger.ledger._ship import ship

    done = ship(asked.ledger, asked.destination)
    print(f"shipped {done.files} files, {done.bytes} bytes; {done.there} were there, {done.replaced} replaced went")
    return 0


def _add_load(commands: Commands) -> None:
    parser = commands.add_parser("load", help="brings sealed files into a PostgreSQL server; resumable")
    parser.add_argument("ledger", metavar="LEDGER", type=_directory, help="the ledger directory")
    parser.add_argument("address", metavar="ADDRESS", help="postgresql://USER@HOST/DATABASE")
    parser.set_defaults(run=_load)


def _load(asked: argparse.Namespace) -> int:
    from spanledger.ledger._load import load

    done = load(asked.ledger, asked.address)
    print(f"loaded {done.files} files, {done.charges} charges; {done.there} were there")
    return 0


def _add_seal(commands: Commands) -> None:
    parser = commands.add_parser("seal", help="turns closed segments into Parquet and merges the files of past days")
    parser.add_argument("ledger", metavar="LEDGER", help="the ledger directory, or where segments are sent")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="again and again, until interrupted")
    parser.add_argument("--nice", action="store_true", help="only with what the machine has to spare")
    parser.set_defaults(run=_seal)


def _seal(asked: argparse.Namespace) -> int:
    if asked.nice:
        os.nice(19)
    while True:
        done, merged = _sealed(asked.ledger)
        print(f"sealed {done.charges} charges of {done.segments} segments, {done.in_use} in use, ", end="")
        print(f"{done.quarantined} lines in quarantine, {merged} files merged away", flush=True)
        if not asked.watch:
            return 0
        time.sleep(asked.watch)


def _sealed(ledger: str) -> tuple[Sealing, int]:
    """What was sealed, and how many files were merged away; at an address none are."""
    if "://" in ledger:
        from spanledger.ledger._away import seal_there

        return seal_there(ledger), 0
    from spanledger.ledger._compact import compact
    from spanledger.ledger._seal import seal

    return seal(Path(ledger)), compact(Path(ledger))


def _verify(asked: argparse.Namespace) -> int:
    from spanledger.ledger._verify import verify

    found = verify(asked.ledger)
    print(found)
    return 0 if found.ok else 1


def _repair(asked: argparse.Namespace) -> int:
    from spanledger.ledger._verify import repair

    print("\n".join(repair(asked.ledger)) or "nothing to repair")
    return 0
