"""spanledger: who spent what on LLMs.

    import spanledger

    spanledger.instrument(ledger="spend.ledger", tags={"team": "growth"})

Every call that the openai, anthropic and boto3 SDKs make from then on becomes one exact, durable charge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanledger import _main_interpreter  # noqa: F401 -- first, as the rest cannot be imported in a sub-interpreter
from spanledger._carry import carry
from spanledger._config import configure, flush, instrument, uninstrument, wrap
from spanledger._propagation import extract, inject
from spanledger._tags import current_tags, tag
from spanledger._tool import tool
from spanledger._types import Charge, Usage
from spanledger._workflow import workflow

if TYPE_CHECKING:
    from spanledger._metered import meter
    from spanledger._price import price
    from spanledger.ledger import Ledger

__all__ = [
    "Charge",
    "Ledger",
    "Usage",
    "carry",
    "configure",
    "current_tags",
    "extract",
    "flush",
    "inject",
    "instrument",
    "meter",
    "price",
    "tag",
    "tool",
    "uninstrument",
    "workflow",
    "wrap",
]

_LAZY = {"Ledger": "spanledger.ledger", "meter": "spanledger._metered", "price": "spanledger._price"}
"""Names that load on first use: the query half, and what needs every provider's tables."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("spanledger")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    msg = f"module 'spanledger' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
