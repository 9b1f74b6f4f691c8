"""Every setting: its name, type, environment variable and default. What code gives beats the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypedDict

from spanledger._nearest import nearest
from spanledger.errors import ConfigurationError


class Settings(TypedDict, total=False):
    """The keyword arguments of `configure` and `instrument`; each is described in `SETTINGS`."""

    ledger: str | os.PathLike[str] | None
    prices: str | os.PathLike[str] | None
    tags: Mapping[str, Any] | None
    service_name: str | None
    release: str | None
    span_policy: str | Mapping[str, str]
    profiles: Iterable[str]
    span_tags: Iterable[str]
    metrics: Iterable[str]
    metric_tags: Iterable[str]
    metric_top: Mapping[str, int] | None
    otlp: str | None
    bridge: Iterable[str]
    baggage_in: Iterable[str]
    baggage_out: Iterable[str]
    provider_baggage: str
    durability: str
    sealing: str
    hmac_key: str | None
    min_free_mb: int
    ship_to: str | None
    include_usage: bool
    include_usage_hosts: Iterable[str]
    threads: bool


class Setting(NamedTuple):
    """One setting. `parse` reads the text of its environment variable; an empty `variable` means there is none."""

    name: str
    default: Any
    variable: str
    parse: Callable[[str], Any]
    takes: tuple[type, ...]
    doc: str


def words(text: str) -> tuple[str, ...]:
    """`"a, b"` as `("a", "b")`."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def pairs(text: str) -> dict[str, str]:
    """`"team=growth,environment=prod"` as a dict. Raises `ValueError` for a part without `=`."""
    parted = [part.partition("=") for part in words(text)]
    for name, equals, _ in parted:
        if not equals:
            msg = f"{name!r} is no name=value"
            raise ValueError(msg)
    return {name.strip(): value.strip() for name, _, value in parted if name and value}


def policy(text: str) -> str | dict[str, str]:
    """`"emit"`, or `"*=emit,anthropic=off"` as a dict."""
    return pairs(text) if "=" in text else text.strip()


def whole(text: str) -> int:
    """`"32"` as a number. Raises `ValueError` for what is none, or below zero."""
    if text.strip().isdecimal():
        return int(text)
    msg = f"{text.strip()!r} is no whole number"
    raise ValueError(msg)


def counts(text: str) -> dict[str, int]:
    """`"customer=20"` as a dict."""
    return {name: whole(number) for name, number in pairs(text).items()}


SWITCHES: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def switch(text: str) -> bool:
    """`1`, `true`, `yes` and `on`, or `0`, `false`, `no` and `off`, in any case. Raises `ValueError` for all else."""
    found = SWITCHES.get(text.strip().lower())
    if found is None:
        msg = "neither 1 nor 0"
        raise ValueError(msg)
    return found


PREFIX: Final = "SPANLEDGER_"
PATH: Final = (str, os.PathLike)
MIN_FREE_MB: Final = 32
NAMES: Final = (list, tuple, set, frozenset)

SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting("ledger", "spend.ledger", "SPANLEDGER_LEDGER", str, PATH, "The ledger's directory."),
        Setting(
            *("prices", None, "SPANLEDGER_PRICES", str, PATH),
            "A TOML file of your own price rows, contracts and model names, over the price book.",
        ),
        Setting(
            *("tags", {}, "SPANLEDGER_TAGS", pairs, (Mapping,)),
            'Tags of the whole process: `{"team": "growth"}`, in the environment `team=growth,...`.',
        ),
        Setting(
            *("durability", "process", "SPANLEDGER_DURABILITY", str, (str,)),
            "What a charge outlives when the call returns: its `process`, or with `fsync` the power.",
        ),
        Setting(
            *("sealing", "off", "SPANLEDGER_SEALING", str, (str,)),
            "`spawn` starts `spanledger seal`, at low priority, whenever a segment is full.",
        ),
        Setting(
            *("hmac_key", None, "SPANLEDGER_HMAC_KEY", str, (str,)),
            "With a key, `customer` and `user_id` are written to the ledger as their keyed hashes.",
        ),
        Setting(
            *("min_free_mb", MIN_FREE_MB, "SPANLEDGER_MIN_FREE_MB", whole, (int,)),
            "MiB of the ledger's disk that are left to the application: below, charges are counted as lost.",
        ),
        Setting(
            *("ship_to", None, "SPANLEDGER_SHIP_TO", str, (str,)),
            "Where `flush()` moves what was booked, for disks that go with the process: `s3://bucket/ledger`.",
        ),
        Setting("service_name", None, "OTEL_SERVICE_NAME", str, (str,), "The service, a column of every charge."),
        Setting("release", None, "SPANLEDGER_RELEASE", str, (str,), "Its release, likewise."),
        Setting(
            *("span_policy", "emit", "SPANLEDGER_SPAN_POLICY", policy, (str, Mapping)),
            "`emit`, `annotate` or `off`, or one for each provider: `*=emit,anthropic=off`.",
        ),
        Setting("profiles", None, "SPANLEDGER_PROFILES", words, NAMES, "Names of spans' attributes, by backend."),
        Setting("span_tags", None, "SPANLEDGER_SPAN_TAGS", words, NAMES, "Tags that all spans of a tagged block get."),
        Setting("metrics", None, "SPANLEDGER_METRICS", words, NAMES, "Names of metrics, by convention."),
        Setting("metric_tags", None, "SPANLEDGER_METRIC_TAGS", words, NAMES, "Tags that metrics carry."),
        Setting("metric_top", None, "SPANLEDGER_METRIC_TOP", counts, (Mapping,), "Tags cut to their largest values."),
        Setting(
            "otlp", None, "SPANLEDGER_OTLP", str, (str,), "Starts the OpenTelemetry SDK, exporting to this address."
        ),
        Setting("bridge", (), "SPANLEDGER_BRIDGE", words, NAMES, "Scopes whose spans are booked; `*` is any."),
        Setting("baggage_in", (), "SPANLEDGER_BAGGAGE_IN", words, NAMES, "Entries of incoming baggage taken as tags."),
        Setting("baggage_out", (), "SPANLEDGER_BAGGAGE_OUT", words, NAMES, "Tags sent on, but never to a provider."),
        Setting(
            *("provider_baggage", "warn", "SPANLEDGER_PROVIDER_BAGGAGE", str, (str,)),
            "An application's own baggage when a provider is called: `warn`, `strip` or `keep`.",
        ),
        Setting(
            *("include_usage", True, "SPANLEDGER_INCLUDE_USAGE", switch, (bool,)),
            "Whether chat streams are asked for their usage; what that adds is hidden from the application.",
        ),
        Setting(
            *("include_usage_hosts", (), "SPANLEDGER_INCLUDE_USAGE_HOSTS", words, NAMES),
            "Further hosts that take `stream_options.include_usage`, such as your own vLLM.",
        ),
        Setting(
            *("threads", False, "SPANLEDGER_THREADS", switch, (bool,)),
            "Whether new threads, and work for thread pools, carry the tags of whoever starts them.",
        ),
    )
}
"""The one table of settings; the reference page is made from it."""

SECRET: Final = ("hmac_key",)
"""Settings whose value no message shows."""


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every setting. Raises `ConfigurationError`, naming the setting and what it takes."""
    unknown = sorted(given.keys() - SETTINGS.keys())
    if unknown:
        near = nearest(unknown[0], SETTINGS)
        msg = f"unknown setting {unknown[0]!r}: {f'did you mean {near}?' if near else ', '.join(SETTINGS)}"
        raise ConfigurationError(msg)
    return {name: _value(setting, given.get(name)) for name, setting in SETTINGS.items()}


def misspelt() -> dict[str, str | None]:
    """Variables of the environment that are named as settings are and are none, each with the one that was meant."""
    variables = {setting.variable.removeprefix(PREFIX): setting.variable for setting in SETTINGS.values()}
    given = (name.removeprefix(PREFIX) for name in sorted(os.environ) if name.startswith(PREFIX))
    meant = {PREFIX + name: nearest(name, variables) for name in given if name not in variables}
    return {name: variables[near] if near else None for name, near in meant.items()}


def _value(setting: Setting, given: Any) -> Any:
    if given is not None:
        return _checked(setting, given)
    text = os.environ.get(setting.variable) if setting.variable else None
    if not text:
        return setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        msg = f"{setting.variable}={text!r}: {error}: {setting.doc}"
        raise ConfigurationError(msg) from error


def _checked(setting: Setting, given: Any) -> Any:
    if isinstance(given, setting.takes) and given != "" and (bool in setting.takes or not isinstance(given, bool)):
        return given
    kinds = " or ".join(_KINDS.get(kind, kind.__name__) for kind in setting.takes)
    shown = f"a {type(given).__name__}" if setting.name in SECRET else repr(given)
    msg = f"{setting.name} takes {kinds}, not {shown}: {setting.doc}"
    raise ConfigurationError(msg)


_KINDS: Final[Mapping[type, str]] = {Mapping: "dict", os.PathLike: "Path"}
"""What a reader knows abstract kinds as."""
