"""OpenAI's videos: jobs that are billed by the second once they are done, and not at all if they fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from spanledger import _seen
from spanledger._types import Usage
from spanledger.providers._folding import seconds
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
    return reading._replace(usage_source="estimated", note="the video is not made yet", awaits=reading.response_id)


def completed(tally: Tally) -> Iterable[Reading]:
    """The reading of a job that is asked about, once it is over, in the place of that of its begin."""
    origin = None if tally.state.get("status") in UNFINISHED else _seen.unfinished.pop(str(tally.state.get("id")))
    if origin is None:
        return ()
    reading = read_video(tally.state, tally.call.request)
    return (reading._replace(usage=origin.usage or reading.usage, origin=origin),)


def _creates(name: str) -> Api:
    return Api(name, "generate_content", fold_video, read_video)


RETRIEVE: Final = Api("videos.retrieve", "generate_content", fold_video, read_video, lookup=True, each=completed)

ROUTES: Final[Mapping[str, Api]] = {
    "/videos": _creates("videos.create"),
    "/videos/edits": _creates("videos.edit"),
    "/videos/extensions": _creates("videos.extend"),
    "/videos/{}/remix": _creates("videos.remix"),
}
LOOKUPS: Final[Mapping[str, Api]] = {"/videos/{}": RETRIEVE}
