"""What `make demo` and `spanledger demo` run: the application of `demo_app` on the loopback server, and its cost."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import spanledger
from spanledger.errors import MissingExtraError
from spanledger.testing import ProviderServer, Reply, Request, Tokens
from spanledger.testing.demo_app import Clients, Document, Ticket, connected, resolve, search, summarize

if TYPE_CHECKING:
    from spanledger._workflow import Run

QUESTIONS: Final = ("Where is my invoice?", "How do I add a user?", "Why is the export empty?")
TEXTS: Final = ("The minutes of Monday.", "A contract of ninety pages.")
SHOWN: Final = ("charges", "input_tokens", "output_tokens", "list_cost")
CUSTOMERS: Final = ("acme", "globex", "initech")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application, then asks its ledger what it cost, and for whom."""
    options = _parser().parse_args(arguments)
    if options.ledger:
        show(options.ledger, run_application(options.ledger))
        print(f"\nThe ledger stays in {options.ledger}: spanledger report --by team,feature {options.ledger}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.ledger"
        show(path, run_application(path))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spanledger demo", description=__doc__)
    parser.add_argument("--ledger", type=Path, help="keep the ledger in this directory; else it is a temporary one")
    return parser


def run_application(ledger: Path) -> Run:
    """A day of the application, metered into a ledger. Returns the last run of its agentic chain."""
    with ProviderServer(answer) as server, server.environment():
        spanledger.instrument(ledger=ledger, tags={"environment": "demo"}, service_name="helpdesk")
        try:
            with _connected() as clients:
                return _a_day(clients)
        finally:
            spanledger.uninstrument()


def _connected() -> Any:
    try:
        import anthropic
        import boto3
        import openai
    except ImportError as error:
        raise MissingExtraError(error.name or "an SDK", "demo") from error
    del anthropic, boto3, openai
    return connected()


def _a_day(clients: Clients) -> Run:
    for number, customer in enumerate(CUSTOMERS):
        for text in TEXTS[: number + 1]:
            summarize(Document(customer, text), clients)
        for question in QUESTIONS[number:]:
            search(question, clients, customer)
    runs = [resolve(Ticket(customer, QUESTIONS[number]), clients) for number, customer in enumerate(CUSTOMERS)]
    return runs[-1]


def answer(request: Request) -> Reply:
    """A reply whose numbers depend on the request alone: the demo shows the same ones every time."""
    seed = crc32(request.body)
    output = 60 + seed % 400
    tokens = Tokens(
        input_tokens=800 + seed % 3000,
        output_tokens=output,
        cache_read_tokens=seed % 700 if request.path.endswith(("/responses", "/v1/messages")) else 0,
        reasoning_tokens=output // 3 if request.path.endswith("/responses") else 0,
    )
    return Reply(text="First look at the account. Then read the log.", usage=tokens)


def show(path: Path, run: Run) -> None:
    """Cost by owner, and the tree of one chain."""
    ledger = spanledger.Ledger(path)
    for by in (["team"], ["feature"], ["customer"], ["provider_name", "model"]):
        cost = ledger.cost(by=by).select([*by, *SHOWN])
        print(f"\nCost by {' and '.join(by)}, in US dollars\n\n{cost.to_text()}")
    print(f"\nOne run of the workflow {run.workflow}, by step and call\n\n{ledger.trace(run.workflow_id).to_text()}")
    print(f"\nThe application knew it as it ran: run.cost is {run.cost}, of {run.charges} charges")


if __name__ == "__main__":
    sys.exit(main())
