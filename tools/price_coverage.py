"""What the price book makes of data that is not ours: golden cases, other price lists, recorded traffic, usage bodies.

    python tools/price_coverage.py [golden] [compare] [corpus] [usages] [peer] [--shared DIR] [--usages usages.json]

Prints a table for each. `shared` is a directory with `data/pricing/golden.jsonl`, `data/pricing/compare.csv` and
`data/corpus/cases.jsonl.gz`; `usages` is `tests/dataset/usages.json` of genai-prices, which `peer` needs installed.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import spanledger
from spanledger import Usage, prices
from spanledger._raw import apis
from spanledger._units import money_text
from spanledger.providers import openai
from spanledger.providers._body import bodies_of

SHARED = Path(os.environ.get("SPANLEDGER_SHARED") or Path(__file__).parents[2] / "shared")
EXPECTED = {"exact": {"exact", "not_billed"}, "unknown": {"unknown"}, "lower_bound": {"partial"}}
EXPECTED["ambiguous"] = {"estimated"}
"""What a golden case calls a status, and what the ledger does."""

PROVIDERS = {"azure_openai": "azure", "bedrock": "aws", "google_genai": "google"}
ENDPOINTS = {"anthropic.messages": "messages", "images.variation": "images.create_variation"}
NOVEMBER = "2026-11-16T12:00:00Z"


class Outcome(NamedTuple):
    """A golden case, what it expects, and what came out."""

    case: Mapping[str, Any]
    charge: spanledger.Charge
    amount: Decimal | None

    @property
    def right(self) -> bool:
        """Whether status and total are those expected, to the last digit."""
        expected = self.case["expected"]
        total = None if expected["total"] is None else Decimal(expected["total"])
        return self.charge.cost_status in EXPECTED[expected["status"]] and self.amount == total


def golden(shared: Path) -> Iterator[Outcome]:
    """Prices each golden case through the public function."""
    with (shared / "data" / "pricing" / "golden.jsonl").open() as lines:
        for line in lines:
            case = json.loads(line)
            context = case["context"]
            charge = spanledger.price(
                case["raw"],
                provider=case["provider"],
                api=case["api"],
                requested_model=context.get("requested_model") or context.get("model_id") or case["model"],
                context=context,
                at=case["date"],
            )
            yield Outcome(case, charge, _amount(charge, context))


def _amount(charge: spanledger.Charge, context: Mapping[str, Any]) -> Decimal | None:
    """The amount that a case is about: list cost, contracted cost under a contract, another currency where one is."""
    if "fx" in context:
        rates = prices.Rates({context["report_currency"]: {context["fx"]["date"]: context["fx"]["USD/EUR"]}})
        return rates.convert(charge.list_cost or Decimal(0), context["report_currency"], charge.started_at).amount
    return charge.contracted_cost if {"contract", "discount"} & context.keys() else charge.list_cost


def show_golden(shared: Path) -> None:
    """How many golden cases are right, by confidence, and each that is not."""
    outcomes = list(golden(shared))
    right, all_of = Counter(), Counter()
    for outcome in outcomes:
        confidence = outcome.case["confidence"]
        all_of[confidence] += 1
        right[confidence] += outcome.right
    print(f"golden cases right: {sum(right.values())} of {len(outcomes)}")
    for confidence, number in all_of.items():
        print(f"  confidence {confidence:7} {right[confidence]:4} of {number}")
    for outcome in outcomes:
        if not outcome.right:
            expected = outcome.case["expected"]
            print(
                f"  {outcome.case['id']}: expected {expected['status']} {expected['total']}, "
                f"got {outcome.charge.cost_status} {outcome.amount}: {outcome.charge.cost_reason}"
            )


FIELDS = {
    "input": ({"input": 1000}, {}),
    "output": ({"output": 1000}, {}),
    "cache_read": ({"cache_read": 1000}, {}),
    "cache_write": ({"cache_write": 1000}, {}),
    "cache_write_1h": ({"cache_write_1h": 1000}, {}),
    "batch_input": ({"input": 1000}, {"batch": "true"}),
    "long_input": ({"input": 1_000_000}, {}),
    "long_output": ({"input": 1_000_000, "output": 1000}, {}),
}
"""A field of the comparison as a usage of ours and its context."""


def compare(shared: Path) -> Iterator[tuple[Mapping[str, str], Decimal | None, list[Decimal]]]:
    """Each row of the comparison, our rate, and the rates of the sources that it calls right."""
    with (shared / "data" / "pricing" / "compare.csv").open() as lines:
        for row in csv.DictReader(lines):
            if row["field"] in FIELDS:
                yield row, _rate(row), _right(row)


def _rate(row: Mapping[str, str]) -> Decimal | None:
    units, context = FIELDS[row["field"]]
    where = {"deployment_type": "GlobalStandard"} if row["provider"] == "azure" else {}
    priced = prices.rate(
        Usage(units),
        provider_name=row["provider"],
        response_model=None,
        request_model=row["model"],
        context={**where, **context},
        at_ns=1_795_000_000 * 10**9,
    )
    unit = list(units)[-1]
    if not priced.costs or unit not in priced.costs or priced.status not in {"exact", "partial"}:
        return None
    return Decimal(money_text(priced.costs[unit])) / units[unit] * 1_000_000


def _right(row: Mapping[str, str]) -> list[Decimal]:
    named = row["right"].split(" ")[0].split(",") if row["right"] else ["genai_prices", "litellm"]
    texts = (row.get(name, "") for name in named)
    return [Decimal(text) for text in texts if text and text[0].isdigit()]


def show_compare(shared: Path) -> None:
    """How many rates agree with the sources that the comparison calls right."""
    found: Counter[tuple[str, str]] = Counter()
    for row, ours, right in compare(shared):
        verdict = (
            "no source" if not right else "none of ours" if ours is None else "agree" if ours in right else "differ"
        )
        found[row["provider"], verdict] += 1
        if verdict in {"differ", "none of ours"}:
            print(
                f"  {row['provider']} {row['model']} {row['field']}: ours {ours}, right {[str(rate) for rate in right]}"
            )
    _table(found, ("agree", "differ", "none of ours", "no source"))


def corpus(shared: Path) -> Iterator[tuple[str, str, spanledger.Charge]]:
    """Prices every recorded exchange that was answered: provider, endpoint, charge."""
    with gzip.open(shared / "data" / "corpus" / "cases.jsonl.gz") as lines:
        for line in lines:
            case = json.loads(line)
            endpoint = case["endpoint"].removeprefix("mantle.")
            endpoint = ENDPOINTS.get(endpoint, endpoint)
            if case["is_error"] or endpoint not in apis():
                continue
            yield case["provider"], endpoint, _recorded(case, endpoint)


def _recorded(case: Mapping[str, Any], endpoint: str) -> spanledger.Charge:
    response, asked = case["response"], case["request"].get("body")
    content = base64.b64decode(response["body_b64"]) if "body_b64" in response else response["body"].encode()
    kind = response["headers"].get("content-type", "application/json")
    bodies = (
        list(_events(content)) if "amazon.eventstream" in kind else list(bodies_of(content, kind, apis()[endpoint]))
    )
    model = asked.get("model") if isinstance(asked, Mapping) else None
    return spanledger.price(
        {"events": bodies, "request": asked if isinstance(asked, Mapping) else {}},
        provider=_provider(case),
        api=endpoint,
        requested_model=model or _model_in(case["path"]),
        context={"headers": response["headers"], "server_address": case["host"]},
        at=NOVEMBER,
    )


def _provider(case: Mapping[str, Any]) -> str:
    if case["provider"] != "other-openai-compatible":
        return PROVIDERS.get(case["provider"], case["provider"])
    host = str(case["host"])
    return next((name for known, name in openai.HOSTS.items() if host.endswith(known)), "openai_compatible")


def _model_in(path: str) -> str | None:
    for before, after in (("/model/", "/"), ("models/", ":"), ("deployments/", "/")):
        if before in path:
            return path.partition(before)[2].partition(after)[0].replace("%3A", ":").replace("%2F", "/")
    return None


def _events(content: bytes) -> Iterator[Any]:
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    buffer.add_data(content)
    for event in buffer:
        body = json.loads(event.payload or b"{}")
        yield json.loads(base64.b64decode(body["bytes"])) if "bytes" in body else body


def show_corpus(shared: Path) -> None:
    """The status of every charge, by provider."""
    found = Counter((f"{provider} {endpoint}", charge.cost_status) for provider, endpoint, charge in corpus(shared))
    _table(found, ("exact", "estimated", "partial", "not_billed", "unknown"))


GUESSES = (
    ("anthropic", "messages"),
    ("openai", "chat.completions"),
    ("openai", "responses"),
    ("google", "generateContent"),
)


def usages(path: Path) -> Iterator[tuple[str, spanledger.Charge, bool | None]]:
    """Prices each body at the provider whose own model it names: provider, charge, whether genai-prices agrees."""
    for entry in json.loads(path.read_text()):
        found = min(_sellers(entry), key=lambda one: one[0] in RESELLERS, default=None)
        if found is None:
            yield "nobody's", spanledger.price(entry["body"], provider="openai", at=NOVEMBER), None
            continue
        provider, theirs = found
        charge = spanledger.price(entry["body"], provider=provider, requested_model=entry.get("model"), at=NOVEMBER)
        yield provider, charge, None if theirs is None or charge.list_cost is None else charge.list_cost == theirs


RESELLERS = ("azure", "aws", "google")


def _sellers(entry: Mapping[str, Any]) -> Iterable[tuple[str, Decimal]]:
    """The providers at which the data set found a price for a body, and that price."""
    for group in entry.get("extracted", ()):
        for one in group["extractors"]:
            parts = [one[name] for name in ("input_price", "output_price") if name in one]
            if parts:
                yield one["provider_id"], sum(map(Decimal, parts), Decimal(0))


def show_usages(path: Path) -> None:
    """The status of every body, by provider, and how often genai-prices comes to the same amount."""
    found: Counter[tuple[str, str]] = Counter()
    for provider, charge, agrees in usages(path):
        found[provider, charge.cost_status] += 1
        if agrees is not None:
            found[provider, "same as genai-prices" if agrees else "not the same"] += 1
    _table(found, ("exact", "estimated", "partial", "unknown", "same as genai-prices", "not the same"))


def peer(rounds: int = 4) -> Iterator[tuple[str, str]]:
    """Prices random usages of every model of genai-prices with both: provider, and how the two compare."""
    import genai_prices
    from genai_prices.data import providers

    chance = random.Random(1)  # noqa: S311 -- no secret: the same usages every time
    at = datetime(2026, 11, 16, 12, tzinfo=timezone.utc)
    for provider in providers:
        for model in provider.models:
            for _ in range(rounds):
                fresh, cached, output = (chance.randrange(most) for most in (400_000, 100_000, 9000))
                usage = genai_prices.Usage(input_tokens=fresh + cached, cache_read_tokens=cached, output_tokens=output)
                theirs = model.calc_price(usage, provider, genai_request_timestamp=at).total_price
                ours = prices.rate(
                    Usage({"input": fresh, "cache_read": cached, "output": output}),
                    provider_name=provider.id,
                    response_model=model.id,
                    request_model=None,
                    context={"deployment_type": "GlobalStandard"},
                    at_ns=int(at.timestamp()) * 10**9,
                )
                yield provider.id, _verdict(ours.list_cost, theirs)


def _verdict(ours: int | None, theirs: Decimal) -> str:
    if ours is None:
        return "no price of ours"
    return "same" if Decimal(money_text(ours)) == theirs else "not the same"


def show_peer() -> None:
    """How often the two come to the same amount, by provider."""
    _table(Counter(peer()), ("same", "not the same", "no price of ours"))


def _table(found: Counter[tuple[str, str]], columns: tuple[str, ...]) -> None:
    names = sorted({name for name, _ in found})
    width = max((len(name) for name in names), default=0)
    print(f"{'':{width}} " + " ".join(f"{column:>12}" for column in columns))
    for name in names:
        print(f"{name:{width}} " + " ".join(f"{found[name, column]:>{max(12, len(column))}}" for column in columns))
    totals = [sum(found[name, column] for name in names) for column in columns]
    print(
        f"{'all':{width}} "
        + " ".join(f"{n:>{max(12, len(column))}}" for n, column in zip(totals, columns, strict=True))
    )


def main() -> int:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["golden", "compare", "corpus", "usages"])
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--usages", type=Path, default=None)
    arguments = parser.parse_args()
    for what, show in (("golden", show_golden), ("compare", show_compare), ("corpus", show_corpus)):
        if what in arguments.what:
            print(f"== {what}")
            show(arguments.shared)
    if "peer" in arguments.what:
        print("== peer: random usages of every model of genai-prices")
        show_peer()
    if "usages" in arguments.what and arguments.usages is not None:
        print("== usages")
        show_usages(arguments.usages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
