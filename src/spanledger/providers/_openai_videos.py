"""OpenAI's videos: jobs that are billed by the second once they are done, and not at all if they fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from spanledger import _seen
from spanledger._types import Usage
from spanledger.providers._folding import ignore, seconds
from spanledger.providers._reading import Api, Body, Reading, Request, State, keep, text

if TYPE_CHECKING:
    from spanledger._call import Tally

UNFINISHED: Final = ("queued", "in_progress")


def fold_video(state: State, event: Body) -> None:
    """The body of a job."""
    keep(state, event, "id", "model", "status", "seconds", "size")


def read_video(state: State, request: Request) -> Reading:
    """The reading of a job that begins: its length is that asked for, since an extension states the whole film's."""
    length = seconds(request.body.get("seconds")) or seconds(state.get("seconds"))
    size, status = text(state.get("size")), state.get("status")
    reading = Reading(
        Usage({"video_seconds": length}) if length else None,
        response_model=text(state.get("model")),
        response_id=text(state.get("id")),
        context={**request.context, "size": size} if size else request.context,
    )
    if status == "failed":
        return reading._replace(billed=False, note="the video failed")
    if status not in UNFINISHED:
        return reading
    unmade = reading.usage and reading.usage._replace(flaw="the video is not made yet", usable=False)
    return reading._replace(usage=unmade, usage_source="request", awaits=reading.response_id)


def completed(tally: Tally) -> Iterable[Reading]:
    """The reading of a job that is asked about, once it is over, in the place of that of its begin."""
    if tally.state.get("status") in UNFINISHED:
        return ()
    return _in_place(str(tally.state.get("id")), read_video(tally.state, tally.call.request))


def downloaded(tally: Tally) -> Iterable[Reading]:
    """The reading of a job whose video is downloaded: it has been made."""
    path: str = tally.call.request.path.partition("?")[0].rstrip("/")
    return _in_place(["", *path.split("/")][-2], None)


def _in_place(number: str, reading: Reading | None) -> Iterable[Reading]:
    """The reading now, with the length that was asked for; where there is none, that of the begin."""
    origin = _seen.unfinished.pop(number)
    if origin is None:
        return ()
    begun: Reading = origin.reading
    now = reading or begun
    usage = begun.usage._replace(flaw=None, usable=True) if begun.usage else now.usage
    return (now._replace(usage=usage, usage_source="reported", awaits=None, origin=origin),)


def _creates(name: str) -> Api:
    return Api(name, "generate_content", fold_video, read_video)


RETRIEVE: Final = Api("videos.retrieve", "generate_content", fold_video, read_video, lookup=True, each=completed)
DOWNLOAD: Final = Api("videos.content", "generate_content", ignore, read_video, lookup=True, each=downloaded)

ROUTES: Final[Mapping[str, Api]] = {
    "/videos": _creates("videos.create"),
    "/videos/edits": _creates("videos.edit"),
    "/videos/extensions": _creates("videos.extend"),
    "/videos/{}/remix": _creates("videos.remix"),
}
LOOKUPS: Final[Mapping[str, Api]] = {"/videos/{}": RETRIEVE, "/videos/{}/content": DOWNLOAD}
