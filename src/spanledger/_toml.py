"""Reads a TOML file of the user's: prices, plans, settings."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from spanledger.errors import MissingExtraError, SpanledgerError


def load(path: Path, wrong: type[SpanledgerError]) -> dict[str, Any]:
    """The file with exact decimals; raises `wrong`, with the line where it is no TOML."""
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError:
        library, extra = "tomli", "ledger"
        raise MissingExtraError(library, extra) from None
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise wrong(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not TOML: {error}"
        raise wrong(msg) from None
    return content
