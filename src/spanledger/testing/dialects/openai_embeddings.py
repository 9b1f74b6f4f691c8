"""OpenAI's Embeddings, as lists of numbers or in base64, as asked."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any, Final

from spanledger.testing._reply import Ask, Dialect, Json, model_of_body
from spanledger.testing.dialects.openai_chat import refusal

DIMENSIONS: Final = 8


def vector(dimensions: int = DIMENSIONS) -> list[float]:
    """A vector, the same every time."""
    return [1.0 / (place + 1) for place in range(dimensions)]


def _encoded(ask: Ask) -> Any:
    numbers = vector(ask.body.get("dimensions", DIMENSIONS))
    if ask.body.get("encoding_format") != "base64":
        return numbers
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _whole(ask: Ask) -> Json:
    texts = ask.body.get("input")
    count = len(texts) if isinstance(texts, list) else 1
    data = [{"object": "embedding", "index": index, "embedding": _encoded(ask)} for index in range(count)]
    usage = ask.usage and {"prompt_tokens": ask.usage.input_tokens, "total_tokens": ask.usage.input_tokens}
    return {"object": "list", "data": data, "model": ask.model, **({"usage": usage} if usage else {})}


EMBEDDINGS: Final = Dialect(prefix="embd_", whole=_whole, refusal=refusal, model=model_of_body)
