"""google-genai: the four functions of its API client in which every method of models, chats and caches ends.

`client.interactions` and Live sessions pass them by: `_google_interactions` and `_google_live` see those.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing
from typing import Any, Final

import orjson

from spanledger import _call, _faults
from spanledger._call import Call, Tally
from spanledger.providers import _google_batches
from spanledger.providers._address import address_of
from spanledger.providers._google_rounds import join
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Api, Request
from spanledger.providers._stainless import _verify, everything, only
from spanledger.providers.google_genai import TIER_HEADER, api_of, model_of

SDK: Final = "google-genai"
VERTEX_HOST: Final = "aiplatform.googleapis.com"


def hooks() -> tuple[Hook, ...]:
    """The hook of google-genai's API client, for `instrument`."""
    return (Hook("google.genai._api_client", _install, name="google.genai"),)


def _install(module: Any, patch: Patch) -> None:
    owner = getattr(module, "BaseApiClient", None) or module.ApiClient
    for name, make in WAIST.items():
        _verify(getattr(owner, name), "http_method", "path", "request_dict")
        patch.replace(owner, name, make)
    for name in DOWNLOADS:
        _verify(getattr(owner, name), "path")
        patch.replace(owner, name, metering(_open_download, _take_download))


Opens = Callable[[Any, tuple[Any, ...], dict[str, Any]], "Call | None"]


