"""Identifiers that sort by time (UUIDv7, RFC 9562) and trace ids. Safe after a fork: the randomness is the kernel's."""

from __future__ import annotations

import hashlib
import os
import time


def uuid7(at_ns: int | None = None) -> str:
    """A UUIDv7 as text, of the given time in nanoseconds since 1970 or of now."""
    millis = (time.time_ns() if at_ns is None else at_ns) // 1_000_000
    return _text((millis.to_bytes(6, "big") + os.urandom(9)).hex())


def uuid7_of(name: str, at_ns: int = 0) -> str:
    """The same UUIDv7 whenever and wherever it is made of this name and time: what is booked again is booked once."""
    return _text(f"{at_ns // 1_000_000:012x}{hashlib.sha256(name.encode()).hexdigest()[:18]}")


def _text(digits: str) -> str:
    """Twelve digits of the time and eighteen that are random, with the version and the variant between them."""
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:15]}-8{digits[15:18]}-{digits[18:]}"


def trace_id() -> str:
    """A trace id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def span_id() -> str:
    """A span id: 16 hexadecimal digits."""
    return os.urandom(8).hex()
