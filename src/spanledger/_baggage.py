"""W3C baggage and providers: tags never enter it by themselves, and it does not reach a provider unseen.

Baggage travels with every outgoing request that is instrumented. The anthropic SDK sends it to its API even where only
opentelemetry-api is installed; with an instrumented HTTP client every provider gets it. So tags live in a context key
of our own (`_tags`). Three settings open the door a little: `baggage_in` takes entries of incoming baggage as tags,
`baggage_out` sends tags to other services but never to a provider, and `provider_baggage` says what happens to an
application's own baggage when a provider is called: `warn` (once), `strip` or `keep`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from spanledger import _call, _faults, _tags
from spanledger.errors import ConfigurationError

PROVIDER: Final = create_key("spanledger.provider")
"""The context key that says: what goes out from here goes to a provider."""

POLICIES: Final = ("warn", "strip", "keep")

INSTRUMENTED: Final[Mapping[str, tuple[str, ...]]] = {
    "opentelemetry.instrumentation.httpx": ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor"),
    "opentelemetry.instrumentation.urllib3": ("URLLib3Instrumentor",),
    "opentelemetry.instrumentation.requests": ("RequestsInstrumentor",),
    "opentelemetry.instrumentation.aiohttp_client": ("AioHttpClientInstrumentor",),
}
"""The instrumentations of HTTP clients, which send baggage to whoever is called."""


@dataclass
class Rules:
    """The settings in force in this process."""

    accepted: frozenset[str] = frozenset()
    sent: frozenset[str] = frozenset()
    policy: str = "warn"
    warned: bool = False


rules: Final = Rules()


def configure(accepted: Iterable[str] = (), sent: Iterable[str] = (), policy: str = "warn") -> None:
    """Sets `baggage_in`, `baggage_out` and `provider_baggage`."""
    if policy not in POLICIES:
        msg = f"provider_baggage: {policy!r} is none of {', '.join(POLICIES)}"
        raise ConfigurationError(msg)
    rules.accepted, rules.sent, rules.policy = frozenset(accepted), frozenset(sent), policy
    _tags.received = received if rules.accepted else None
    _call.shield = None if policy == "keep" and not rules.sent else shield


def received(context: Context | None = None) -> dict[str, str]:
    """The entries of incoming baggage that are allowed to be tags."""
    entries = baggage.get_all(context)
    return _tags.clean({name: entries[name] for name in rules.accepted if name in entries}) if entries else {}


def shield(native: bool) -> Any:  # noqa: FBT001 -- whether the SDK propagates context itself
    """Called as a provider is called: returns the token of a context that keeps what is ours here, if one is needed."""
    here = get_current()
    entries = baggage.get_all(here) if here else here  # an empty context has none
    if not entries and not rules.sent:
        return None
    if entries and rules.policy == "warn" and not rules.warned and _reaches_provider(native):
        _warn(entries)
    return attach(set_value(PROVIDER, True, baggage.clear(here) if rules.policy == "strip" else here))


def _warn(entries: Mapping[str, object]) -> None:
    rules.warned = True
    _faults.log.warning(
        "baggage (%s) is sent to the provider with each call: "
        "set provider_baggage='strip' to keep it here, or 'keep' to say that it is meant",
        ", ".join(sorted(entries)),
    )


def _reaches_provider(native: bool) -> bool:  # noqa: FBT001 -- as above
    from opentelemetry import propagate  # looks through all entry points when it is imported

    if "baggage" not in propagate.get_global_textmap().fields:
        return False
    return native or any(_active(module, names) for module, names in INSTRUMENTED.items())


def _active(module: str, names: tuple[str, ...]) -> bool:
    loaded = sys.modules.get(module)
    kinds = [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    return any(kind().is_instrumented_by_opentelemetry for kind in kinds)


class TagPropagator(TextMapPropagator):
    """Sends the tags of `baggage_out` to other services as baggage, and nothing to a provider that is being called.

    Comes after `baggage` in `OTEL_PROPAGATORS=tracecontext,baggage,spanledger`, or in a `CompositePropagator`. The
    service at the other end takes them as tags by `baggage_in`.
    """

    _inner = W3CBaggagePropagator()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Baggage itself is read by its own propagator; `baggage_in` reads the result."""
        return self._inner.extract(carrier, context, getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Adds the tags in force to the application's own baggage."""
        if get_value(PROVIDER, context):
            return
        tags = _tags.tags_in(context)
        for name in rules.sent & tags.keys():
            context = baggage.set_baggage(name, tags[name], context)
        self._inner.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        """The header that may be written."""
        return self._inner.fields
