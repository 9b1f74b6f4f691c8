"""The worked example of the specification as a ledger: six streams of charges, 1,200.00 dollars, 10,000 requests."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import orjson
import pytest

from spanledger._ids import uuid7
from spanledger.ledger import Ledger

PRICES = {"model-a": ("5.00", "25.00"), "model-b": ("1.00", "4.00")}
STREAMS = [
    ("search", "chat", "acme", "model-a", 40_000_000, 8_000_000, 4000),
    ("search", "summarize", "globex", "model-b", 100_000_000, 25_000_000, 1000),
    ("support", "chat", "acme", "model-a", 20_000_000, 4_000_000, 2000),
    ("support", "chat", "initech", "model-a", 20_000_000, 4_000_000, 2000),
    ("growth", "summarize", "globex", "model-b", 60_000_000, 10_000_000, 600),
    ("growth", "chat", None, "model-b", 40_000_000, 15_000_000, 400),
]
NOVEMBER = datetime(2026, 11, 1, tzinfo=timezone.utc)


def evenly(total, parts):
    """Whole tokens that sum to the total."""
    return [total * (number + 1) // parts - total * number // parts for number in range(parts)]


def stream(*row):
    team, feature, customer, model, sent, received, requests = row
    dear, dearer = (Decimal(price) / 1_000_000 for price in PRICES[model])
    for number, (tokens_in, tokens_out) in enumerate(
        zip(evenly(sent, requests), evenly(received, requests), strict=True)
    ):
        yield {
            "started_at": (NOVEMBER + timedelta(days=30) * number / requests).isoformat(timespec="microseconds"),
            "billed_model": model,
            "team": team,
            "feature": feature,
            "customer": customer,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "list_cost": str(tokens_in * dear + tokens_out * dearer),
        }


def charge(**row):
    """A whole row of a ledger from what a test cares about."""
    whole = {
        "charge_id": uuid7(),
        "started_at": "2026-11-05T12:00:00.000000Z",
        "provider_name": "openai",
        "operation": "chat",
        "status": "ok",
        "cost_status": "exact",
        "currency": "USD",
        **{name: value for name, value in row.items() if value is not None},
    }
    for name, other in (("contracted_cost", "list_cost"), ("effective_cost", "contracted_cost")):
        if other in whole:
            whole.setdefault(name, whole[other])
    return whole


def write(path, rows):
    """A ledger with those rows in one open segment."""
    segment = path / "open" / f"host-1-{uuid7()}.jsonl"
    segment.parent.mkdir(parents=True, exist_ok=True)
    segment.write_bytes(b"".join(orjson.dumps(charge(**row)) + b"\n" for row in rows))
    return Ledger(path)


@pytest.fixture(scope="session")
def golden(tmp_path_factory):
    rows = [row for given in STREAMS for row in stream(*given)]
    return write(tmp_path_factory.mktemp("golden") / "spend.ledger", rows)


SEATS = [
    {"team": team, "operation": "seat", "provider_name": "github.copilot", "list_cost": "19.00"}
    for team in ["search"] * 4 + ["support"] * 3 + ["growth", None]
]


@pytest.fixture(scope="session")
def seats(tmp_path_factory):
    """Nine seats at 19.00, one of them assigned to nobody."""
    return write(tmp_path_factory.mktemp("seats") / "spend.ledger", SEATS)


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """The charges and the seats."""
    rows = [row for given in STREAMS for row in stream(*given)]
    return write(tmp_path_factory.mktemp("everything") / "spend.ledger", rows + SEATS)


@pytest.fixture(scope="session")
def write_ledger():
    return write


@pytest.fixture
def make_ledger(tmp_path):
    return lambda *rows: write(tmp_path / "spend.ledger", rows)
