"""The protocol of Parquet's footers: what was read is written as it was, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.ledger._seal import seal
from spanledger.ledger._thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRUCT,
    TRUE,
    Entries,
    Items,
    Typed,
    read_struct,
    write_struct,
)


def footer_of(path):
    content = path.read_bytes()
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


SCALARS = {
    BYTE: st.binary(min_size=1, max_size=1),
    **dict.fromkeys((I16, I32, I64), st.integers(-(2**63), 2**63 - 1)),
    DOUBLE: st.binary(min_size=8, max_size=8),
    BINARY: st.binary(max_size=200),
}


def values(kind):
    if kind in SCALARS:
        return SCALARS[kind]
    if kind in {TRUE, FALSE}:  # in a list
        return st.sampled_from([b"\1", b"\2"])
    if kind in {LIST, SET}:
        kinds = st.sampled_from([TRUE, *SCALARS, STRUCT])
        return kinds.flatmap(lambda one: st.builds(Items, st.just(one), st.lists(values(one), max_size=20)))
    if kind == MAP:
        pairs = st.lists(st.tuples(SCALARS[BINARY], SCALARS[I32]), max_size=20)
        return pairs.map(lambda found: Entries(BINARY << 4 | I32 if found else 0, found))
    return STRUCTS


fields = st.one_of(
    st.sampled_from([Typed(TRUE, True), Typed(FALSE, False)]),
    st.sampled_from([*SCALARS, LIST, SET, MAP, STRUCT]).flatmap(
        lambda kind: st.builds(Typed, st.just(kind), values(kind))
    ),
)
STRUCTS = st.deferred(lambda: st.dictionaries(st.integers(1, 40), fields, max_size=4))


@given(STRUCTS)
def test_a_struct_comes_back_as_it_was_written(struct):
    written = write_struct(struct)
    assert read_struct(written) == struct
    assert write_struct(read_struct(written)) == written


@given(st.binary(max_size=60))
def test_bytes_that_are_no_struct_are_refused(data):
    try:
        found = read_struct(data)
    except ValueError:
        return
    assert read_struct(write_struct(found)) == found


@given(STRUCTS, st.data())
def test_a_struct_that_was_cut_is_refused(struct, data):
    written = write_struct(struct)
    with pytest.raises(ValueError, match=r"missing|no struct"):
        read_struct(written[: data.draw(st.integers(0, len(written) - 1))])


def test_real_footers_come_back_byte_by_byte(ledger, write_segment, row, tmp_path):
    write_segment([row(tags={"plan": "pro"}, stream=True, finish_reasons=["stop"])])
    seal(ledger.path)
    table = pa.table({"a": [1, None], "b": [[{"c": 1.5}], []], "d": [{"e": "f"}, None]})
    pq.write_table(table, indexed := tmp_path / "indexed.parquet", write_page_index=True, sorting_columns=[])
    older = Path(__file__).parent / "data" / "older"
    found = [indexed, *ledger.path.rglob("*.parquet"), *older.rglob("*.parquet")]
    assert len(found) > 3
    for path in found:
        assert write_struct(read_struct(footer_of(path))) == footer_of(path)
