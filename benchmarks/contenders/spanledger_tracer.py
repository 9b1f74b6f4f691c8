"""spanledger with a ledger, and an SDK tracer but no meter."""

VENV = "spanledger"
PROVIDERS = {"openai", "anthropic", "bedrock"}


def setup(ctx):
    import tempfile

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    import spanledger

    provider = TracerProvider()
    provider.add_span_processor(ctx.batch_processor())
    trace.set_tracer_provider(provider)
    ctx.flushers.append(provider.force_flush)
    spanledger.instrument(ledger=tempfile.mkdtemp() + "/bench.ledger", tags={"team": "bench", "environment": "test"})
