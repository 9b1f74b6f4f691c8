"""What finance asks of the ledger: rules, allocation, showback, budgets, forecasts."""

from spanledger.finops._exact import split

__all__ = ["split"]
