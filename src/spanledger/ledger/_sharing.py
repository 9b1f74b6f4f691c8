"""Columns of a row group that have the same bytes share them: these stand in the file once, and the footer says so.

Each column keeps an entry of its own in the footer, with its own name and statistics; only the offsets are equal. A
reader goes where the entry points, and finds what it would have found in a copy. So a file whose `contracted_cost` and
`effective_cost` are the `list_cost` of every row has all three for the price of one, for every program.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from spanledger.ledger._thrift import I64, Struct, Typed, read_struct, write_struct

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""Bytes that end a file: the length of the footer, and the magic."""

# Numbers of fields, as parquet.thrift has them.
_ROW_GROUPS: Final = 4  # of FileMetaData
_COLUMNS, _GROUP_OFFSET, _GROUP_COMPRESSED = 1, 5, 6  # of RowGroup
_META: Final = 3  # of ColumnChunk
_COMPRESSED, _DATA, _INDEX, _DICTIONARY = 7, 9, 10, 11  # of ColumnMetaData
_OFFSETS: Final = (_DATA, _INDEX, _DICTIONARY)


class _Chunk(NamedTuple):
    """Where a column of a row group lies, and what the footer says of it."""

    start: int
    size: int
    said: Struct

    @classmethod
    def of(cls, said: Struct) -> _Chunk:
        start = min(said[number].value for number in _OFFSETS if number in said)
        return cls(start, said[_COMPRESSED].value, said)

    def moved(self, start: int) -> None:
        """Says that it lies elsewhere."""
        for number in _OFFSETS:
            if number in self.said:
                kind, value = self.said[number]
                self.said[number] = Typed(kind, value - self.start + start)


def share(path: Path) -> None:
    """Rewrites a Parquet file in place such that columns of the same bytes share them.

    A file that holds more than columns and the footer, such as an index of its pages, is left as it is.
    """
    with path.open("r+b") as file:
        end = file.seek(-_TAIL, os.SEEK_END)
        size = int.from_bytes(file.read(4), "little")
        file.seek(end - size)
        footer = read_struct(file.read(size))
        groups = footer[_ROW_GROUPS].value.each
        chunks = [[_Chunk.of(column[_META].value) for column in group[_COLUMNS].value.each] for group in groups]
        if not _is_nothing_else([chunk for group in chunks for chunk in group], end - size):
            return
        place = len(_MAGIC)
        for group, its in zip(groups, chunks, strict=True):
            place = _packed(file, group, its, place)
        if place < end - size:
            _end(file, place, write_struct(footer))


def _is_nothing_else(chunks: list[_Chunk], end: int) -> bool:
    """Whether the columns lie one behind the other, from the beginning of the file to its footer."""
    place = len(_MAGIC)
    for chunk in chunks:
        if chunk.start != place:
            return False
        place += chunk.size
    return place == end


def _packed(file: BinaryIO, group: Struct, chunks: list[_Chunk], start: int) -> int:
    """Moves the columns of one row group together, from `start` on; returns where they end.

    Only within a row group, and the first column always lies there: by these a reader tells which part of a file, and
    so which row groups, are its own. It takes the middle, which has to be within what is there.
    """
    places: dict[bytes, int] = {}
    place = start
    for chunk in chunks:
        file.seek(chunk.start)
        data = file.read(chunk.size)
        if data not in places:
            places[data] = place
            place += _written(file, data, chunk.start, place)
        chunk.moved(places[data])
    if _GROUP_OFFSET in group:
        group[_GROUP_OFFSET] = Typed(I64, start)
    group[_GROUP_COMPRESSED] = Typed(I64, place - start)
    return place


def _written(file: BinaryIO, data: bytes, before: int, place: int) -> int:
    if before != place:
        file.seek(place)
        file.write(data)
    return len(data)


def _end(file: BinaryIO, place: int, footer: bytes) -> None:
    file.seek(place)
    file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
    file.truncate()
