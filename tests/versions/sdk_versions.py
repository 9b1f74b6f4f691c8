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


GOOGLE = (
    "tests/providers/test_google.py",
    "tests/providers/test_google_batches.py",
    "tests/providers/test_google_live.py",
    "tests/providers/test_google_interactions.py",
    "tests/providers/test_google_interactions_live.py",
)
AIO = ("tests/providers/test_aiobotocore.py",)
IN_THEIR_TESTS = ("anthropic", "boto3", "hypothesis", "openai")
"""What the tests of the providers import besides."""

PROVIDERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("google-genai==1.0.0", *IN_THEIR_TESTS), GOOGLE),
    (("google-genai==1.20.0", *IN_THEIR_TESTS), GOOGLE),
    (("google-genai==1.75.0", "aiohttp", *IN_THEIR_TESTS), GOOGLE),
    (("google-genai==2.34.0", *IN_THEIR_TESTS), GOOGLE),
    (("google-genai", *IN_THEIR_TESTS), GOOGLE),
    (("aiobotocore==2.13.1", "boto3==1.34.131", "anthropic", "openai"), AIO),
    (("aioboto3==15.5.0", "anthropic", "openai"), AIO),
    (("aiobotocore", "anthropic", "openai"), AIO),
)
"""What is installed together, and the tests that run over it: these SDKs have suites of their own."""
