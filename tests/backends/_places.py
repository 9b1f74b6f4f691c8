"""What the ledger and each backend say of one application, in the same five numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tests._otlp import plain

DIGIT = Decimal("1e-9")
"""Backends keep doubles: what is compared is a billionth of a dollar."""


class Totals(NamedTuple):
    """Calls, tokens, and dollars of the two kinds of calls; `None` is what a backend does not have."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    chat_cost: Decimal | None = Decimal(0)
    embeddings_cost: Decimal | None = Decimal(0)


def dollars(amounts: Iterable[Any]) -> Decimal:
    return sum((Decimal(str(amount)) for amount in amounts if amount is not None), Decimal(0)).quantize(DIGIT)


def of_calls(calls: Iterable[Mapping[str, Any]]) -> Totals:
    """From calls with `operation`, `input_tokens`, `output_tokens` and `cost`."""
    listed = list(calls)
    chats = [call for call in listed if call["operation"] == "chat"]
    return Totals(
        len(listed),
        sum(call["input_tokens"] or 0 for call in listed),
        sum(call["output_tokens"] or 0 for call in listed),
        dollars(call["cost"] for call in chats),
        dollars(call["cost"] for call in listed if call["operation"] != "chat"),
    )


def of_rows(rows: Iterable[Mapping[str, Any]]) -> Totals:
    """The ledger's own."""
    return of_calls({**row, "cost": row["list_cost"]} for row in rows)


def of_phoenix(spans: Iterable[Mapping[str, Any]]) -> Totals:
    """Phoenix counts no tokens of embeddings."""
    return of_calls(
        {
            "operation": "embeddings" if span["name"].startswith("embeddings") else "chat",
            "input_tokens": span["tokenCountPrompt"],
            "output_tokens": span["tokenCountCompletion"],
            "cost": span["costSummary"]["total"]["cost"],
        }
        for span in spans
        if span["tokenCountPrompt"] is not None
    )


def of_mlflow(spans: Iterable[Mapping[str, Any]]) -> Totals:
    attributes = [plain_json(span["attributes"]) for span in spans]
    return of_calls(
        {
            "operation": about["gen_ai.operation.name"],
            "input_tokens": about["gen_ai.usage.input_tokens"],
            "output_tokens": about.get("gen_ai.usage.output_tokens"),
            "cost": about["mlflow.llm.cost"]["total_cost"],
        }
        for about in attributes
        if "gen_ai.usage.input_tokens" in about
    )


def plain_json(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes as OTLP's JSON has them, where 64-bit numbers are text."""
    return {pair["key"]: _value(pair["value"]) for pair in attributes}


def _value(tagged: Mapping[str, Any]) -> Any:
    ((kind, value),) = tagged.items()
    if kind in {"kvlistValue", "kvlist_value"}:
        return plain_json(value["values"])
    return int(value) if kind in {"intValue", "int_value"} else value


def of_spans(spans: Iterable[Any]) -> Totals:
    """What an OTLP receiver was sent."""
    return of_calls(
        {
            "operation": about["gen_ai.operation.name"],
            "input_tokens": about["gen_ai.usage.input_tokens"],
            "output_tokens": about.get("gen_ai.usage.output_tokens"),
            "cost": about["gen_ai.usage.cost"],
        }
        for about in (plain(span.attributes) for span in spans)
        if "gen_ai.usage.input_tokens" in about
    )


Sum = Callable[[str], Mapping[str, float]]
"""The sums of a metric by operation."""


def of_metrics(sums: Sum) -> Totals:
    costs = sums("spanledger.cost")
    return Totals(
        int(sum(sums("spanledger.charges").values())),
        int(sum(sums("gen_ai.client.inference.usage.input_tokens").values())),
        int(sum(sums("gen_ai.client.inference.usage.output_tokens").values())),
        dollars([costs.get("chat")]),
        dollars([costs.get("embeddings")]),
    )


def of_points(metrics: Mapping[str, Iterable[Any]]) -> Totals:
    """The metrics that an OTLP receiver was sent."""

    def sums(name: str) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for point in metrics[name]:
            operation = plain(point.attributes).get("gen_ai.operation.name", "")
            found[operation] = found.get(operation, 0) + (point.as_int or point.as_double)
        return found

    return of_metrics(sums)


def table(compared: Mapping[str, Mapping[str, Totals]]) -> str:
    """Side by side as a table of Markdown: a row for each sampling and number, a column for each place."""
    places = next(iter(compared.values()))
    lines = [
        "| sampling | | " + " | ".join(places) + " |",
        "|---|---|" + "---:|" * len(places),
    ]
    for sampling, found in compared.items():
        for number in Totals._fields:
            cells = [shown(getattr(found[place], number)) for place in places]
            lines.append(f"| {sampling} | {number.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def shown(value: int | Decimal | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.9f}"