def metering(begin: Opens, take: Callable[[Call, Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes the replacement of a method that makes one request: `begin` opens its call, `take` sees its response.

    `begin` may replace what is in the keyword arguments.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(client: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(client, args, kwargs)
            if call is None:
                return original(client, *args, **kwargs)
            with call:
                join(call)
                response = original(client, *args, **kwargs)
                take(call, response)
            return response

        async def async_method(client: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(client, args, kwargs)
            if call is None:
                return await original(client, *args, **kwargs)
            with call:
                join(call)
                response = await original(client, *args, **kwargs)
                take(call, response)
            return response

        return async_method if inspect.iscoroutinefunction(original) else method

    return make


def _request_streamed(original: Callable[..., Any]) -> Callable[..., Any]:
    def request_streamed(client: Any, *args: Any, **kwargs: Any) -> Any:
        call = _open(client, args, kwargs, stream=True)
        chunks = original(client, *args, **kwargs)
        return chunks if call is None else _watched(call, chunks)

    return request_streamed


def _watched(call: Call, chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The request goes out with the first step, and so the call begins and returns there."""
    watch = Watch()
    with call:
        join(call)
        first = next(chunks, None)
        watch.begin(call)
    try:
        if first is not None:
            watch.saw(first)
            yield first
        for chunk in chunks:
            watch.saw(chunk)
            yield chunk
    except BaseException as error:
        watch.broke_off(error)
        raise
    watch.read_to_end()


def _async_request_streamed(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def async_request_streamed(client: Any, *args: Any, **kwargs: Any) -> Any:
        call = _open(client, args, kwargs, stream=True)
        if call is None:
            return await original(client, *args, **kwargs)
        watch = Watch()
        with call:
            join(call)
            chunks = await original(client, *args, **kwargs)
            watch.begin(call)
        return _async_watched(watch, chunks)

    return async_request_streamed


async def _async_watched(watch: Watch, chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                watch.saw(chunk)
                yield chunk
    except BaseException as error:
        watch.broke_off(error)
        raise
    watch.read_to_end()


class Watch:
    """Sees the chunks of one stream, and how reading them ended."""

    tally: Tally | None = None

    @_faults.guarded("watch a stream")
    def begin(self, call: Call) -> None:
        """The response is there, its body is still to be read."""
        self.tally = call.tally()
        self.tally.pending = True

    @_faults.guarded("observe a chunk")
    def saw(self, chunk: Any) -> None:
        """Takes one chunk; the headers of the response come with each."""
        if self.tally is None:
            return
        if not self.tally.headers:
            note_headers(self.tally, getattr(chunk, "headers", None))
        self.tally.observe(_decoded(chunk))

    @_faults.guarded("end a stream")
    def end(self, how: str, error: BaseException | None = None) -> None:
        """Ends the response, once."""
        if self.tally is not None:
            self.tally.end(how, error)

    @_faults.guarded("end a stream")
    def read_to_end(self) -> None:
        """HTTP says where a body ends, so that it is whole, whether its last chunk gives a reason or not."""
        if self.tally is not None and "_error" not in self.tally.state:
            self.tally.state["_done"] = True
        self.end("read")

    @_faults.guarded("break off a stream")
    def broke_off(self, error: BaseException) -> None:
        """The stream was closed, or reading it failed."""
        if isinstance(error, GeneratorExit):
            self.end("closed")
        else:
            self.end("failed", error)

    def __del__(self) -> None:
        self.end("dropped")


@_faults.guarded("take a response")
def _take(call: Call, response: Any) -> None:
    tally = call.tally()
    note_headers(tally, getattr(response, "headers", None))
    try:
        body = _decoded(response)
    except orjson.JSONDecodeError as error:
        tally.end("failed", error)  # the SDK is about to raise as well
        return
    tally.observe(body)


def note_headers(tally: Tally, headers: Mapping[str, str] | None) -> None:
    """Keeps what the headers of a response say of its price."""
    tally.headers = headers or {}
    kept = {name.lower(): value for name, value in tally.headers.items() if name.lower() == TIER_HEADER}
    tally.call.request = tally.call.request._replace(headers=kept)


def _decoded(response: Any) -> Any:
    """The SDK's response holds the body as text; before 1.24 the SDK gave the decoded body itself."""
    body = getattr(response, "body", response)
    return orjson.loads(body) if isinstance(body, (str, bytes)) and body else body


@_faults.guarded("open a call")
def _open(client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, stream: bool = False) -> Call | None:
    """The call that begins here, `None` where it is not metered."""
    if _call.meter is None:
        return None
    given = {**dict(zip(("http_method", "path", "request_dict", "http_options"), args, strict=False)), **kwargs}
    body = given.get("request_dict")
    body = body if isinstance(body, Mapping) else {}
    method, path = given["http_method"].lower(), given["path"]
    api = api_of(method, path, body) or _google_batches.api_of(method, path)
    if api is None:
        return None
    request = Request(model_of(path) or _cached_model(body), body)
    return open_call(client, api, request, base_url=_option(given.get("http_options"), "base_url"), stream=stream)


def _cached_model(body: Mapping[str, Any]) -> str | None:
    model = body.get("model")
    return model.removeprefix("models/") if isinstance(model, str) else None


def open_call(client: Any, api: Api, request: Request, *, base_url: Any = None, stream: bool = False) -> Call | None:
    """A call of an API client, `None` where that is not metered."""
    tags = only.get(client)
    if tags is None and not everything.metered:
        return None
    address = address_of(str(base_url or _option(client._http_options, "base_url") or ""))
    vertex = bool(getattr(client, "vertexai", False)) or (address.host or "").endswith(VERTEX_HOST)
    location = getattr(client, "location", None)
    return Call(
        api,
        sdk=SDK,
        provider_name="gcp.vertex_ai" if vertex else "gcp.gemini",
        request=request._replace(context={"region": location} if vertex and location else {}),
        server_address=address.host,
        server_port=address.port,
        stream=stream,
        tags=tags,
    )


def _option(options: Any, name: str) -> Any:
    return options.get(name) if isinstance(options, dict) else getattr(options, name, None)


DOWNLOADS: Final = ("download_file", "async_download_file")
_take_download = _faults.guarded("take a download")(_google_batches.take_download)


@_faults.guarded("open a download")
def _open_download(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """The call of a download, whose bytes are seen on their way to the file that the application gave, if it did."""
    if _call.meter is None:
        return None
    given = {**dict(zip(("path", "http_options"), args, strict=False)), **kwargs}
    destination = given.get("destination")
    base_url = _option(given.get("http_options"), "base_url")
    request = _google_batches.request_of(given["path"], destination)
    call = open_call(client, _google_batches.DOWNLOAD, request, base_url=base_url)
    if call is not None and hasattr(destination, "write"):
        kwargs["destination"] = _google_batches.Copy(destination, call.tally())
    return call


WAIST: Final[Mapping[str, Callable[[Any], Any]]] = {
    "request": metering(_open, _take),
    "async_request": metering(_open, _take),
    "request_streamed": _request_streamed,
    "async_request_streamed": _async_request_streamed,
}
