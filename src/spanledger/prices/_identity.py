"""Which model was billed: from the names in a request and its response to a model of the book, exactly or not at all.

Ids are compared after taking off what is not the model (paths, geography, revisions); never by substring or nearness.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

PLATFORMS: Final[Mapping[str, str]] = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "azure_ai": "azure",
    "aws.bedrock": "aws",
    "bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gemini": "google",
    "google_genai": "google",
    "gcp.vertex_ai": "vertex",
    "vertex_ai": "vertex",
    "google_vertex": "vertex",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "ibm.watsonx.ai": "watsonx",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "z_ai": "zai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}
"""The book's word for a provider where it is not OpenTelemetry's own."""

GEOGRAPHY: Final = re.compile(r"^(global|us-gov|us|eu|apac|jp|au|ca|in|sa|kr|uk|me|af)\.(?=[a-z0-9-]+\.)")
PATHS: Final = re.compile(r"^(?:.*[/:])?(?:models|foundation-model|inference-profile|deployments|endpoints)/")
OPAQUE: Final = re.compile(
    r"^arn:aws[a-z-]*:(?:bedrock|sagemaker):.*[:/](application-inference-profile|provisioned-model|"
    r"custom-model|imported-model|custom-model-deployment|default-prompt-router|prompt-router|endpoint)/"
)
ROUTER: Final = re.compile(r"^(?:azure-)?model[-_]router(?:-20\d{2}-\d{2}-\d{2})?$")
"""Azure's model router: the response names the model that it chose."""

ARN_REGION: Final = re.compile(r"^arn:aws[a-z-]*:bedrock:([a-z0-9-]+):")
REVISIONS: Final = (
    re.compile(r"@(?:default|latest|\d{3}|\d{8})$"),
    re.compile(r":(?:\d+k|mm)$"),
    re.compile(r"-v\d+(?::\d+)?$"),
    re.compile(r":\d+$"),
    re.compile(r"-latest$"),
    re.compile(r"-(?:20\d{2}-\d{2}-\d{2}|20\d{6})$"),
    re.compile(r"-0\d{2}$"),
    re.compile(r"-preview-(?:\d{2}-\d{2}|\d{2}-20\d{2})$"),
)
"""What may follow a model's name, in the order in which it is taken off: aliases, versions, dates, previews by date."""
COMPACT_DATE: Final = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=$|[-@:])")
DASHED_DATE: Final = re.compile(r"-(20\d{2})-(\d{2})-(\d{2})(?=$|[-@:])")
FINE_TUNED: Final = re.compile(r"^(?:ft:([^:]+):.*|(.+)\.ft-.+)$")


def platform_of(provider_name: str) -> str:
    """The book's name of a provider."""
    name = provider_name.lower()
    return PLATFORMS.get(name, name.replace("_", "-"))


def geography(model: str | None) -> str | None:
    """The geography in a Bedrock id or its profile's ARN: `us`, `eu`, `global`, ..."""
    found = GEOGRAPHY.match(PATHS.sub("", (model or "").lower()))
    return found[1] if found else None


def arn_region(model: str | None) -> str | None:
    """The region in an ARN."""
    found = ARN_REGION.match(model or "")
    return found[1] if found else None


def spellings(model: str) -> Iterator[str]:
    """The names under which a model may stand in the book, the most literal first."""
    name = model.strip().lower()
    yield name
    if OPAQUE.match(name):
        return
    name = PATHS.sub("", name)
    tuned = FINE_TUNED.match(name)
    if tuned:
        name = f"ft:{tuned[1] or tuned[2]}"
    name = GEOGRAPHY.sub("", name)
    yield from _dated(name)
    for revision in REVISIONS:
        shorter = revision.sub("", name)
        if shorter != name:
            name = shorter
            yield from _dated(name)


def _dated(name: str) -> Iterator[str]:
    yield name
    for pattern, form in ((COMPACT_DATE, r"-\1-\2-\3"), (DASHED_DATE, r"-\1\2\3")):
        other = pattern.sub(form, name)
        if other != name:
            yield other
    if "@" in name:
        yield from _dated(name.replace("@", "-"))


def resolve(names: Mapping[str, str], model: str | None) -> str | None:
    """The book's model for an id, `None` where no spelling of it is known."""
    if not model:
        return None
    return next((names[name] for name in spellings(model) if name in names), None)
