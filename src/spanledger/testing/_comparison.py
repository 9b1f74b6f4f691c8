"""Whether the charges of a recorded exchange say what the recording says: pure functions of the two.

The recordings' `expected` has one convention for every provider, which is the ledger's own: input includes what the
cache served and stored, output includes reasoning. A count that neither side knows and a count of zero are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spanledger._types import Charge

Case = Mapping[str, Any]

COUNTS: Final[Mapping[str, str]] = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
"""A charge's column, and what the recordings call it."""

LOWER_BOUNDS: Final = ("partial", "unknown")
"""The cost statuses of a usage that is a lower bound: `unknown` where the model has no price."""

BILLED_METHOD: Final = "POST"
"""What is fetched with GET was billed before, if at all."""


def misses(case: Case, charges: Sequence[Charge]) -> list[str]:
    """What is not as recorded, in words; nothing where all is equal."""
    expected_charges = 1 if case["method"] == BILLED_METHOD else 0
    if len(charges) != expected_charges:
        return [f"{len(charges)} charges instead of {expected_charges}"]
    return [reason for charge in charges for reason in _misses_of(case, charge)]


def _misses_of(case: Case, charge: Charge) -> list[str]:
    expected = case["expected"]
    if case["is_error"]:
        return [] if charge.cost_status == "not_billed" else [f"an error was booked as {charge.cost_status}"]
    if not expected["usage_present"]:
        return _misses_without_usage(charge)
    wrong = _wrong_model(expected, charge) + wrong_counts(expected, charge)
    if wrong and "iterations_sum" in expected["extra"]:
        return _wrong_model(expected, charge) + wrong_counts(
            {**expected, **expected["extra"]["iterations_sum"]}, charge
        )
    return wrong


def _misses_without_usage(charge: Charge) -> list[str]:
    """A response that reports no usage has no count, except an estimate, and what a later look at it told.

    A lower bound is one where the row says so: its usage is `partial`, and so its cost is neither exact nor estimated.
    """
    bounded = charge.usage_source == "partial" and charge.cost_status in LOWER_BOUNDS
    if bounded or charge.usage_source == "estimated" or charge.corrects or charge.input_tokens is None:
        return []
    return [f"input_tokens {charge.input_tokens} where none is reported"]


def _wrong_model(expected: Mapping[str, Any], charge: Charge) -> list[str]:
    booked = charge.response_model or charge.request_model
    return [] if expected["model"] in (None, "", booked) else [f"model {booked} instead of {expected['model']}"]


def wrong_counts(expected: Mapping[str, Any], charge: Charge) -> list[str]:
    """The columns of a charge that differ from the recorded counts."""
    said = {column: expected[name] or 0 for column, name in COUNTS.items()}
    if expected["output_tokens"] is None and "header_tokens" in expected["extra"]:
        said["output_tokens"] = expected["extra"]["header_tokens"][1] or 0  # the body of some guarded answers lacks it
    if not said["input_tokens"] and not said["output_tokens"]:
        said["input_tokens"] = expected.get("total_tokens_reported") or 0  # what is stored in a cache has a total only
    pairs = {column: (getattr(charge, column) or 0, count) for column, count in said.items()}
    return [f"{column} {booked} instead of {count}" for column, (booked, count) in pairs.items() if booked != count]


def tells_unasked(case: Case) -> bool:
    """Whether a recorded chat stream tells its usage though its request does not ask for it.

    Metering asks, and takes the answer out again. A replayed server answers whether asked or not, so there the bare SDK
    shows one chunk more.
    """
    if not case["streaming"] or case["endpoint"] not in ("chat.completions", "completions"):
        return False
    body = case["request"].get("body")
    options = body.get("stream_options") if isinstance(body, Mapping) else None
    asked = isinstance(options, Mapping) and options.get("include_usage") is True
    return bool(case["expected"]["usage_present"]) and not asked
