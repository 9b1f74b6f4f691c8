"""Columns of the same bytes stand in a sealed file once, and every reader finds each of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger.ledger._compact import compact
from spanledger.ledger._seal import seal
from spanledger.ledger._sharing import share
from spanledger.ledger._thrift import read_struct

COSTS = ("list_cost", "contracted_cost", "effective_cost")
SUMS = "sum(list_cost), sum(contracted_cost), sum(effective_cost)"


def places(path):
    """Where each column of the first row group begins."""
    group = pq.read_metadata(path).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    return {one.path_in_schema: one.dictionary_page_offset or one.data_page_offset for one in chunks}


def test_amounts_that_are_the_same_in_every_row_stand_in_the_file_once(ledger, write_segment, row):
    write_segment([row(started_at="2026-11-22T10:00:00Z"), row(started_at="2026-11-22T11:00:00Z", list_cost=None)])
    write_segment([row(list_cost=cost, contracted_cost=cost, effective_cost="0.5") for cost in ("0.25", "0.75")])
    write_segment([row(started_at="2026-11-24T10:00:00Z") for _ in range(3)])
    seal(ledger.path)
    some, two, three = (places(path) for path in sorted(ledger.path.glob("charges/*/*.parquet")))
    assert [len({found[name] for name in COSTS}) for found in (some, two, three)] == [2, 2, 1]
    assert two["list_cost"] == two["contracted_cost"] != two["effective_cost"]


def sums(frame):
    return [frame[name].sum() for name in COSTS]


READERS = {
    "pyarrow": lambda path: sums(pq.read_table(path).to_pandas()),
    "pyarrow, mapped": lambda path: sums(pq.read_table(path, memory_map=True, pre_buffer=False).to_pandas()),
    "dataset": lambda path: sums(ds.dataset(path).to_table(columns=[*COSTS]).to_pandas()),
    "pandas": lambda path: sums(pd.read_parquet(path)),
    "polars": lambda path: sums(pl.read_parquet(path)),
    "polars, scanned": lambda path: sums(pl.scan_parquet(path).filter(pl.col("effective_cost") > 0).collect()),
    "DuckDB": lambda path: [*duckdb.read_parquet(str(path)).aggregate(SUMS).fetchall()[0]],
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_all_amounts(ledger, write_segment, row, reader):
    for cost in ("0.25", "0.5"):
        write_segment([row(**dict.fromkeys(COSTS, cost)) for _ in range(4)])
    seal(ledger.path)
    compact(ledger.path, today=date(2026, 12, 1))
    (path,) = ledger.path.glob("charges/*/*.parquet")
    assert len({places(path)[name] for name in COSTS}) == 1
    assert READERS[reader](path) == [Decimal(3)] * 3


def group_middles(path):
    """Where parquet-mr takes the middle of each row group to be, and where the columns end."""
    metadata = pq.read_metadata(path)
    footer = metadata.serialized_size
    groups = read_struct(path.read_bytes()[-8 - footer : -8])[4].value.each
    return [group[5].value + group[6].value // 2 for group in groups], path.stat().st_size - footer - 8


NUMBERS = st.lists(st.sampled_from([None, 1, 2, 10**12]), min_size=1, max_size=40)


@given(NUMBERS, st.lists(st.booleans(), min_size=2, max_size=5), st.integers(1, 20), st.booleans())
def test_whatever_is_shared_reads_as_before(tmp_path_factory, numbers, alike, rows, dictionary):
    """Spark reads a row group with the part of the file in which its middle is: past the end it would be lost."""
    own = [number and number + 1 for number in numbers]
    columns = {f"c{place}": numbers if same else own for place, same in enumerate([True, True, *alike])}
    table = pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})
    path = tmp_path_factory.mktemp("shared") / "a.parquet"
    pq.write_table(table, path, row_group_size=rows, use_dictionary=dictionary, compression="zstd", store_schema=False)
    before = path.stat().st_size
    share(path)
    assert path.stat().st_size < before
    assert pq.read_table(path) == table
    assert duckdb.read_parquet(str(path)).to_arrow_table() == table
    middles, end = group_middles(path)
    assert middles == sorted(set(middles))
    assert middles[0] >= 4
    assert middles[-1] < end


def test_a_file_with_an_index_of_its_pages_is_left_as_it_is(tmp_path):
    same = [1, 2, 3] * 100
    pq.write_table(pa.table({"a": same, "b": same}), path := tmp_path / "a.parquet", write_page_index=True)
    before = path.read_bytes()
    share(path)
    assert path.read_bytes() == before
