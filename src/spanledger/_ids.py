"""Identifiers that sort by time (UUIDv7, RFC 9562) and trace ids. Safe after a fork: the randomness is the kernel's."""

from __future__ import annotations

import hashlib
import os
import time


def uuid7(at_ns: int | None = None) -> str:
    """A UUIDv7 as text, of the given time in nanoseconds since 1970 or of now."""
    return _uuid7((time.time_ns() if at_ns is None else at_ns) // 1_000_000, os.urandom(9).hex())


def uuid7_of(name: str, at_ns: int = 0) -> str:
    """The same UUIDv7 whenever and wherever it is made of this name and time: what is booked again is booked once."""
    return _uuid7(at_ns // 1_000_000, hashlib.sha256(name.encode()).hexdigest())


def _uuid7(millis: int, rest: str) -> str:
    stamp = f"{millis:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def trace_id() -> str:
    """A trace id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def span_id() -> str:
    """A span id: 16 hexadecimal digits."""
    return os.urandom(8).hex()
