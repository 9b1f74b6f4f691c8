"""How the span of one model call shows itself, whichever library opened it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ANY: Final[frozenset[str]] = frozenset()

SIGNS: Final[Mapping[str, frozenset[str]]] = {
    "gen_ai.operation.name": frozenset({"chat", "generate_content", "text_completion", "embeddings"}),
    "openinference.span.kind": frozenset({"LLM", "EMBEDDING"}),
    "llm.request.type": frozenset({"chat", "completion", "embedding"}),
    "llm.system": ANY,
}
"""An attribute and the values that it has on such spans: GenAI conventions (the anthropic SDK, the official
instrumentations, Logfire, pydantic-ai), OpenInference (which tells the kind only at the end), OpenLLMetry."""

USAGE: Final = ("gen_ai.usage.", "llm.token_count.", "llm.cost.", "llm.usage.", "operation.cost")
"""What the attributes begin with that a backend adds up."""


def is_model_call(attributes: Mapping[str, Any] | None) -> bool:
    """Whether the attributes are those of one call of a model, not of an agent, a tool or a chain."""
    if not attributes:
        return False
    return any(not values or attributes[name] in values for name, values in SIGNS.items() if name in attributes)
