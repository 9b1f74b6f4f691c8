"""spanledger with everything on. Rows that wait to be counted in the metrics are counted within the window."""

VENV = "spanledger"
PROVIDERS = {"openai", "anthropic", "bedrock"}


def setup(ctx):
    import tempfile

    import spanledger
    from spanledger._meter import meter

    ctx.otel()
    spanledger.instrument(ledger=tempfile.mkdtemp() + "/bench.ledger", tags={"team": "bench", "environment": "test"})
    ctx.flushers.append(meter.flush)
