"""spanledger with a ledger, and an SDK tracer whose sampler drops every trace."""

VENV = "spanledger"
PROVIDERS = {"openai", "anthropic", "bedrock"}


def setup(ctx):
    import tempfile

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    import spanledger

    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(ctx.batch_processor())
    trace.set_tracer_provider(provider)
    spanledger.instrument(ledger=tempfile.mkdtemp() + "/bench.ledger", tags={"team": "bench", "environment": "test"})
