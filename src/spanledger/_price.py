"""Prices a raw response, without instrumentation: `spanledger.price`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from spanledger import _ids, _meter, _rows, prices
from spanledger._raw import UNREPORTED, Given, api_name, api_named
from spanledger._types import Charge, Priced, Row, Usage
from spanledger.errors import ConfigurationError
from spanledger.prices import METERS, Engine
from spanledger.providers._reading import Api, Reading, Request

GROUNDED: Final = ("grounding_query", "grounding_prompt")
BACKENDS: Final[Mapping[str, str]] = {"vertex": "vertex", "bedrock": "aws", "foundry": "azure"}
"""Whose cloud a client of another provider's API called: its price list applies."""


def price(  # noqa: PLR0913 - a keyword for each fact that decides a price
    response: Mapping[str, Any],
    *,
    provider: str,
    api: str | None = None,
    requested_model: str | None = None,
    context: Mapping[str, Any] | None = None,
    at: datetime | str | None = None,
) -> Charge:
    """The charge of a response body as its provider sent it, as the ledger would store it.

    `response` is the decoded JSON body; `{"events": [...]}` for a stream, with `closed_by` where it was broken off;
    `{"headers": {...}, "body": {...}}` where headers count; `repeat` in a body says how many equal ones there are.
    `provider` is OpenTelemetry's name or the book's (`openai`, `azure`, `anthropic`, `aws`, `google`, `vertex`, ...),
    `api` the endpoint (`chat.completions`, `messages`, `converse`, ...; guessed from the body where it is left out;
    `batch:` before it is a batch). `context` has what the response does not say: `batch`, `deployment_type`, `region`,
    `base_url`, `headers`, `service_tier`, `contract`, and maps of deployments or profiles to models. `at` is the start
    of the call, now where it is left out.

    Raises `ConfigurationError` for an API that no provider file reads, and for an argument that cannot be read.
    """
    said = dict(context or {})
    provider = BACKENDS.get(str(said.get("backend")), provider)
    name, batch = api_name(api, _body(response), prices.platform_of(provider))
    given = Given(_body(response), {**said, "batch": True} if batch else said, _moment(at))
    row: Row = {
        "charge_id": _ids.uuid7(),
        "started_at": given.started.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "provider_name": provider,
        "operation": "meter",
        "status": "ok",
    }
    if name in METERS:
        return _metered(row, name, given, requested_model)
    endpoint = api_named(name)
    row["operation"] = endpoint.operation
    return _charge(row, endpoint, given, given.request(requested_model))


def _body(response: object) -> Mapping[str, Any]:
    if isinstance(response, Mapping):
        return response
    msg = f"response is a {type(response).__name__}: give the decoded JSON body, as a dict"
    raise ConfigurationError(msg)


def _moment(at: datetime | str | None) -> datetime:
    if at is None:
        return datetime.now(tz=timezone.utc)
    moment = _read(at) if isinstance(at, str) else at
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        msg = f"at is {text!r}: write 2026-11-16 or 2026-11-16T12:00:00Z"
        raise ConfigurationError(msg) from None


def _charge(row: Row, api: Api, given: Given, request: Request) -> Charge:
    failed = given.failure()
    if failed:
        row.update(status="error", error_type=failed)
        _rows.write_money(row, Priced("not_billed", 0, reason=f"the provider refused the call: {failed}"))
        return Charge(row)
    state, unseen = given.folded(api)
    reading = api.read(state, request)
    priced = _priced(row, api, reading, given, request.model)
    if priced.list_cost is not None and (unseen or given.response.get("closed_by")):
        seen = f"{unseen} unobserved attempts may have been billed" if unseen else "the stream was broken off"
        priced = priced._replace(status="partial", reason=f"{seen}: a lower bound")
    _write(row, reading, request, priced)
    return Charge(row)


def _priced(row: Row, api: Api, reading: Reading, given: Given, asked: str | None) -> Priced:
    if given.free or not (api.billed and reading.billed):
        return Priced("not_billed", 0, reason=reading.note or "free of charge")
    usage = reading.usage or (given.counted() if api.name in UNREPORTED else None)
    if usage is None:
        return Priced("unknown", reason=reading.note or "the response reported no usage")
    usage = _less_free(_with_containers(usage, given), given)
    _rows.write_usage(
        row, usage._replace(units={unit: quantity * given.times for unit, quantity in usage.units.items()})
    )
    names = (row["provider_name"], given.mapped(reading.response_model), given.mapped(asked))
    priced = _times(_engine(given).rate(usage, names, reading.context, given.at_ns), given.times)
    return _meter._qualify(priced, usage, _source(reading), reading.note)


def _times(priced: Priced, times: int) -> Priced:
    """The price of so many equal responses: each is priced by itself, so that none is in another's context band."""
    if times == 1 or priced.list_cost is None:
        return priced
    return priced._replace(
        list_cost=priced.list_cost * times,
        costs={unit: amount * times for unit, amount in (priced.costs or {}).items()},
        contracted_cost=(priced.contracted_cost or 0) * times,
        effective_cost=(priced.effective_cost or 0) * times,
    )


def _less_free(usage: Usage, given: Given) -> Usage:
    """What is left to pay of grounded searches after the free ones that the caller still has."""
    free = given.said.get("free_grounding_remaining")
    searches = next((unit for unit in GROUNDED if unit in usage.units), None)
    if not isinstance(free, int) or searches is None:
        return usage
    return usage._replace(units={**usage.units, searches: max(usage.units[searches] - free, 0)})


def _source(reading: Reading) -> str:
    return reading.usage_source or "reported"


def _with_containers(usage: Usage, given: Given) -> Usage:
    known = given.said.get("containers")
    return usage._replace(units={**usage.units, **prices.containers(known)}) if isinstance(known, Mapping) else usage


def _write(row: Row, reading: Reading, request: Request, priced: Priced) -> None:
    _rows.put(row, "request_model", request.model)
    _rows.put(row, "response_model", reading.response_model)
    _rows.put(row, "response_id", reading.response_id)
    if reading.finish_reasons:
        row["finish_reasons"] = list(reading.finish_reasons)
    _rows.write_money(row, priced)
    _rows.write_context(row, reading.context)
    _rows.write_provider_cost(row, reading.provider_cost)


def _metered(row: Row, name: str, given: Given, model: str | None) -> Charge:
    """The charge of a meter of a period."""
    usage = prices.read_meter(name, {**given.response, **given.said})
    row["request_model"] = model = model or given.model or METERS[name].model
    priced = Priced("unknown", reason=f"{name}: its quantity is not in what was given")
    if usage is not None:
        _rows.write_usage(row, usage)
        priced = _engine(given).rate(usage, (row["provider_name"], model, None), given.facts(), given.at_ns)
    _rows.write_money(row, priced)
    _rows.write_context(row, given.facts())
    return Charge(row)


def _engine(given: Given) -> Engine:
    """The engine of this process, with the contract of this call over it."""
    contract, discount = given.said.get("contract"), given.said.get("discount")
    if isinstance(contract, Mapping):
        return prices.ENGINE.under(prices.contract_of(contract, "context contract"))
    return prices.ENGINE.under(prices.contract_of({"discount": discount}, "context")) if discount else prices.ENGINE
