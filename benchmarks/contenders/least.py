"""The least that Python can do for a durable row: one wrapper, eight fields, one `write(2)`; no streams, no price."""

VENV = "spanledger"
PROVIDERS = {"openai"}


def setup(ctx):  # noqa: ARG001 -- what the harness calls
    import functools
    import os
    import tempfile
    import time

    import openai
    import orjson

    file = os.open(tempfile.mkdtemp() + "/rows.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    kind = openai.resources.chat.completions.Completions
    original = kind.create

    @functools.wraps(original)
    def create(*args, **kwargs):
        began = time.time_ns()
        answer = original(*args, **kwargs)
        usage = answer.usage
        os.write(
            file,
            orjson.dumps(
                {
                    "at": began,
                    "ns": time.time_ns() - began,
                    "id": answer.id,
                    "model": answer.model,
                    "input": usage.prompt_tokens,
                    "output": usage.completion_tokens,
                    "team": "bench",
                    "cost": str(usage.prompt_tokens * 150 + usage.completion_tokens * 600),
                }
            )
            + b"\n",
        )
        return answer

    kind.create = create
