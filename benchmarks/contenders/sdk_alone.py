"""Nothing but what the OpenTelemetry SDK is asked for when spanledger has everything on: the least that it can cost.

A span with as many attributes at its start and its end, one record of the duration, two of the older token histogram.
"""

VENV = "spanledger"
PROVIDERS = {"openai"}

START = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.system": "openai",
    "spanledger.team": "bench",
    "spanledger.environment": "test",
    "metadata": '{"team":"bench","environment":"test"}',
}
END = {
    "spanledger.charge_id": "01a21142-8fdd-7889-8fa2-9bfe0bda577b",
    "gen_ai.response.id": "chatcmpl-BxQ1",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.finish_reasons": ["stop"],
    "openai.response.service_tier": "default",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 350,
    "gen_ai.usage.cache_read.input_tokens": 1024,
    "gen_ai.usage.reasoning.output_tokens": 64,
    "spanledger.cost_status": "exact",
    "gen_ai.usage.cost": 0.0003132,
    "operation.cost": 0.0003132,
    "llm.cost.total": 0.0003132,
    "llm.cost.prompt": 0.0001032,
    "llm.cost.completion": 0.00021,
    "mlflow.llm.cost": '{"input_cost":0.0001032,"output_cost":0.00021,"total_cost":0.0003132}',
}
CALL = {name: START[name] for name in list(START)[:5]} | {"gen_ai.response.model": "gpt-4o-mini-2024-07-18"}
TOKENS = {name: START[name] for name in list(START)[:3]}


def setup(ctx):
    ctx.otel()
    import functools

    import openai
    from opentelemetry import metrics, trace
    from opentelemetry.context import attach, detach
    from opentelemetry.trace import SpanKind, set_span_in_context

    tracer, meter = trace.get_tracer("alone"), metrics.get_meter("alone")
    buckets = [float(4**power) for power in range(14)]
    duration = meter.create_histogram("duration", explicit_bucket_boundaries_advisory=buckets)
    tokens = meter.create_histogram("tokens", explicit_bucket_boundaries_advisory=buckets)
    sides = [(1200, {**TOKENS, "gen_ai.token.type": "input"}), (350, {**TOKENS, "gen_ai.token.type": "output"})]
    kind = openai.resources.chat.completions.Completions
    original = kind.create

    @functools.wraps(original)
    def create(*args, **kwargs):
        span = tracer.start_span("chat gpt-4o-mini", kind=SpanKind.CLIENT, attributes=START)
        token = attach(set_span_in_context(span))
        try:
            return original(*args, **kwargs)
        finally:
            detach(token)
            span.set_attributes(END)
            span.end()
            duration.record(0.5, CALL)
            for count, attributes in sides:
                tokens.record(count, attributes)

    kind.create = create
