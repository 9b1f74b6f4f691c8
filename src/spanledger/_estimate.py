"""Tokens of a text, for a response that never said: by classes of characters, offline, in microseconds.

A text is a handful of counts (letters of each script, words, runs of digits, ...) and a tokenizer's family is a weight
for each. The weights are fitted and measured by `tools/token_estimator.py`, which also says how far off they are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from spanledger import _vocabulary

WEIGHTS: Final = Path(__file__).with_name("token_weights.json")

BLOCKS: Final[tuple[tuple[int, str], ...]] = (
    *((0x00, "control"), (0x09, "newline"), (0x0E, "control"), (0x20, "space"), (0x21, "punctuation"), (0x30, "digit")),
    *((0x3A, "punctuation"), (0x41, "upper"), (0x5B, "punctuation"), (0x61, "lower"), (0x7B, "punctuation")),
    *((0x80, "symbol"), (0xC0, "latin"), (0x100, "latin_extended"), (0x180, "latin_rare"), (0x370, "greek")),
    *((0x400, "cyrillic_extended"), (0x410, "cyrillic"), (0x450, "cyrillic_extended"), (0x530, "armenian")),
    *((0x590, "hebrew"), (0x600, "arabic"), (0x64B, "arabic_extended"), (0x700, "other"), (0x900, "devanagari")),
    *((0x980, "bengali"), (0xA00, "gurmukhi"), (0xA80, "gujarati"), (0xB00, "oriya"), (0xB80, "tamil")),
    *((0xC00, "telugu"), (0xC80, "kannada"), (0xD00, "malayalam"), (0xD80, "sinhala"), (0xE00, "thai"), (0xE80, "lao")),
    *((0xF00, "tibetan"), (0x1000, "myanmar"), (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "ethiopic")),
    *((0x13A0, "other"), (0x1780, "khmer"), (0x1800, "other"), (0x1E00, "vietnamese"), (0x1F00, "greek")),
    *(
        (0x2000, "symbol"),
        (0x2600, "emoji"),
        (0x27C0, "symbol"),
        (0x2C00, "other"),
        (0x3000, "symbol"),
        (0x3040, "kana"),
        (0x3100, "other"),
        (0x3400, "han"),
    ),
    *((0xA000, "other"), (0xAC00, "hangul"), (0xD7B0, "other"), (0xF900, "han"), (0xFB00, "other")),
    *((0xFE00, "symbol"), (0xFE10, "other")),
    *((0xFF00, "symbol"), (0x10000, "other"), (0x1F000, "emoji"), (0x20000, "han"), (0xE0000, "other")),
)
"""The first code point of each class of characters."""

STARTS: Final = tuple(first for first, _ in BLOCKS)
ASCII: Final = frozenset({"control", "newline", "space", "punctuation", "digit", "upper", "lower", "symbol", "emoji"})
"""Classes that English text and code are made of."""
LATIN: Final = frozenset({"latin", "latin_extended", "latin_rare", "vietnamese"})

WORDS: Final = re.compile(r"[^\W\d_]+")
GAPS: Final = re.compile(r" {2,}")
RUNS: Final[Mapping[str, re.Pattern[str]]] = {
    "numbers": re.compile(r"[0-9]+"),
    "marks": re.compile(r"[^\w\s]+"),
    "humps": re.compile(r"[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]"),
}
COUNTED: Final = ("words", "long", "common", "gaps", *RUNS)
"""What is counted besides characters."""

COMMON: Final = frozenset(
    {"the", "of", "and", "to", "in", "is", "that", "for", "it", "as"}
    | {"with", "be", "on", "or", "this", "are", "you", "not"}
)
"""English words that tell English from other languages, and from code."""
LONG: Final = 8
"""Words of more letters than this have more tokens."""

CLASSES: Final = tuple(dict.fromkeys(name for _, name in BLOCKS))
WIDTHS: Final = {name: len(chr(max(first, 1)).encode("utf-8", "replace")) for first, name in BLOCKS}
"""Bytes of a character of each class."""
SCRIPTS: Final = tuple(name for name in CLASSES if name not in ASCII and name not in LATIN)
FEATURES: Final = (*CLASSES, *COUNTED)


@lru_cache(maxsize=8192)
def class_of(character: str) -> str:
    """The class of one character."""
    return BLOCKS[bisect_right(STARTS, ord(character)) - 1][1]


def features(text: str) -> Counter[str]:
    """How often each class of characters, and each kind of word and run, occurs."""
    counts: Counter[str] = Counter()
    for character, times in Counter(text).items():
        counts[class_of(character)] += times
    words = WORDS.findall(text)
    counts["words"] = len(words)
    counts["long"] = sum(len(word) > LONG for word in words)
    counts["common"] = sum(map(COMMON.__contains__, words))
    gaps = GAPS.findall(text)  # an indentation is one token, however deep
    counts["gaps"] = len(gaps)
    counts["space"] -= sum(map(len, gaps))
    for name, pattern in RUNS.items():
        counts[name] = len(pattern.findall(text))
    return counts


SETS: Final = ("english", "latin", "script", "text", "code")


def set_of(counts: Mapping[str, int]) -> str:
    """Which weights hold for a text: by the alphabet that letters beyond ASCII are of, else by what ASCII it is."""
    characters = sum(counts[name] for name in CLASSES)
    latin, script = sum(counts[name] for name in LATIN), sum(counts[name] for name in SCRIPTS)
    if (latin + script) * 250 > characters:
        return "latin" if latin > script else "script"
    if counts["common"] * 10 > counts["words"]:
        return "english"
    return "text" if (counts["lower"] + counts["upper"] + counts["space"]) * 10 > characters * 9 else "code"


def tokens_of(counts: Mapping[str, int], weights: Mapping[str, Mapping[str, float]]) -> float:
    """Tokens by the features of a text, kept to between 0.08 and 1 for each byte, as tokenizers do with any text."""
    weight = weights[set_of(counts)]
    found = sum(times * weight.get(name, 0.0) for name, times in counts.items())
    size = sum(counts[name] * width for name, width in WIDTHS.items())
    return min(max(found, 0.08 * size), 1.0 * size)


@lru_cache(maxsize=1)
def weights() -> dict[str, dict[str, Any]]:
    """The weights of every family, and the error that was measured with them; loaded on first use."""
    found: dict[str, dict[str, Any]] = orjson.loads(WEIGHTS.read_bytes())
    return found


FAMILIES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"gpt-?4o|gpt-?4\.[1-9]|gpt-?[5-9]|gpt-oss|chatgpt|codex|computer-use|(?:^|[/.])o[1-9]\b"), "o200k"),
    (re.compile(r"gpt-?4|gpt-?3|text-embedding|davinci|babbage"), "cl100k"),
)
"""Which vocabulary an OpenAI model has, the first that fits. A model that nothing fits is counted as `o200k`."""

CLAUDE: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")
CLAUDE_CHANGED: Final = (4, 7)
"""The version from which Claude counts with another vocabulary."""


@lru_cache(maxsize=512)
def family_of(model: str) -> tuple[str, bool]:
    """The tokenizer family of a model, and whether it is known to be its own."""
    model = model.lower()
    if "claude" in model:
        found = CLAUDE.search(model)
        version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
        return ("claude-4.7" if version >= CLAUDE_CHANGED else "claude"), True
    for pattern, family in FAMILIES:
        if pattern.search(model):
            return family, True
    return "o200k", False


LONGEST: Final = 16_000
SLICES: Final = 16
"""A text of more characters than `LONGEST` is judged by so many slices of it, that together are as long."""


class Estimate(NamedTuple):
    """About how many tokens, and by what."""

    tokens: int
    estimator: str


def estimate(text: str, model: str) -> Estimate:
    """Tokens of a text for a model, in a few milliseconds at most. Loads nothing from a network.

    Counts with tiktoken where it is installed, its vocabulary is on disk and has been loaded by now; else by classes of
    characters, with the error that was measured for the family.
    """
    family, known = family_of(model)
    sample, scale = _sampled(text)
    count = _vocabulary.counter(family) if known else None
    if count is not None:
        return Estimate(_at_least_one(count(sample) * scale, text), f"tiktoken/{family}")
    weight = weights()[family]
    error = f"about {weight['error']['mean']:.0f} %" if known else "its tokenizer is not public"
    return Estimate(_at_least_one(tokens_of(features(sample), weight) * scale, text), f"classes/1, {error}")


def _at_least_one(tokens: float, text: str) -> int:
    """A whole number of tokens: no text is so short that it has none."""
    return max(round(tokens), bool(text))


def _sampled(text: str) -> tuple[str, float]:
    """The text, or slices from all over it and what to multiply their count by."""
    if len(text) <= LONGEST:
        return text, 1.0
    size, step = LONGEST // SLICES, len(text) // SLICES
    return "".join(text[start : start + size] for start in range(0, step * SLICES, step)), len(text) / LONGEST
