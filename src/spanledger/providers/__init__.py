"""One file a provider: where its calls are seen, and tables that say what its responses are billed for."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from itertools import chain

from spanledger.providers._hooks import Hook

STAINLESS = (
    *("openai", "anthropic"),
    *("cerebras", "fireworks", "groq", "perplexity", "sambanova", "together", "writer"),
)
"""Modules of this package whose `provider` is an SDK that Stainless generates."""

OTHERS = (
    *("_botocore", "_google", "_google_interactions", "_google_interactions_live", "_google_live", "_google_rounds"),
    "_realtime",
)
"""Modules of this package that have `hooks()` of their own."""


@lru_cache(maxsize=1)
def hooks() -> tuple[Hook, ...]:
    """The hook of every SDK that is known, installed or not. None of the SDKs is imported."""
    stainless = [import_module(f"{__name__}.{name}").provider.hook() for name in STAINLESS]
    others = (import_module(f"{__name__}.{name}").hooks() for name in OTHERS)
    return (*stainless, *chain.from_iterable(others))
