"""Where charges go: the ledger, OpenTelemetry, budgets."""
