"""The SDK versions that the conformance suite runs over: the oldest that people still run, milestones, and the newest.

`needs` are further requirements of an old version. `in_ci` marks the one older version of each SDK that CI runs.
"""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    """One row of the matrix. `requirement` is what pip installs."""

    sdk: str
    requirement: str
    why: str
    needs: tuple[str, ...] = ()
    in_ci: bool = False


OLD_HTTPX = ("httpx<0.28",)
"""Versions of 2023 and 2024 pass an argument that httpx 0.28 no longer takes."""

VERSIONS = (
    Version("openai", "openai==1.0.0", "the first with clients", OLD_HTTPX),
    Version("openai", "openai==1.30.5", "stream_options appear", OLD_HTTPX),
    Version("openai", "openai==1.66.5", "Responses appear", in_ci=True),
    Version("openai", "openai<2", "the last 1.x"),
    Version("openai", "openai<3", "the last 2.x"),
    Version("openai", "openai==3.0.0", "httpx2 replaces httpx"),
    Version("openai", "openai", "the newest"),
    Version("anthropic", "anthropic==0.40.0", "late 2024", OLD_HTTPX),
    Version("anthropic", "anthropic==0.71.0", "late 2025", in_ci=True),
    Version("anthropic", "anthropic<1", "the last 0.x"),
    Version("anthropic", "anthropic==1.0.0", "httpx2 replaces httpx"),
    Version("anthropic", "anthropic<2", "the last 1.x, with spans of its own"),
    Version("anthropic", "anthropic==2.0.0", "the first 2.x"),
    Version("anthropic", "anthropic", "the newest"),
)


class Suite(NamedTuple):
    """One row of the matrix of the SDKs that have suites of their own: what is installed, and what pytest runs."""

    sdk: str
    requirements: tuple[str, ...]
    why: str
    tests: tuple[str, ...]
    in_ci: bool = False


GOOGLE = (
    "tests/providers/test_google.py",
    "tests/providers/test_google_batches.py",
    "tests/providers/test_google_live.py",
    "tests/providers/test_google_interactions.py",
    "tests/providers/test_google_interactions_live.py",
)
BEDROCK = ("tests/providers/test_bedrock.py",)
AIO = ("tests/providers/test_aiobotocore.py",)
IN_THEIR_TESTS = ("anthropic", "hypothesis", "openai")
"""What the tests of the providers import besides."""

SIBLINGS = {
    "cerebras-cloud-sdk": "cerebras",
    "fireworks-ai": "fireworks",
    "groq": "groq",
    "perplexityai": "perplexity",
    "sambanova": "sambanova",
    "together": "together",
    "writer-sdk": "writer",
}
"""What pip calls the SDKs that Stainless generates, and their names in the tests."""

PROVIDERS = (
    Suite("google-genai", ("google-genai==1.0.0",), "the first stable one", GOOGLE),
    Suite("google-genai", ("google-genai==1.20.0",), "mid 2025", GOOGLE),
    Suite("google-genai", ("google-genai==1.75.0", "aiohttp"), "the last 1.x, with aiohttp", GOOGLE),
    Suite("google-genai", ("google-genai==2.34.0",), "the last 2.x", GOOGLE),
    Suite("google-genai", ("google-genai",), "the newest", GOOGLE),
    Suite("boto3", ("boto3==1.28.57", "botocore==1.31.57"), "the first with Bedrock's runtime", BEDROCK),
    Suite("boto3", ("boto3==1.34.116", "botocore==1.34.116"), "Converse appears", BEDROCK),
    Suite("boto3", ("boto3==1.36.0", "botocore==1.36.0"), "counts of the cache appear", BEDROCK, in_ci=True),
    Suite("boto3", ("boto3",), "the newest", BEDROCK),
    Suite("aiobotocore", ("aiobotocore==2.13.1", "boto3==1.34.131"), "mid 2024", AIO),
    Suite("aioboto3", ("aioboto3==15.5.0",), "the newest, with the aiobotocore that it pins", AIO),
    Suite("aiobotocore", ("aiobotocore",), "the newest", AIO, in_ci=True),
    *(
        Suite(sdk, (sdk,), "the newest", ("tests/providers/test_siblings.py", "-k", name))
        for sdk, name in SIBLINGS.items()
    ),
)
"""In this order: some pin the botocore that they go with."""
