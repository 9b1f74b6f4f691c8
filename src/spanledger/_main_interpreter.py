"""Refuses sub-interpreters when it is imported: neither the JSON encoder nor the ledger's engines run in two."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from spanledger.errors import ConfigurationError

_MODULES: Final = ("_interpreters", "_xxsubinterpreters")
"""The module that knows interpreters, since Python 3.13 and before."""


def is_main() -> bool:
    """Whether this is the interpreter that the process began with; also where no module can tell."""
    for name in _MODULES:
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


if not is_main():
    only = "spanledger runs in the main interpreter only"
    msg = f"{only}: use processes, and with mod_wsgi WSGIApplicationGroup %{{GLOBAL}}"
    raise ConfigurationError(msg)
