"""The SDKs that Stainless generates (openai, anthropic, groq, together, ...) share one narrow waist: it is hooked here.

`SyncAPIClient.request` and `AsyncAPIClient.request` are entered by every method of every resource, `_process_response`
gets each HTTP response that succeeded, and `_process_response_data` gets the decoded dict of every body and of every
event of a stream. Objects that the application gets are the SDK's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from spanledger import _call, _faults
from spanledger._call import Call
from spanledger.providers import _body, _injection
from spanledger.providers._address import PORTS, Address
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Api, Request

TALLY: Final = "spanledger"
RAW: Final = "x-stainless-raw-response"
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
MOST_SITES: Final = 256
"""How many base URLs are remembered with what they mean: a URL object does not change."""

NATIVE_SPANS: Final = "_tracer"
"""The attribute in which a client that emits spans of its own keeps its tracer."""

only: Final[WeakKeyDictionary[Any, Mapping[str, str]]] = WeakKeyDictionary()
"""Clients that `wrap` has marked, and their tags."""


@dataclass(frozen=True, eq=False)
class Stainless:
    """One SDK: which POST routes are billed, and whose price applies at which client class and host.

    `{}` in a route stands for one segment of any text. `lookups` are the GET routes that may complete what a POST
    began. `platforms` maps a client class to a provider name and `hosts` a host suffix; `name` is meant where neither
    fits.
    """

    package: str
    name: str
    routes: Mapping[str, Api]
    platforms: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    lookups: Mapping[str, Api] = field(default_factory=dict)
    _sites: dict[int, tuple[Any, type, tuple[Address, str]]] = field(default_factory=dict, init=False, repr=False)

    def hook(self) -> Hook:
        """The hook of this SDK, for `instrument`."""
        return Hook(f"{self.package}._base_client", self._install)

    def _install(self, module: Any, patch: Patch) -> None:
        sync, asynchronous, base = module.SyncAPIClient, module.AsyncAPIClient, module.BaseClient
        _verify(sync.request, "cast_to", "options")
        _verify(asynchronous.request, "cast_to", "options")
        _verify(base._process_response_data, "data", "response")
        for owner in _owners(sync, "request"):
            patch.replace(owner, "request", self._request)
        for owner in _owners(asynchronous, "request"):
            patch.replace(owner, "request", self._async_request)
        patch.replace(base, "_process_response_data", _observing)
        for owner in {one for one in (sync, asynchronous, base) if "_process_response" in one.__dict__}:
            _verify(owner._process_response, "response")
            patch.replace(owner, "_process_response", _meeting)

    def _request(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            call = self.open(client, args, kwargs)
            if call is None:
                return original(client, *args, **kwargs)
            asked, options = (call.stream and _injection.ask(client, call, args, kwargs)) or (args, kwargs)
            try:
                with call:
                    return original(client, *asked, **options)
            except Exception as error:
                if not _injection.refused(call, error):
                    raise
            return request(client, *args, **kwargs)

        return request

    def _async_request(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            call = self.open(client, args, kwargs)
            if call is None:
                return await original(client, *args, **kwargs)
            asked, options = (call.stream and _injection.ask(client, call, args, kwargs)) or (args, kwargs)
            try:
                with call:
                    return await original(client, *asked, **options)
            except Exception as error:
                if not _injection.refused(call, error):
                    raise
            return await request(client, *args, **kwargs)

        return request

    @_faults.guarded("open a call")
    def open(self, client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        """The call that begins here, `None` where it is not metered. URL and model are read before any rewriting."""
        if _call.meter is None:
            return None
        options = kwargs["options"] if "options" in kwargs else args[1]
        api = self._route(options)
        if api is None:
            return None
        tags = only.get(client) if only else None
        if tags is None and not everything.metered:
            return None
        address, provider_name = self._identify(client)
        request = _request_of(options)
        return Call(
            api,
            sdk=self.package,
            provider_name=provider_name,
            request=request,
            server_address=address.host,
            server_port=address.port,
            stream=bool(kwargs.get("stream")) or request.body.get("stream") is True,
            native_span=getattr(client, NATIVE_SPANS, None) is not None,
            tags=tags,
        )

    def _route(self, options: Any) -> Api | None:
        method = options.method.lower()
        if method == "get":
            return _fitting(options.url, self.lookups)
        if method != "post":
            return None
        return self.routes.get(options.url) or _find(options.url, self)

    def _identify(self, client: Any) -> tuple[Address, str]:
        url = getattr(client, "_base_url", None)  # what the property gives, in some SDKs by a long way
        if url is None:
            url = client.base_url
        site = self._sites.get(id(url))
        if site is None or site[0] is not url or site[1] is not type(client):
            if len(self._sites) >= MOST_SITES:
                self._sites.clear()
            kind = type(client)
            name = _provider_name(self, cast("Hashable", kind), url.host)
            site = self._sites[id(url)] = (url, kind, (Address(url.host, url.port or PORTS.get(url.scheme)), name))
        return site[2]


class Everything:
    """Whether calls of all clients are metered, or only of those that `wrap` has marked."""

    metered = False


everything: Final = Everything()


def _owners(base: type, name: str) -> Iterator[type]:
    """The class, and those below it on which another instrumentation has put a wrapper of what it found there."""
    yield base
    kinds: list[type] = base.__subclasses__()
    for kind in kinds:
        yield from (owner for owner in _owners(kind, name) if name in owner.__dict__)


def _verify(function: Any, *names: str) -> None:
    """Raises where a function does not take what the hooks rely on: then the SDK is left alone and `doctor` says so."""
    missing = set(names) - set(inspect.signature(function).parameters)
    if missing:
        msg = f"{function.__qualname__} has no parameter {', '.join(sorted(missing))}"
        raise TypeError(msg)


@lru_cache(maxsize=512)
def _find(url: str, provider: Stainless) -> Api | None:
    return _fitting(url, provider.routes)


def _fitting(url: str, routes: Mapping[str, Api]) -> Api | None:
    """The route of a URL with a query, a base path or a host of its own: the longest that ends it."""
    path = urlsplit(url).path.rstrip("/").split("/")
    fitting = [route for route in routes if _ends(path, route.split("/")[1:])]
    return routes[max(fitting, key=len)] if fitting else None


def _ends(path: list[str], route: list[str]) -> bool:
    tail = path[-len(route) :]
    return len(tail) == len(route) and all(want in ("{}", have) for have, want in zip(tail, route, strict=True))


@lru_cache(maxsize=512)
def _provider_name(provider: Stainless, kind: Any, host: str) -> str:
    for base in kind.__mro__:
        name = provider.platforms.get(base.__name__.removeprefix("Async"))
        if name is not None:
            return name
    fitting = [suffix for suffix in provider.hosts if host == suffix or host.endswith("." + suffix)]
    return provider.hosts[max(fitting, key=len)] if fitting else provider.name


def _request_of(options: Any) -> Request:
    body = options.json_data
    if not isinstance(body, dict):
        body = {}
    extra = getattr(options, "extra_json", None)
    if isinstance(extra, dict):
        body = {**body, **extra}
    model = body.get("model")
    # What Request(...) makes of these, in half the time.
    return tuple.__new__(Request, (model if isinstance(model, str) else None, body, NOTHING, NOTHING, options.url))


def _meeting(original: Callable[..., Any]) -> Callable[..., Any]:
    def process_response(client: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            _meet(kwargs.get("response"))
        except Exception as error:  # noqa: BLE001 -- the application's call is never the one to pay
            _faults.record("meet a response", error)
        return original(client, *args, **kwargs)

    return process_response


def _meet(response: Any) -> None:
    """Attaches a tally to a response, and watches its body where that is still to be read."""
    call = _call.current.get()
    if call is None or response is None or TALLY in response.extensions:
        return
    tally = call.tally()
    tally.headers = response.headers
    response.extensions[TALLY] = tally
    if call.span is not None:
        call.span.adopt_current()
    if response.is_closed:
        tally.unread = _body.decoder_of(response, tally)
    else:
        _body.watch(response, tally, raw=call.api.lines or bool(response.request.headers.get(RAW)))
        if call.hides_usage:
            _injection.hide(response, tally)


def _observing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Runs for every event of every stream, so it looks once and calls little."""

    def process_response_data(client: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            tally = kwargs["response"].extensions.get(TALLY)
            if tally is not None and not tally.sealed:
                tally.observe(kwargs["data"])
        except Exception as error:  # noqa: BLE001 -- the application's call is never the one to pay
            _faults.record("observe a response", error)
        return original(client, *args, **kwargs)

    return process_response_data
