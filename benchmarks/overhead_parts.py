"""Where the microseconds of a metered call go: parts of spanledger are left out in turn, inside real calls of the SDK.

    python benchmarks/overhead_parts.py [--rounds 60] [--calls 40]

One process, one openai client over a transport in memory; each round visits every variant in random order. What is
left out is not booked: a difference says what that part costs where it is cold, in the middle of an application's own
work, which is several times what it costs in a loop. The lower decile of the rounds counts, as others use the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai

import spanledger
from spanledger import _call, _ids
from spanledger._meter import meter
from spanledger.sinks import ledger as ledger_sink
from spanledger.sinks.ledger import LedgerSink

BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 200}}],
    "usage": {
        "prompt_tokens": 1200,
        "completion_tokens": 350,
        "total_tokens": 1550,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    },
}


class System:
    """The module `os` with some functions replaced."""

    def __init__(self, **replaced: Any) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def make_client() -> openai.OpenAI:
    """A client whose every call is answered at once, from memory."""
    http = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    content = json.dumps(BODY).encode()
    transport = http.MockTransport(
        lambda _: http.Response(200, headers={"content-type": "application/json"}, content=content)
    )
    return openai.OpenAI(
        api_key="k", base_url="https://api.openai.com/v1", http_client=http.Client(transport=transport), max_retries=0
    )


def variants(in_memory: str) -> dict[str, Callable[[], None]]:
    """What is switched before the calls of each variant."""
    ledger, *others = meter.sinks
    memory = LedgerSink(Path(in_memory) / "spend.ledger")

    def switch(**settings: Any) -> Callable[[], None]:
        def apply() -> None:
            _call.meter = settings.get("meter", meter)
            meter.sinks = settings.get("sinks", (ledger, *others))
            ledger_sink.os = settings.get("writes", os)
            _ids.os = settings.get("ids", os)

        return apply

    return {
        "the bare SDK, hooks in place": switch(meter=None),
        "the same again: the noise": switch(meter=None),
        "all": switch(),
        "without write(2)": switch(writes=System(write=lambda _, line: len(line))),
        "the ledger in memory (tmpfs)": switch(sinks=(memory, *others)),
        "without the kernel's randomness": switch(ids=System(urandom=lambda size: b"\0" * size)),
        "without sinks": switch(sinks=()),
    }


def measure(client: openai.OpenAI, switches: dict[str, Callable[[], None]], rounds: int, calls: int) -> None:
    """Prints, for each variant, the lower decile and the median of microseconds a call, and what they add."""
    took: dict[str, list[float]] = {name: [] for name in switches}
    for _ in range(rounds):
        for name in random.sample(list(switches), len(switches)):
            switches[name]()
            ask(client, 2)
            began = time.process_time_ns()
            ask(client, calls)
            took[name].append((time.process_time_ns() - began) / 1000 / calls)
    base = next(iter(took.values()))
    print(f"{'microseconds a call':34}{'decile':>8}{'median':>8}{'added':>8}{'added':>8}")
    for name, times in took.items():
        low, middle = lowest(times), statistics.median(times)
        print(f"{name:34}{low:8.0f}{middle:8.0f}{low - lowest(base):8.0f}{middle - statistics.median(base):8.0f}")


def lowest(times: list[float]) -> float:
    """The lower decile."""
    return sorted(times)[len(times) // 10]


def ask(client: openai.OpenAI, calls: int) -> None:
    """Makes calls, one after the other."""
    for _ in range(calls):
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello " * 50}])


def main() -> None:
    """Meters, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as in_memory:
        spanledger.instrument(ledger=Path(folder) / "spend.ledger", tags={"team": "bench", "environment": "test"})
        client = make_client()
        ask(client, 200)
        measure(client, variants(in_memory), options.rounds, options.calls)


if __name__ == "__main__":
    main()
