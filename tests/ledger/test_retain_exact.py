"""Whatever charges there are and however they are rolled up, no sum changes, to the last digit."""

from __future__ import annotations

import itertools
import tempfile
from datetime import date
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger import Ledger, _ids
from spanledger.ledger._compact import compact
from spanledger.ledger._seal import seal

DIMENSIONS = ("team", "customer", "environment", "tag:plan", "tag:Plan", "stream")
MEASURED = ((), ("day",), ("unit",), ("model", "currency"), ("status", "cost_status"))

femtos = st.integers(0, 10**17).map(lambda whole: f"{whole // 10**15}.{whole % 10**15:015}")
counts = st.integers(0, 10**9)
units = st.sampled_from(["input", "cache_read", "output", "output@small"])
few = st.sampled_from(["a", "b", ""])


def maybe(strategy):
    return st.none() | strategy


rows = st.fixed_dictionaries(
    {
        "started_at": st.sampled_from([f"2026-01-0{day}T{hour:02}:00:00Z" for day in (1, 2) for hour in (0, 13)]),
        "billed_model": maybe(few),
        "request_model": maybe(few),
        "team": maybe(few),
        "customer": maybe(few),
        "environment": maybe(few),
        "stream": maybe(st.booleans()),
        "tags": maybe(st.dictionaries(st.sampled_from(["plan", "Plan", "request"]), few, max_size=3)),
        "input_tokens": maybe(counts),
        "reasoning_tokens": maybe(counts),
        "usage": maybe(st.dictionaries(units, counts | femtos, max_size=3)),
        "costs": maybe(st.dictionaries(units, femtos, max_size=3)),
        "list_cost": maybe(femtos),
        "effective_cost": maybe(femtos),
        "currency": st.sampled_from(["USD", "EUR", None]),
        "status": st.sampled_from(["ok", "error"]),
        "cost_status": st.sampled_from(["exact", "partial", "unknown"]),
        "provider_name": few,
    }
)
plans = st.lists(st.sets(st.sampled_from(DIMENSIONS), max_size=4), min_size=1, max_size=3)
batches = st.lists(st.lists(rows, min_size=1, max_size=8), min_size=1, max_size=3)


def booked(row, serial):
    known = {name: value for name, value in row.items() if value is not None}
    return {"charge_id": _ids.uuid7(serial * 1_000_000), "operation": "chat", **known}


def append(root, lines):
    (root / "open").mkdir(parents=True, exist_ok=True)
    path = root / "open" / f"host-1-{_ids.uuid7()}.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def answers(ledger, kept):
    subsets = itertools.chain.from_iterable(itertools.combinations(sorted(kept), size) for size in (1, 2))
    asked = [*MEASURED, *((*by, "unit") for by in subsets), tuple(sorted(kept))]
    return {by: sorted(map(repr, ledger.cost(by))) for by in asked}


@settings(max_examples=12)
@given(batches=batches, plans=plans, corrected=st.integers(0, 7), merged=st.booleans())
def test_any_rolls_of_any_charges_keep_every_sum(batches, plans, corrected, merged):
    serial, kept = itertools.count(1), set(DIMENSIONS)
    with tempfile.TemporaryDirectory() as folder:
        whole, rolled = (Ledger(Path(folder) / name) for name in ("whole", "rolled"))
        for batch, plan in itertools.zip_longest(batches, plans, fillvalue=()):
            lines = [booked(row, next(serial)) for row in batch]
            lines += [{**line, **booked({}, next(serial)), "corrects": line["charge_id"]} for line in lines[:corrected]]
            for ledger in (whole, rolled):
                append(ledger.path, [*lines, *lines[:1]])
                seal(ledger.path)
            if merged:
                compact(rolled.path, date(2026, 6, 1))
            rolled.retain("200d", by=plan)
            kept &= {*plan}
            assert answers(rolled, kept) == answers(whole, kept)
