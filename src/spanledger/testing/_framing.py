"""Bytes of streams: server-sent events, and the event stream of AWS with its checksums."""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Any, Final

import orjson


def sse(payload: Any) -> bytes:
    """One server-sent event of JSON data."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def named_sse(payload: Mapping[str, Any]) -> bytes:
    """One server-sent event that is named by its payload's `type`."""
    return b"event: " + str(payload["type"]).encode() + b"\n" + sse(payload)


def crlf_sse(payload: Any) -> bytes:
    """One server-sent event with the line ends that Google sends."""
    return b"data: " + orjson.dumps(payload) + b"\r\n\r\n"


def aws_event(payload: Mapping[str, Any]) -> bytes:
    """One message of `application/vnd.amazon.eventstream`; the payload's only key is the type of the event."""
    ((kind, body),) = payload.items()
    return aws_message(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, orjson.dumps(body)
    )


def aws_exception(kind: str, message: str) -> bytes:
    """The message by which a stream of AWS says that it has failed."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return aws_message(headers, orjson.dumps({"message": message}))


def aws_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message: lengths and their CRC-32, headers, payload, CRC-32 of it all."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


TEXT: Final = 7
"""The type of a header whose value is text."""


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", TEXT, len(value)) + value.encode()
