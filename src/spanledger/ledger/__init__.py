"""The ledger on disk and the questions to it. DuckDB and Arrow load with the first question (extra `ledger`)."""

from __future__ import annotations

from spanledger.ledger._health import Health
from spanledger.ledger._ledger import Ledger
from spanledger.ledger._result import Result
from spanledger.ledger._trace import Node, Trace

__all__ = ["Health", "Ledger", "Node", "Result", "Trace"]
