"""How a call ended, in the words of a row, and whether a call that failed may have been billed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger._call import Tally
from spanledger._rows import put
from spanledger._types import Priced, Row

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


def write_outcome(row: Row, tally: Tally) -> None:
    """Writes how a response ended: `ok` once all that is billable has come, else `error` or `aborted`.

    `_error` in the state is what an error event of a stream calls itself, where the SDK raises nothing of it.
    """
    if tally.error is not None:
        write_failure(row, tally.error)
        return
    error = tally.state.get("_error")
    row["status"] = "ok" if tally.complete else "error" if error else "aborted"
    put(row, "error_type", error)


def write_failure(row: Row, error: BaseException) -> None:
    """Writes what a call failed with."""
    kind = type(error).__name__
    row["status"] = "aborted" if kind in ABORTS else "error"
    put(row, "error_type", kind)


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
