"""Batches of the Gemini API: their results come in the batch itself, once it is asked about, or in a file of lines.

Both keep the order of the requests, so that a result is known by its place. Those of Vertex AI lie in a bucket or a
table, which no call of the SDK reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanledger import _faults
from spanledger.providers import _batches, _body
from spanledger.providers._folding import read_unbilled
from spanledger.providers._reading import Api, Body, Reading, Request, State, dig, text
from spanledger.providers.google_genai import EMBED, GENERATE, fold_whole, verb_of

if TYPE_CHECKING:
    from spanledger._call import Call, Tally

INLINE: Final = ("inlinedResponses", "inlinedEmbedContentResponses")
OUTPUTS: Final = (("response",), ("metadata", "output"))
"""Where the operation that a batch is has its results."""


def fold_jobs(state: State, event: Body) -> None:
    """A batch, or a page of them."""
    page = event.get("operations")
    for job in page if isinstance(page, list) else [event]:
        name = text(job.get("name")) if isinstance(job, dict) else None
        if name is not None:
            _fold_job(state, job, name)


def _fold_job(state: State, job: Body, name: str) -> None:
    output = next((found for place in OUTPUTS if isinstance(found := dig(job, place), dict)), {})
    made = dig(job, ("metadata",))
    made = made if isinstance(made, dict) else {}
    about = {"id": name, "output_file_id": _bare(output.get("responsesFile"))}
    about |= {"model": _bare(made.get("model")), "created_at": made.get("createTime")}
    state.setdefault("_batches", []).append(about)
    for kind in INLINE:
        answers = dig(output, (kind, "inlinedResponses"))
        for place, answer in enumerate(answers if isinstance(answers, list) else ()):
            _take(state, answer, place, name)


def _bare(name: Any) -> str | None:
    """`abc` of `files/abc` or `models/abc`."""
    return name.rpartition("/")[2] if isinstance(name, str) else None


def _take(state: State, answer: Any, place: int, container: str) -> None:
    """One result, if the model made it: what failed is free."""
    body = answer.get("response") if isinstance(answer, dict) else None
    if isinstance(body, dict):
        _batches.take(state, _batches.Result(str(place), body), EMBEDDED if _embeds(body) else GENERATE, container)


def _embeds(body: Body) -> bool:
    return "embedding" in body or "embeddings" in body


def fold_embedded(state: State, event: Body) -> None:
    """The answer to one request of a batch of embeddings: it has a count of its own."""
    fold_whole(state, event)
    if "tokenCount" in event:
        state["usage"] = {"tokens": event["tokenCount"]}


RESULT: Final = frozenset({"key", "response"})
"""What a line of results has. One that failed has an error or a status in place of the response."""


def fold_line(state: State, line: Body) -> None:
    """One line of a file: of results, or of anything else."""
    place = state["_lines"] = state.get("_lines", -1) + 1
    if RESULT.isdisjoint(line):
        state["_other"] = True
    else:
        _take(state, line, place, "")


def learn_and_book(tally: Tally) -> Iterable[Reading]:
    """Remembers what is seen of a batch, and books the results that it holds."""
    _batches.learn(tally)
    return _batches.book(tally)


EMBEDDED: Final = Api("embedContent", "embeddings", fold_embedded, EMBED.read)
CREATE: Final = Api(_batches.CREATE.name, "batch", fold_jobs, read_unbilled, lookup=True, each=_batches.learn)
RETRIEVE: Final = Api(_batches.RETRIEVE.name, "batch", fold_jobs, read_unbilled, lookup=True, each=learn_and_book)
DOWNLOAD: Final = Api("files.download", "batch", fold_line, read_unbilled, lookup=True, lines=True, each=_batches.book)

ORDERS: Final[Mapping[str, Api]] = {"batchGenerateContent": CREATE, "asyncBatchEmbedContent": CREATE}
"""What ends the path of a POST that orders a batch."""


def api_of(method: str, path: str) -> Api | None:
    """The endpoint of a request that has to do with batches; `None` for any other."""
    if method == "get":
        return RETRIEVE if path.partition("?")[0].partition("/")[0] == "batches" else None
    return ORDERS.get(verb_of(path))


def request_of(path: str, destination: Any) -> Request:
    """What is kept of the download of `files/abc:download?alt=media`: the file, and where it is written to."""
    file = path.partition("?")[0].partition(":")[0]
    return Request(path=f"{file}/content", body={} if destination is None else {"destination": destination})


class Copy:
    """Stands in for the file that a download is written to, and reads the lines that pass; all else is the file's."""

    def __init__(self, file: Any, tally: Tally) -> None:
        self._file = file
        self._reader = _body.LineReader(tally, b"")
        self._feed = _faults.guarded("read a download")(self._reader.feed)
        tally.sealed = True
        tally.unread = self._reader.rest

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("_file"), name)

    def write(self, data: bytes) -> Any:
        """Writes, and reads along."""
        written = self._file.write(data)
        self._feed(data)
        return written


def take_download(call: Call, content: Any) -> None:
    """Looks for results in what was downloaded: in bytes, or in the file that they were written to."""
    destination = call.request.body.get("destination")
    if isinstance(content, bytes):
        call.tally().unread = lambda: _body.bodies_of(content, "", DOWNLOAD)
    elif isinstance(destination, (str, os.PathLike)):
        call.tally().unread = lambda: _lines_of(Path(destination))


def _lines_of(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        if file.peek(1)[:1] == b"{":
            yield from _body.objects(file, b"")
