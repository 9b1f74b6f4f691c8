"""OpenAI's vocabularies, where tiktoken is installed and has them on disk: loaded once, in a thread of its own.

tiktoken fetches what it does not find, with no timeout, and deletes what does not have the expected hash. So the file
is looked at first, and without it tiktoken is not even imported.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from spanledger import _faults

Counter = Callable[[str], int]


class Vocabulary(NamedTuple):
    """One encoding of tiktoken: its name, where it comes from, and the SHA-256 of the file."""

    encoding: str
    url: str
    sha256: str


SOURCE: Final = "https://openaipublic.blob.core.windows.net/encodings"
VOCABULARIES: Final = {
    "o200k": Vocabulary(
        "o200k_base",
        f"{SOURCE}/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k": Vocabulary(
        "cl100k_base",
        f"{SOURCE}/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}

ready: Final[dict[str, Counter]] = {}
_begun: Final[dict[str, object]] = {}
"""What stands for the caller that came first, in the place of a lock, which a fork could leave locked in the child."""


def counter(family: str) -> Counter | None:
    """Counts the tokens of a text, `None` while there is no vocabulary; the first call for a family starts loading."""
    found = ready.get(family)
    if found is None and family in VOCABULARIES and family not in _begun:
        _begin(family)
    return found


def _begin(family: str) -> None:
    caller = object()
    if _begun.setdefault(family, caller) is not caller:
        return
    if importlib.util.find_spec("tiktoken") is not None:
        threading.Thread(target=_load, args=(family,), name="spanledger-vocabulary", daemon=True).start()


@_faults.guarded("load a vocabulary")
def _load(family: str) -> None:
    vocabulary = VOCABULARIES[family]
    path = path_of(vocabulary)
    if path is None or hashlib.sha256(path.read_bytes()).hexdigest() != vocabulary.sha256:
        return
    tiktoken = importlib.import_module("tiktoken")
    encoding = tiktoken.get_encoding(vocabulary.encoding)
    ready[family] = lambda text: len(encoding.encode_ordinary(text))


def path_of(vocabulary: Vocabulary) -> Path | None:
    """The file in which tiktoken keeps a vocabulary, `None` where there is none."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    name = hashlib.sha1(vocabulary.url.encode(), usedforsecurity=False).hexdigest()
    with suppress(FileNotFoundError):  # a container may have no directory for temporary files
        path = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / name
        return path if path.is_file() else None
    return None
