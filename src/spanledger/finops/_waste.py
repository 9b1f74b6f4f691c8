"""Which charges were paid for nothing: one table, said in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spanledger.finops import _sql

USEFUL: Final = "useful"
TRUNCATED: Final = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length", "incomplete")
"""What providers call an answer that ran into its limit."""

_REPLACED: Final = """(SELECT c.charge_id FROM charges c JOIN (
    SELECT call_id, arg_max(response_id, charge_id) AS last FROM charges
    WHERE call_id IS NOT NULL AND response_id IS NOT NULL GROUP BY call_id HAVING count(DISTINCT response_id) > 1
  ) tries ON c.call_id = tries.call_id WHERE c.response_id <> tries.last)"""

WASTE: Final[Mapping[str, str]] = {
    "retried": f"charge_id IN {_REPLACED}",
    "failed": "status = 'error'",
    "aborted": "status = 'aborted'",
    "truncated": " OR ".join(_sql.contains("finish_reasons", reason) for reason in TRUNCATED),
}
"""The kinds of waste, in the order in which a charge is tried for them."""


def waste_sql() -> str:
    """The kind of waste that a charge is, else `useful`."""
    whens = " ".join(f"WHEN {condition} THEN {_sql.literal(kind)}" for kind, condition in WASTE.items())
    return f"CASE {whens} ELSE {_sql.literal(USEFUL)} END"
