"""What finance asks of the ledger: rules, allocation, showback, budgets, forecasts."""
