"""`instrument`, `configure`, `wrap` and `uninstrument`: what is metered, where charges go, under which tags."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from spanledger import _around, _baggage, _faults, _meter, _tags, _threads
from spanledger._bridge import Bridge
from spanledger._settings import Settings, misspelt, read
from spanledger._types import Sink
from spanledger.errors import ConfigurationError, LedgerError, MissingExtraError
from spanledger.providers import _injection, hooks
from spanledger.providers._hooks import Patch
from spanledger.providers._stainless import everything, only
from spanledger.sinks.ledger import LedgerSink
from spanledger.sinks.otel import OTel

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
OTEL: Final = ("span_policy", "profiles", "span_tags", "metrics", "metric_tags", "metric_top")
"""The settings that the OpenTelemetry sink takes."""

_copies: Final = Patch()
"""What marks the copies of clients that `wrap` has marked."""


def configure(**settings: Unpack[Settings]) -> None:
    """Says where charges go and whose they are; hooks nothing.

    `ledger` is a directory, made at the first charge. `tags` hold for the whole process. Each setting may come from the
    environment instead, see `spanledger._settings.SETTINGS`. A second call replaces the first. Raises
    `ConfigurationError` for a setting that is wrong. A ledger that cannot be written is warned of once, at the first
    charge, and the application's calls are not affected.
    """
    values = read(settings)
    for name, meant in misspelt().items():
        if meant:
            _faults.log.warning("%s is no setting of spanledger: did you mean %s?", name, meant)
    _use_prices(values["prices"])
    _tags.base.clear()
    _tags.base.update(_tags.clean(values["tags"]))
    names = ("service_name", "release")
    _meter.meter.identity = {name: values[name] for name in names if values[name]}
    _baggage.configure(values["baggage_in"], values["baggage_out"], values["provider_baggage"])
    chosen = {name: values[name] for name in OTEL if values[name] is not None}
    if values["otlp"]:
        from spanledger import _otel_sdk

        _otel_sdk.start(values["otlp"], values["service_name"], values["release"])
    bridge = Bridge(values["bridge"]) if values["bridge"] else None
    otel = OTel(**chosen, health=_faults.totals, tags_in=_tags.tags_in, finished=bridge.on_span if bridge else None)
    _meter.meter.spans = otel
    _around.opener.open, _around.opener.over = otel.around, otel.over
    _injection.asking.enabled = values["include_usage"]
    _injection.asking.hosts = tuple(values["include_usage_hosts"])
    _threads.switch(on=values["threads"])
    keeping = {name: values[name] for name in ("durability", "sealing", "hmac_key", "min_free_mb")}
    ledger = LedgerSink(os.fspath(values["ledger"]), **keeping, send=_sending(values["ship_to"]))
    _replace_sinks(ledger, otel, *([bridge] if bridge else []))
    _meter.start()


def _use_prices(file: str | os.PathLike[str] | None) -> None:
    """Reading files of prices loads only where one is configured, or was."""
    if file or "spanledger.prices._yours" in sys.modules:
        from spanledger.prices._yours import use

        use(os.fspath(file) if file else None)


def _sending(destination: str | None) -> Callable[[Path], object] | None:
    """What moves segments to an address; what it needs is looked for now, when the application can be told."""
    if not destination:
        return None
    from spanledger.ledger._away import send
    from spanledger.ledger._ship import place_of

    try:
        place_of(destination)
    except (LedgerError, MissingExtraError) as error:
        msg = f"ship_to: {error}"
        raise ConfigurationError(msg) from error
    return functools.partial(send, destination=destination)


def flush() -> None:
    """Gives away what is held, such as segments that `ship_to` moves: for the end of a handler that may be frozen.

    Charges need no flush to be on disk. Never raises: what cannot be moved is counted, and tried again next time.
    """
    _meter.meter.flush()


def _replace_sinks(*sinks: Sink) -> None:
    """Puts sinks of our own making in the place of earlier ones; others stay."""
    for sink in _meter.meter.sinks:
        if isinstance(sink, (LedgerSink, OTel, Bridge)):
            _meter.remove_sink(sink)
            sink.close()
    for sink in sinks:
        _meter.add_sink(sink)


def instrument(**settings: Unpack[Settings]) -> None:
    """Meters every call of the supported SDKs in this process, whether they are imported already or later.

    Settings are those of `configure`. Nothing is imported that the application does not import. Calling it again
    changes the settings and hooks nothing twice. boto3 clients made before are metered after `wrap(client)`.
    """
    configure(**settings)
    everything.metered = True
    for hook in hooks():
        hook.enable()


def uninstrument() -> None:
    """Puts every function of every SDK back and stops metering; what was booked stays in the ledger."""
    everything.metered = False
    only.clear()
    _copies.undo()
    for hook in hooks():
        hook.disable()
    _threads.switch(on=False)
    _replace_sinks()
    _around.opener.open = _around.opener.over = None
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
    if type(client).__module__.startswith("google.genai.") and hasattr(client, "_api_client"):
        api = client._api_client
        for one in (api, getattr(api, "_httpx_client", None), getattr(api, "_async_httpx_client", None)):
            if one is not None:
                only[one] = tags
        return
    if not hasattr(client, "_process_response_data"):
        msg = f"client: {type(client).__module__}.{type(client).__name__} is no client of a supported SDK"
        raise ConfigurationError(msg)
    only[client] = tags
    _watch_copies(type(client))


def _watch_copies(kind: type) -> None:
    """A copy is another object: it is marked as it is made."""
    for name in ("copy", "with_options"):
        owner = next((one for one in kind.__mro__ if name in one.__dict__), None)
        if owner is not None:
            _copies.replace(owner, name, _copying)


def _copying(original: Callable[..., Any]) -> Callable[..., Any]:
    def copy(client: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(client, *args, **kwargs)
        _mark_copy(client, made)
        return made

    return copy


@_faults.guarded("meter a copy of a client")
def _mark_copy(client: Any, made: Any) -> None:
    tags = only.get(client)
    if tags is not None:
        only[made] = tags
