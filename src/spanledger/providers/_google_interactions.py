"""`client.interactions` of google-genai: a client of its own, which Speakeasy generates; up to 2.x Stainless did."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from spanledger import _call, _faults
from spanledger._call import Call
from spanledger.providers import _body
from spanledger.providers._google import VERTEX_HOST, metering, note_headers, open_call
from spanledger.providers._hooks import Hook, Patch
from spanledger.providers._reading import Api, Request
from spanledger.providers._stainless import Stainless, _verify
from spanledger.providers.google_genai import GET_INTERACTION, INTERACTION, INTERACTIONS

HOSTS: Final[Mapping[str, str]] = {VERTEX_HOST: "gcp.vertex_ai"}
CREATE: Final = "CreateInteraction"
OPERATIONS: Final[Mapping[str, Api]] = {
    CREATE: INTERACTION,
    "getInteractionById": GET_INTERACTION,
    "cancelInteractionById": GET_INTERACTION,
}
"""What bills, by Speakeasy's name of it, and what may complete it."""


class APIStatusError(Exception):
    """Stands for the error that the SDK is about to raise; it is never raised itself."""

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


def hooks() -> tuple[Hook, ...]:
    """The hooks of both generations of the client, for `instrument`."""
    stainless = Stainless("google.genai._interactions", "gcp.gemini", INTERACTIONS, hosts=HOSTS)
    older = stainless.hook()
    older.name = stainless.package
    return (Hook("google.genai._gaos.basesdk", _install, name="google.genai.interactions"), older)


def _install(module: Any, patch: Patch) -> None:
    sync, asynchronous = module.BaseSDK, module.AsyncBaseSDK
    for function in (sync.do_request, asynchronous.do_request_async):
        _verify(function, "hook_ctx", "request", "stream")
    patch.replace(sync, "do_request", metering(_open, _meet))
    patch.replace(asynchronous, "do_request_async", metering(_open, _meet))


@_faults.guarded("open an interaction")
def _open(sdk: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
    if _call.meter is None:
        return None
    given = {**dict(zip(("hook_ctx", "request"), args, strict=False)), **kwargs}
    api = OPERATIONS.get(getattr(given["hook_ctx"], "operation_id", ""))
    if api is None:
        return None
    request = given["request"]
    body = orjson.loads(request.content or b"{}")
    model = body.get("model") or body.get("agent")
    stream = body.get("stream") is True
    client = getattr(sdk, "_api_client", None) or _http_client_of(sdk.sdk_configuration)
    return open_call(client, api, Request(model, body), base_url=request.url, stream=stream)


def _http_client_of(configuration: Any) -> Any:
    """By what 2.x tells whose interactions they are: it does not refer to the API client."""
    return configuration.client or configuration.async_client


@_faults.guarded("meet an interaction")
def _meet(call: Call, response: Any) -> None:
    if response.status_code >= HTTPStatus.BAD_REQUEST:  # the SDK raises when it parses the body, after this
        call.refused = APIStatusError(response.status_code)
        return
    tally = call.tally()
    note_headers(tally, response.headers)
    if response.is_closed:
        tally.unread = _body.decoder_of(response, tally)
    else:
        _body.watch(response, tally, raw=True)
