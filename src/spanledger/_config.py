"""`instrument`, `configure`, `wrap` and `uninstrument`: what is metered, where charges go, under which tags."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from spanledger import _meter, _tags
from spanledger.errors import ConfigurationError
from spanledger.providers import hooks
from spanledger.providers._stainless import everything, only
from spanledger.sinks.ledger import LedgerSink

T = TypeVar("T")
DEFAULT_LEDGER: Final = "spend.ledger"


def configure(
    *,
    ledger: str | os.PathLike[str] | None = None,
    tags: Mapping[str, Any] | None = None,
    service_name: str | None = None,
    release: str | None = None,
) -> None:
    """Says where charges go and whose they are; hooks nothing.

    `ledger` is a directory, made at the first charge; by default that of `SPANLEDGER_LEDGER`, else `spend.ledger`.
    `tags` hold for the whole process. `service_name` defaults to `OTEL_SERVICE_NAME`, `release` to
    `SPANLEDGER_RELEASE`. A second call replaces the first. A ledger that cannot be written is warned of once, at the
    first charge; the application's calls are not affected.
    """
    path = _path_of(os.environ.get("SPANLEDGER_LEDGER", DEFAULT_LEDGER) if ledger is None else ledger)
    _tags.base.clear()
    _tags.base.update(_tags.clean(_mapping_of(tags)))
    identity = {
        "service_name": service_name or os.environ.get("OTEL_SERVICE_NAME"),
        "release": release or os.environ.get("SPANLEDGER_RELEASE"),
    }
    _meter.meter.identity = {name: value for name, value in identity.items() if value}
    _use_ledger(path)
    _meter.start()


def _path_of(ledger: Any) -> str:
    path = os.fspath(ledger) if isinstance(ledger, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        msg = f"ledger must be the path of a directory, not {ledger!r}"
        raise ConfigurationError(msg)
    return path


def _mapping_of(tags: Any) -> Mapping[str, Any]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        msg = f"tags must be a mapping such as {{'team': 'growth'}}, not {type(tags).__name__}"
        raise ConfigurationError(msg)
    return tags


def _use_ledger(path: str) -> None:
    for sink in _meter.meter.sinks:
        if isinstance(sink, LedgerSink):
            if sink.path == Path(path).absolute():
                return
            _meter.remove_sink(sink)
            sink.close()
    _meter.add_sink(LedgerSink(path))


def instrument(
    *,
    ledger: str | os.PathLike[str] | None = None,
    tags: Mapping[str, Any] | None = None,
    service_name: str | None = None,
    release: str | None = None,
) -> None:
    """Meters every call of the supported SDKs in this process, whether they are imported already or later.

    Settings are those of `configure`. Nothing is imported that the application does not import. Calling it again
    changes the settings and hooks nothing twice. boto3 clients made before are metered after `wrap(client)`.
    """
    configure(ledger=ledger, tags=tags, service_name=service_name, release=release)
    everything.metered = True
    for hook in hooks():
        hook.enable()


def uninstrument() -> None:
    """Puts every function of every SDK back and stops metering; what was booked stays in the ledger."""
    everything.metered = False
    only.clear()
    for hook in hooks():
        hook.disable()
    for sink in _meter.meter.sinks:
        if isinstance(sink, LedgerSink):
            sink.close()
    _meter.stop()


def wrap(client: T, **tags: Any) -> T:
    """Meters one client, under tags of its own, and returns it: the same object.

    Takes any client of a supported SDK. Where `configure` has not been called, its defaults hold. Copies that the
    client makes of itself (`with_options`) are metered as it is.
    """
    if not _meter.describe()["metering"]:
        configure()
    for hook in hooks():
        hook.enable()
    _mark(client, _tags.clean(tags))
    return client


def _mark(client: Any, tags: Mapping[str, str]) -> None:
    if hasattr(client, "meta") and hasattr(client, "_request_signer"):
        from spanledger.providers._botocore import register

        register(client)
        only[client._request_signer] = tags
        return
    if not hasattr(client, "_process_response_data"):
        msg = f"client: {type(client).__module__}.{type(client).__name__} is no client of a supported SDK"
        raise ConfigurationError(msg)
    only[client] = tags
    _mark_copies(client, tags)


def _mark_copies(client: Any, tags: Mapping[str, str]) -> None:
    """A copy is another object: it is marked as it is made."""
    for name in ("copy", "with_options"):
        original = getattr(type(client), name, None)
        if original is not None:
            setattr(client, name, _copying(client, original, tags))


def _copying(client: Any, original: Any, tags: Mapping[str, str]) -> Any:
    reference = weakref.ref(client)

    def copy(*args: Any, **kwargs: Any) -> Any:
        made = original(reference(), *args, **kwargs)
        only[made] = tags
        return made

    return copy
