"""How a call ended, in the words of a row, and whether one that failed may have been billed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger._call import Tally
from spanledger._rows import put
from spanledger._types import Priced, Row
from spanledger.providers._reading import Reading

ABORTS: Final = frozenset({"CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit"})
UNSENT: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "EndpointConnectionError", "ConnectTimeoutError", "ProxyError"}
)
LOST_ON_THE_WAY: Final = (
    "Connection",
    "Timeout",
    "Protocol",
    "ReadError",
    "Cancelled",
    "KeyboardInterrupt",
    "Payload",
    "Disconnected",
)

UNREADABLE: Final = frozenset({"APIResponseValidationError"})
"""What an SDK raises of an answer that it cannot read: nothing is wrong with that on the provider's side."""

FORGIVING: Final = frozenset({"openrouter"})
"""Providers whose terms say that a response which ends in an error is not billed, whatever came before."""

REFUSED: Final = "the provider failed before it answered"
UNANSWERED: Final = "the provider failed before any text: it may have billed the prompt"


def write_outcome(row: Row, tally: Tally) -> None:
    """Writes how a response ended: `error`, else `ok` once all that is billable has come, else `aborted`.

    `_error` in the state is what an error that comes as a body or an event calls itself: few SDKs raise it.
    """
    if tally.error is not None:
        write_failure(row, tally.error)
        return
    error = tally.state.get("_error")
    row["status"] = "error" if error else "ok" if tally.complete else "aborted"
    put(row, "error_type", error)


def write_failure(row: Row, error: BaseException) -> None:
    """Writes what a call failed with."""
    kind = type(error).__name__
    row["status"] = "aborted" if kind in ABORTS else "error"
    put(row, "error_type", kind)


def without_usage(tally: Tally, reading: Reading) -> Reading:
    """The reading of a response without usage, of which the provider itself says that it failed.

    An error in the place of an answer costs what it costs as a status of 4xx or 5xx: nothing. After the begin of an
    answer nobody knows whether the prompt was billed, and after some text the answer was broken off.
    """
    if not _failed(tally):
        return reading
    if tally.call.provider_name in FORGIVING or not _begun(tally):
        return reading._replace(billed=False, note=REFUSED)
    from spanledger._unreported import said  # few calls fail, fewer like this

    return reading if said(tally) else reading._replace(note=UNANSWERED)


def _failed(tally: Tally) -> bool:
    """Whether the provider says so: its error has a body, where that of a lost connection has none."""
    error = tally.error
    if not isinstance(error, Exception) or type(error).__name__ in UNREADABLE:
        return "_error" in tally.state
    return any(getattr(error, name, None) is not None for name in ("body", "details", "status_code"))


def _begun(tally: Tally) -> bool:
    """Whether anything but an error has come."""
    told = any(not name.startswith("_") for name in tally.state)
    return told or (tally.first_ns is not None and "_error" not in tally.state)


def price_of_failure(error: BaseException) -> Priced:
    """A status of 4xx or 5xx is not billed, nor a call that never left; what timed out or was cut may be."""
    if isinstance(_status_of(error), int) or not _sent(error):
        return Priced("not_billed", 0)
    return Priced("unknown", reason=f"{type(error).__name__}: the provider may have billed it")


def _status_of(error: BaseException) -> Any:
    for name in ("status_code", "code"):  # the latter is google-genai's; elsewhere it is text
        status = getattr(error, name, None)
        if isinstance(status, int):
            return status
    response = getattr(error, "response", None)
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, Mapping) else None


def _sent(error: BaseException) -> bool:
    """Whether the request may have reached the provider before it failed."""
    names = {type(error).__name__, type(error.__cause__).__name__}
    return not names & UNSENT and any(part in name for name in names for part in LOST_ON_THE_WAY)
