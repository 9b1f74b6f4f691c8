"""Thrift's compact protocol, in which the footer of a Parquet file is: read to dictionaries and written back.

A struct is its fields by number, each with the type that it was written with, so that what this library knows nothing
of comes out as it went in.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


class Typed(NamedTuple):
    """A value, with the number that says what it is."""

    kind: int
    value: Any


class Items(NamedTuple):
    """A list or a set: what its items are, and these."""

    kind: int
    each: list[Any]


class Entries(NamedTuple):
    """A map: what keys and values are, both in one number, and these."""

    kinds: int
    each: list[tuple[Any, Any]]


Struct: TypeAlias = dict[int, Typed]


def read_struct(data: bytes) -> Struct:
    """The struct that some bytes begin with. Raises `ValueError` where they are none."""
    try:
        return _read_struct(io.BytesIO(data))
    except (IndexError, KeyError, RecursionError) as error:
        msg = f"no struct of Thrift's compact protocol: {error!r}"
        raise ValueError(msg) from error


def write_struct(struct: Struct) -> bytes:
    """A struct as bytes: those that it was read from, wherever these were written as all writers do."""
    out = io.BytesIO()
    _write_struct(out, struct)
    return out.getvalue()


def _read_struct(source: BinaryIO) -> Struct:
    fields: Struct = {}
    number = 0
    while head := source.read(1)[0]:
        number = number + (head >> 4) if head >> 4 else _read_signed(source)
        kind = head & 15
        fields[number] = Typed(kind, kind == TRUE if kind in {TRUE, FALSE} else _READ[kind](source))
    return fields


def _write_struct(out: BinaryIO, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in struct.items():
        step = number - before
        before = number
        if 0 < step <= 15:  # noqa: PLR2004 -- four bits
            out.write(bytes([step << 4 | kind]))
        else:
            out.write(bytes([kind]))
            _write_signed(out, number)
        if kind > FALSE:
            _WRITE[kind](out, value)
    out.write(b"\0")


def _read_number(source: BinaryIO) -> int:
    number = shift = 0
    while (byte := source.read(1)[0]) & 128:
        number |= (byte & 127) << shift
        shift += 7
    return number | byte << shift


def _write_number(out: BinaryIO, number: int) -> None:
    while number > 127:  # noqa: PLR2004 -- seven bits
        out.write(bytes([number & 127 | 128]))
        number >>= 7
    out.write(bytes([number]))


def _read_signed(source: BinaryIO) -> int:
    number = _read_number(source)
    return number >> 1 ^ -(number & 1)


def _write_signed(out: BinaryIO, number: int) -> None:
    _write_number(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _read_exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        msg = f"{size - len(data)} bytes are missing"
        raise ValueError(msg)
    return data


def _read_bytes(source: BinaryIO) -> bytes:
    return _read_exactly(source, _read_number(source))


def _write_bytes(out: BinaryIO, data: bytes) -> None:
    _write_number(out, len(data))
    out.write(data)


def _read_items(source: BinaryIO) -> Items:
    head = source.read(1)[0]
    size = head >> 4 if head >> 4 < 15 else _read_number(source)  # noqa: PLR2004 -- four bits, of which 15 says more
    read = _READ[head & 15]
    return Items(head & 15, [read(source) for _ in range(size)])


def _write_items(out: BinaryIO, items: Items) -> None:
    size = len(items.each)
    out.write(bytes([min(size, 15) << 4 | items.kind]))
    if size >= 15:  # noqa: PLR2004
        _write_number(out, size)
    for value in items.each:
        _WRITE[items.kind](out, value)


def _read_entries(source: BinaryIO) -> Entries:
    size = _read_number(source)
    kinds = source.read(1)[0] if size else 0
    key, value = (_READ[kinds >> 4], _READ[kinds & 15]) if size else (_read_bytes, _read_bytes)
    return Entries(kinds, [(key(source), value(source)) for _ in range(size)])


def _write_entries(out: BinaryIO, entries: Entries) -> None:
    _write_number(out, len(entries.each))
    if entries.each:
        out.write(bytes([entries.kinds]))
    for key, value in entries.each:
        _WRITE[entries.kinds >> 4](out, key)
        _WRITE[entries.kinds & 15](out, value)


def _of(size: int) -> Callable[[BinaryIO], bytes]:
    return lambda source: _read_exactly(source, size)


def _as_is(out: BinaryIO, data: bytes) -> None:
    out.write(data)


_READ: Final[Mapping[int, Callable[[BinaryIO], Any]]] = {
    **dict.fromkeys((TRUE, FALSE, BYTE), _of(1)),  # a boolean has a byte of its own only in a list or a map
    **dict.fromkeys((I16, I32, I64), _read_signed),
    DOUBLE: _of(8),
    BINARY: _read_bytes,
    **dict.fromkeys((LIST, SET), _read_items),
    MAP: _read_entries,
    STRUCT: _read_struct,
}
_WRITE: Final[Mapping[int, Callable[[BinaryIO, Any], None]]] = {
    **dict.fromkeys((TRUE, FALSE, BYTE, DOUBLE), _as_is),
    **dict.fromkeys((I16, I32, I64), _write_signed),
    BINARY: _write_bytes,
    **dict.fromkeys((LIST, SET), _write_items),
    MAP: _write_entries,
    STRUCT: _write_struct,
}
