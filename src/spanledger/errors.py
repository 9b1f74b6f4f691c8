"""What spanledger raises on the query side and at configuration; capture never raises into an application.

Each message names the field that is wrong and what to do about it.
"""

from __future__ import annotations


class SpanledgerError(Exception):
    """The base of every error that spanledger raises."""


class ConfigurationError(SpanledgerError):
    """A setting is wrong: the message names it and what it takes."""


class MissingExtraError(SpanledgerError, ImportError):
    """An optional library is not installed: the message has the line that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is needed here: pip install 'spanledger[{extra}]'")


class LedgerError(SpanledgerError):
    """A ledger cannot be read or a question to it is wrong: the message names the file or the field."""


class PlanError(SpanledgerError, ValueError):
    """An allocation plan, a rule or an amount in it is wrong: the message names the file, the rule and the field."""
