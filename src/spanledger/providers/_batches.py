"""Batches: one charge a result, at batch price, when the application gets the results; never twice.

A result is known by its batch (or its file) and the `custom_id` that the application gave it, or its place. The
`charge_id` is made of them, so that a second download, in whatever process, books the same charge, and a ledger counts
it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanledger import _ids, _seen
from spanledger._rows import instant, put
from spanledger._types import COLUMNS, Row
from spanledger.providers._folding import read_unbilled
from spanledger.providers._reading import Api, Body, Origin, Reading, Request, State, text

if TYPE_CHECKING:
    from spanledger._call import Tally

AT_BATCH_PRICE: Final = MappingProxyType({"batch": "true"})

OWNED: Final = tuple(column.name for column in COLUMNS if column.group in {"who", "where"})
"""What a result has from the call that ordered it."""


class Batch(NamedTuple):
    """What is known of a batch: when it was made and, where this process made it, for whom."""

    created_ns: int = 0
    ordered: Row | None = None
    scope: Any = None
    model: str | None = None


class Result(NamedTuple):
    """One of the results: whose answer it is, and the body that the provider answered with."""

    custom_id: str
    body: Body


class Answer(NamedTuple):
    """A result that was read. `container` is the batch that holds it, where the path of the request does not say."""

    custom_id: str
    created_ns: int
    operation: str
    reading: Reading
    container: str = ""


known: Final[_seen.Recent[Batch]] = _seen.Recent(1_000)
"""The batches of which this process has seen an object, by their own id and by those of their files."""

booked: Final[_seen.Recent[bool]] = _seen.Recent(100_000)


def fold_batch(state: State, event: Body) -> None:
    """A batch object, or a page of them."""
    page = event.get("data")
    found = page if isinstance(page, list) else [event]
    state.setdefault("_batches", []).extend(one for one in found if isinstance(one, dict))


def learn(tally: Tally) -> Iterable[Reading]:
    """Nothing to book: what is seen of a batch is remembered until its results come."""
    call = tally.call
    for batch in tally.state.get("_batches", ()):
        keys = [key for name in ("id", "output_file_id") if (key := text(batch.get(name)))]
        before = next((one for key in keys if (one := known.get(key))), Batch())
        made = before._replace(
            created_ns=_instant_of(batch.get("created_at")) or before.created_ns,
            model=text(batch.get("model")) or before.model,
        )
        if call.api.name == CREATE.name:
            made = made._replace(ordered=call.row, scope=call.scope)
        for key in keys:
            known.put(key, made)
    return ()


def _instant_of(value: Any) -> int:
    """Nanoseconds since 1970 of a number of seconds, or of ISO 8601, UTC if it has no offset; 0 for anything else."""
    if isinstance(value, int) and 0 < value < 2**33:
        return value * 10**9
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 10**6) * 1000
    except (AttributeError, OverflowError, ValueError):
        return 0


CREATE: Final = Api("batches.create", "batch", fold_batch, read_unbilled, lookup=True, each=learn)
RETRIEVE: Final = Api("batches.retrieve", "batch", fold_batch, read_unbilled, lookup=True, each=learn)


def results(name: str, result_of: Callable[[Body], Result | None], api_of: Callable[[Body], Api | None]) -> Api:
    """The endpoint that gives results, one a line: `api_of` finds the endpoint whose answer a body is.

    Files of other content come from the same endpoint: their first line tells, and the rest is not decoded.
    """

    def fold(state: State, line: Body) -> None:
        if "custom_id" not in line:
            state["_other"] = True
            return
        result = result_of(line)
        api = api_of(result.body) if result is not None else None
        if result is not None and api is not None:
            take(state, result, api)

    return Api(name, "batch", fold, read_unbilled, lookup=True, lines=True, each=book)


def take(state: State, result: Result, api: Api, container: str = "") -> None:
    """Reads one result as what its endpoint answered, at batch price."""
    answer: State = {}
    api.fold(answer, result.body)
    reading = api.read(answer, Request(context=AT_BATCH_PRICE))
    created_ns = _instant_of(result.body.get("created") or result.body.get("created_at"))
    answered = Answer(result.custom_id, created_ns, api.operation, reading, container)
    state.setdefault("_results", []).append(answered)


def book(tally: Tally) -> Iterable[Reading]:
    """The readings of the results that are not booked yet."""
    of_path = _container_of(tally.call.request.path)
    for answer in tally.state.get("_results", ()):
        container = answer.container or of_path
        charge_id = _ids.uuid7_of(f"{tally.call.provider_name}/{container}/{answer.custom_id}", answer.created_ns)
        if charge_id not in booked:
            booked.put(charge_id, True)
            yield _reading_of(answer, charge_id, container, tally)


def _reading_of(answer: Answer, charge_id: str, container: str, tally: Tally) -> Reading:
    call, batch = tally.call, known.get(container) or Batch()
    started_ns = answer.created_ns or batch.created_ns or call.started_ns
    row = {
        **_owned(call.row, batch),
        "charge_id": charge_id,
        "call_id": _ids.uuid7_of(f"{call.provider_name}/{container}"),
        "started_at": instant(started_ns),
        "operation": answer.operation,
        "stream": False,
        "status": "ok",
    }
    put(row, "request_model", batch.model)
    origin = Origin(row, batch.scope or call.scope, started_ns)
    return answer.reading._replace(origin=origin, usage_source="reported")


def _owned(row: Row, batch: Batch) -> Row:
    """A result belongs to whom the batch was ordered for; where that is not known, to whom it is downloaded for."""
    if batch.ordered is None:
        return row
    rest = {name: value for name, value in row.items() if name not in OWNED}
    return {**rest, **{name: batch.ordered[name] for name in OWNED if name in batch.ordered}}


def _container_of(path: str) -> str:
    """`file-1` of `/files/file-1/content`, `msgbatch_1` of `/v1/messages/batches/msgbatch_1/results`."""
    segments = path.partition("?")[0].rstrip("/").split("/")
    return segments[-2] if len(segments) > 1 else ""
