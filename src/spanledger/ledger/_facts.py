"""What a sealed file says of itself in its footer, so that questions need not look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from spanledger.errors import LedgerError
from spanledger.ledger._rolled import KEY, Rolled, told_by


class Facts(NamedTuple):
    """What a sealed file says of itself: the files that it stands for, and how many corrections it has, if it knows.

    `tags` are those that its charges carry, if it knows, each with the name of the column that holds a copy, if any.
    `alike` are the columns that have the value of `list_cost` in every row, `currency` is that of every row, if one is.
    `rolled` says what was rolled up into it, where its rows are sums of charges.
    """

    replaces: tuple[str, ...] = ()
    corrections: int | None = None
    tags: Mapping[str, str] | None = None
    alike: tuple[str, ...] = ()
    currency: str | None = None
    rolled: Rolled | None = None

    @classmethod
    def of(cls, path: Path, said: Mapping[str, str]) -> Facts:
        """From the metadata in the file's footer; a file that another program wrote says nothing.

        Raises `LedgerError` that names the file where that is damaged.
        """
        corrections = said.get("corrections", "")
        replaces, alike = (_names(path, key, said.get(key, "")) for key in ("replaces", "alike"))
        tags = _tags(path, said["tags"]) if "tags" in said else None
        count = int(corrections) if corrections.isdecimal() else None
        return cls(replaces, count, tags, alike, said.get("currency"), told_by(path, said))

    def footer(self) -> dict[str, str]:
        """As metadata for the file's footer."""
        lists = {"replaces": "/".join(self.replaces), "alike": "/".join(self.alike)}
        known = {
            "corrections": self.corrections,
            "tags": None if self.tags is None else orjson.dumps(self.tags).decode(),
            "currency": self.currency,
            KEY: None if self.rolled is None else self.rolled.to_json(),
        }
        return {**lists, **{key: str(value) for key, value in known.items() if value is not None}}

    def holds_of(self, found: Facts) -> bool:
        """Whether all that is said is true of rows that were looked through."""
        return (
            set(self.alike) <= set(found.alike)
            and self.currency in (None, found.currency)
            and self.corrections in (None, found.corrections)
            and (self.tags is None or set(self.tags) >= set(found.tags or ()))
        )


_NAMES: Final = {"replaces": re.compile(r"[^/\0]+\.parquet"), "alike": re.compile("(contracted|effective)_cost")}
_COPY: Final = re.compile("(tag_[a-z0-9_]+)?")
"""What a footer may say, and no more: it may be forged, and names of columns stand in SQL."""


def _names(path: Path, key: str, text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split("/")))
    if wrong := [name for name in names if not _NAMES[key].fullmatch(name)]:
        msg = f"{path}: its footer says {wrong[0]!r} under {key}, which is no such name: restore it from a copy"
        raise LedgerError(msg)
    return names


def _tags(path: Path, text: str) -> Mapping[str, str]:
    try:
        tags = {str(tag): str(column) for tag, column in orjson.loads(text).items()}
    except (ValueError, AttributeError):
        tags = {"": text}
    if wrong := [column for column in tags.values() if not _COPY.fullmatch(column)]:
        msg = f"{path}: its footer says {wrong[0]!r} under tags, which is no such name: restore it from a copy"
        raise LedgerError(msg)
    return tags


NO_FACTS: Final[Mapping[Path, Facts]] = {}
