"""The name that somebody meant: what messages about a misspelt one ask."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is meant, if one is close."""
    from difflib import get_close_matches  # not for those who misspell nothing

    return next(iter(get_close_matches(name, list(names), n=1)), None)
