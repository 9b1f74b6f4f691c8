"""The price book: what a usage costs, exactly, at the moment of the call.

`rate` is what capture calls. `spanledger.price` prices a raw response. `add`, `contract`, `alias` and `load` put prices
of your own over the book; `reset` takes them away again. `reprice` and `what_if` price history again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from spanledger._types import Priced, Usage
from spanledger.prices._engine import ENGINE, Engine
from spanledger.prices._identity import platform_of
from spanledger.prices._layers import Contract, contract_of

if TYPE_CHECKING:
    from spanledger.prices._currency import Converted, Rates
    from spanledger.prices._period import METERS, containers, read_meter
    from spanledger.prices._reprice import Alternative, Correction, Difference, differences, reprice, saved, what_if
    from spanledger.prices._yours import add, alias, assume, contract, invoice, load, reset

__all__ = [
    "ENGINE",
    "METERS",
    "Alternative",
    "Contract",
    "Converted",
    "Correction",
    "Difference",
    "Engine",
    "Rates",
    "add",
    "alias",
    "assume",
    "containers",
    "contract",
    "contract_of",
    "differences",
    "invoice",
    "load",
    "platform_of",
    "rate",
    "read_meter",
    "reprice",
    "reset",
    "saved",
    "what_if",
]

_LAZY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Converted", "Rates"), "spanledger.prices._currency"),
    **dict.fromkeys(("METERS", "containers", "read_meter"), "spanledger.prices._period"),
    **dict.fromkeys(
        ("Alternative", "Correction", "Difference", "differences", "reprice", "saved", "what_if"),
        "spanledger.prices._reprice",
    ),
    **dict.fromkeys(("add", "alias", "assume", "contract", "invoice", "load", "reset"), "spanledger.prices._yours"),
}
"""Names that capture does not need: they load on first use."""


def rate(  # noqa: PLR0913 - a keyword for each fact that decides a price
    usage: Usage,
    *,
    provider_name: str,
    response_model: str | None,
    request_model: str | None,
    context: Mapping[str, str],
    at_ns: int,
) -> Priced:
    """Prices a usage: `at_ns` is the start of the call in nanoseconds since 1970, UTC.

    A model that the book does not know has status `unknown` and no amount, never zero. A context value that it has no
    price for makes the amount an estimate at the ordinary price, and the reason names it.
    """
    return ENGINE.rate(usage, (provider_name, response_model, request_model), context, at_ns)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LAZY:
        msg = f"module 'spanledger.prices' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
