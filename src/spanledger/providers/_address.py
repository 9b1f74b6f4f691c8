"""The host and the port of what is called."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Address(NamedTuple):
    """Where a request goes; a port that the URL leaves out is that of its scheme."""

    host: str | None = None
    port: int | None = None


@lru_cache(maxsize=256)
def address_of(url: str) -> Address:
    """The address in a URL; what cannot be read is not known."""
    try:
        parts = urlsplit(url)
        return Address(parts.hostname, parts.port or PORTS.get(parts.scheme) if parts.hostname else None)
    except ValueError:
        return Address()
