"""spanledger: who spent what on LLMs.

    import spanledger

    spanledger.instrument(ledger="spend.ledger", tags={"team": "growth"})

Every call that the openai, anthropic and boto3 SDKs make from then on becomes one exact, durable charge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanledger import _main_interpreter  # noqa: F401 -- first, as the rest cannot be imported in a sub-interpreter

if TYPE_CHECKING:
    from spanledger._carry import carry
    from spanledger._config import configure, flush, instrument, uninstrument, wrap
    from spanledger._metered import meter
    from spanledger._price import price
    from spanledger._propagation import extract, inject
    from spanledger._tags import current_tags, tag
    from spanledger._tool import tool
    from spanledger._types import Charge, Usage
    from spanledger._workflow import workflow
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

_PLACES: Final = {
    "_carry": ("carry",),
    "_config": ("configure", "flush", "instrument", "uninstrument", "wrap"),
    "_metered": ("meter",),
    "_price": ("price",),
    "_propagation": ("extract", "inject"),
    "_tags": ("current_tags", "tag"),
    "_tool": ("tool",),
    "_types": ("Charge", "Usage"),
    "_workflow": ("workflow",),
    "ledger": ("Ledger",),
}
"""Where the names are. Each loads on first use, so that a question does not wait for what capture needs."""

_PARTS: Final = ("errors", "prices")
"""What is used by its own name, as `spanledger.prices.add`."""

_LAZY: Final = {name: f"spanledger.{module}" for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("spanledger")
    if name in _PARTS:
        return import_module(f"spanledger.{name}")
    if name in _LAZY:
        found = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return found
    msg = f"module 'spanledger' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
