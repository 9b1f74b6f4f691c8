"""What finance asks of the ledger: rules, allocation, showback, chargeback, unit costs."""

from spanledger.finops._exact import split
from spanledger.finops.allocation import allocate, close, corrections
from spanledger.finops.plan import Plan
from spanledger.finops.rules import Rules
from spanledger.finops.statements import Statement

__all__ = ["Plan", "Rules", "Statement", "allocate", "close", "corrections", "split"]
