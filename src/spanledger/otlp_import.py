"""From a collector's archive to a ledger: `spanledger import otlp FILE LEDGER`.

Reads OTLP JSON as the collector's file exporter writes it: one export request a line, or one document.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from spanledger import _ids
from spanledger._appending import append
from spanledger._bridge import CHARGE, priced_row
from spanledger._late import refuse_rolled_days
from spanledger._types import Row
from spanledger.errors import SpanledgerError
from spanledger.providers.spans import SpanFacts

ERROR: Final = 2
"""`STATUS_CODE_ERROR`."""


class Imported(NamedTuple):
    """What an import did.

    `booked` charges are new, `known` ones were in the ledger, `passed_over` spans show no call, or the
    same one as a span below, and `broken` lines are no OTLP.
    """

    booked: int
    known: int
    passed_over: int
    broken: int


def import_otlp(file: str | os.PathLike[str], ledger: str | os.PathLike[str]) -> Imported:
    """Books each model call of an archive once, however often it is imported.

    `file` is OTLP JSON, `ledger` a directory, made if it is not there. Spans without usage are passed over. Raises
    `SpanledgerError` where the file cannot be read, nothing in it is OTLP, or the ledger cannot be written.
    """
    spans, broken = _read(Path(file))
    known = _known(Path(ledger))
    rows = _rows(spans)
    refuse_rolled_days(Path(ledger), rows)
    booked = append(ledger, _new(rows, known))
    return Imported(booked, len(rows) - booked, len(spans) - len(rows), broken)


def _new(rows: Iterable[Row], known: set[str]) -> Iterator[Row]:
    """The rows whose call is not known yet; from then on it is."""
    for row in rows:
        if known.isdisjoint(_identities(row)):
            known.update(_identities(row))
            yield row


def _row(span: SpanFacts) -> Row | None:
    found = priced_row(span)
    if found is None:
        return None
    charge_id = span.attributes.get(CHARGE)
    identity = charge_id if isinstance(charge_id, str) and charge_id else _ids.uuid7(span.start_ns)
    return {"charge_id": identity, **found[0]}


def _identities(row: Row) -> set[str]:
    """By any of these a call is known again."""
    found = {row["charge_id"], f"{row['trace_id']}/{row['span_id']}"}
    return found | {row["response_id"]} if row.get("response_id") else found


def _known(ledger: Path) -> set[str]:
    if not ledger.exists():
        return set()
    from spanledger.ledger import Ledger

    columns = ("charge_id", "trace_id", "span_id", "response_id")
    asked = f"SELECT {', '.join(columns)} FROM charges"  # noqa: S608 -- names of ours
    found = Ledger(ledger).sql(asked, rolled="skip").to_arrow()
    return {identity for row in found.to_pylist() for identity in _identities(row)}


def _rows(spans: Iterable[SpanFacts]) -> list[Row]:
    """The rows of model-call spans below which no other one stands: a parent repeats what its children used."""
    rows = [row for span in spans if (row := _row(span)) is not None]
    above = {row.get("parent_span_id") for row in rows}
    return [row for row in rows if row["span_id"] not in above]


def _read(file: Path) -> tuple[list[SpanFacts], int]:
    spans: list[SpanFacts] = []
    broken = 0
    try:
        documents = _documents(file.read_bytes())
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise SpanledgerError(msg) from error
    for document in documents:
        if not isinstance(document, Mapping) or not isinstance(document.get("resourceSpans"), list):
            broken += 1
            continue
        spans.extend(_spans(document["resourceSpans"]))
    if broken and not spans:
        msg = f"{file}: no OTLP JSON; each line should be an object with `resourceSpans`"
        raise SpanledgerError(msg)
    return spans, broken


def _documents(data: bytes) -> Iterator[Any]:
    """The whole file as one document, else one a line; `None` for what is no JSON."""
    whole = _json(data)
    if whole is not None:
        yield whole
        return
    for line in data.splitlines():
        if line.strip():
            yield _json(line)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _spans(resources: Iterable[Any]) -> Iterator[SpanFacts]:
    for resource in _objects(resources):
        about = _attributes(_object(resource.get("resource")).get("attributes"))
        for scope in _objects(resource.get("scopeSpans")):
            name = _object(scope.get("scope")).get("name")
            for span in _objects(scope.get("spans")):
                facts = _facts(span, about, name if isinstance(name, str) else "")
                if facts is not None:
                    yield facts


def _facts(span: Mapping[str, Any], resource: Mapping[str, Any], scope: str) -> SpanFacts | None:
    trace_id, span_id, parent = (span.get(name) for name in ("traceId", "spanId", "parentSpanId"))
    start, end = _whole(span.get("startTimeUnixNano")), _whole(span.get("endTimeUnixNano"))
    if not isinstance(trace_id, str) or not isinstance(span_id, str) or start is None:
        return None
    return SpanFacts(
        attributes=_attributes(span.get("attributes")),
        resource=resource,
        scope=scope,
        trace_id=trace_id.lower(),
        span_id=span_id.lower(),
        parent_span_id=parent.lower() if isinstance(parent, str) and parent else None,
        start_ns=start,
        end_ns=start if end is None else max(start, end),
        failed=_object(span.get("status")).get("code") in {ERROR, "STATUS_CODE_ERROR"},
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    """OTLP's list of keys and tagged values as a dict; values that are maps are left out."""
    return {
        pair["key"]: value
        for pair in _objects(pairs)
        if isinstance(pair.get("key"), str) and (value := _value(_object(pair.get("value")))) is not None
    }


def _value(tagged: Mapping[str, Any]) -> Any:
    if "intValue" in tagged:
        return _whole(tagged["intValue"])
    if "arrayValue" in tagged:
        return [_value(one) for one in _objects(_object(tagged["arrayValue"]).get("values"))]
    return next((tagged[kind] for kind in ("stringValue", "doubleValue", "boolValue") if kind in tagged), None)


LONGEST_NUMBER: Final = 20
"""Digits of the largest time or count that OTLP can hold."""


def _whole(value: Any) -> int | None:
    """OTLP writes 64-bit integers as text; a time beyond the year 9999 is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= LONGEST_NUMBER:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(values: Any) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, Mapping)) if isinstance(values, list) else iter(())
