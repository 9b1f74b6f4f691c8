"""Google's wire format: generateContent, embeddings, predict, cached content, Live and interactions.

The Gemini API and Vertex AI speak it alike. The wire is camelCase; interactions are snake_case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanledger import _seen
from spanledger._types import Usage
from spanledger.providers._folding import see
from spanledger.providers._reading import (
    Api,
    Body,
    Reading,
    Request,
    State,
    UsageTable,
    as_count,
    dig,
    keep,
    paths,
    text,
)

if TYPE_CHECKING:
    from spanledger._call import Tally

TOKENS = UsageTable(
    wholes={
        "input": paths("promptTokenCount", "total_input_tokens"),
        "output": paths("candidatesTokenCount", "responseTokenCount", "total_output_tokens"),
    },
    parts={
        "cache_read": ("input", paths("_cached.rest")),
        "cache_read_audio": ("input", paths("_cached.audio")),
        "cache_read_image": ("input", paths("_cached.image")),
        "input_audio": ("input", paths("_prompt.audio")),
        "input_image": ("input", paths("_prompt.image")),
        "input_video": ("input", paths("_prompt.video")),
        "output_audio": ("output", paths("_output.audio")),
        "output_image": ("output", paths("_output.image")),
    },
    extras={
        "tool_use_input": paths("toolUsePromptTokenCount", "total_tool_use_tokens"),
        "reasoning": paths("thoughtsTokenCount", "total_thought_tokens"),
        "grounding_query": paths("_queries"),
        "grounding_prompt": paths("_prompts"),
    },
)
"""The prompt includes what the cache served; thoughts and the prompt tokens of tools stand outside."""

TOTAL: Final = paths("totalTokenCount", "total_tokens")
CACHED: Final = paths("cachedContentTokenCount", "total_cached_tokens")

DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("promptTokensDetails", "promptTokenDetails", "input_tokens_by_modality"),
    "cached": ("cacheTokensDetails", "cached_tokens_by_modality"),
    "output": ("candidatesTokensDetails", "responseTokensDetails", "output_tokens_by_modality"),
}
"""Where a side is split by modality, under each of its names."""

MODALITIES: Final[Mapping[str, str]] = {"AUDIO": "audio", "IMAGE": "image", "DOCUMENT": "image", "VIDEO": "video"}
"""A document's pages are read, and counted when the cache serves them, as images."""

GROUNDED_BY_PROMPT: Final = ("gemini-1", "gemini-2")
"""Models whose grounded prompts are billed each; later ones are billed for each search that they make."""

NOT_MODELS: Final = ("tunedModels", "endpoints")
TIER_HEADER: Final = "x-gemini-service-tier"
BLOCKED: Final = ("promptFeedback", "blockReason")


def fold_generate(state: State, event: Body) -> None:
    """A generateContent body or a chunk of its stream: each has the usage so far, so that the last one counts."""
    keep(state, event, "modelVersion", "responseId")
    _take_usage(state, event.get("usageMetadata"))
    candidates = event.get("candidates")
    if isinstance(candidates, list):
        for candidate in candidates:
            if isinstance(candidate, dict):
                _fold_candidate(state, candidate)
    if isinstance(error := event.get("error"), dict):  # an old SDK takes it for a chunk
        state["_error"] = text(error.get("status")) or "error"
    if "promptFeedback" in event and (reason := text(dig(event, BLOCKED))):
        _finish(state, 0, reason)


def _take_usage(state: State, usage: Any) -> None:
    """A later usage replaces an earlier one, whose counts may be higher; one without counts only adds to it.

    It is copied: google-genai 1.0 takes out of the body what it does not know.
    """
    if isinstance(usage, dict):
        counted = "promptTokenCount" in usage or "totalTokenCount" in usage
        state["usage"] = {**({} if counted else state.get("usage", {})), **usage}


def _finish(state: State, index: Any, reason: Any) -> None:
    state.setdefault("_finish", {})[str(index)] = str(reason)
    state["_done"] = True


def _fold_candidate(state: State, candidate: Body) -> None:
    if (reason := candidate.get("finishReason")) is not None:
        _finish(state, candidate.get("index", 0), reason)
    queries = dig(candidate, ("groundingMetadata", "webSearchQueries"))
    if isinstance(queries, list) and queries:
        state["_searches"] = len(queries)
    parts = dig(candidate, ("content", "parts"))
    if isinstance(parts, list):
        for part in parts:
            if isinstance(part, dict) and part.get("text").__class__ is str:
                see(state, part["text"])


def read_generate(state: State, request: Request) -> Reading:
    """The reading of a generateContent body, or of one turn of a Live session."""
    model = text(state.get("modelVersion"))
    return Reading(
        _tokens(_grounded(state, model or request.model or "")),
        response_model=model,
        response_id=text(state.get("responseId")),
        finish_reasons=tuple(state.get("_finish", {}).values()),
        context=_context(state, request),
    )


def _grounded(state: State, model: str) -> Any:
    usage, searches = state.get("usage"), state.get("_searches")
    if not searches or not isinstance(usage, dict):
        return usage
    if model.rpartition("/")[2].startswith(GROUNDED_BY_PROMPT):
        return {**usage, "_prompts": 1}
    return {**usage, "_queries": searches}


def _tokens(usage: Any) -> Usage | None:
    """The disjoint units: what is split by modality, less what the cache served of each, leaves text in the whole."""
    if not isinstance(usage, dict):
        return None
    split = _split(usage)
    if min(split["_prompt"].values(), default=0) < 0 or split["_cached"].get("rest", 0) < 0:
        found = TOKENS.read({**usage, "_cached": {"rest": _first(usage, CACHED)}})
        return found and found._replace(flaw="the modalities do not fit into their totals")
    found = TOKENS.read({**usage, **split})
    return found and _checked(found, usage)


def _split(usage: Body) -> dict[str, dict[str, int]]:
    prompt, cached, output = (_by_modality(usage, DETAILS[side]) for side in ("prompt", "cached", "output"))
    prompt = {kind: count - cached.get(kind, 0) for kind, count in prompt.items()}
    held = _first(usage, CACHED)
    if held is not None:
        cached["rest"] = held - cached.get("audio", 0) - cached.get("image", 0)
    return {"_prompt": prompt, "_cached": cached, "_output": output}


def _by_modality(usage: Body, names: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind, count in _entries(next((usage[name] for name in names if name in usage), None), "modality"):
        modality = MODALITIES.get(kind.upper())
        if modality:
            found[modality] = found.get(modality, 0) + count
    return found


def _entries(details: Any, label: str) -> Iterator[tuple[str, int]]:
    """The pairs of a list such as `[{"modality": "AUDIO", "tokenCount": 7}]`."""
    for one in details if isinstance(details, list) else ():
        if isinstance(one, dict):
            count = as_count(next((one[name] for name in ("tokenCount", "tokens", "count") if name in one), None))
            if count:
                yield str(one.get(label)), count


def _first(usage: Body, places: tuple[tuple[str, ...], ...]) -> int | None:
    return next((count for place in places if (count := as_count(dig(usage, place))) is not None), None)


def _checked(found: Usage, usage: Body) -> Usage:
    """Compares with the provider's own total, which counts tokens but no searches."""
    total = _first(usage, TOTAL)
    tokens = (found.input_tokens or 0) + (found.output_tokens or 0)
    if not found.usable or found.flaw or total is None or total == tokens:
        return found
    return found._replace(flaw=f"the provider's total {total} is not the sum of its parts {tokens}")


def _context(state: State, request: Request) -> Mapping[str, str]:
    """The tier that served it: as the body says, else its header, else what the request asked for."""
    usage = state.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    said = (usage.get("serviceTier"), state.get("service_tier"), request.headers.get(TIER_HEADER))
    asked = (request.body.get("serviceTier"), request.body.get("service_tier"))
    tier = next(filter(None, (*said, *asked)), None)
    found = {"service_tier": text(tier), "traffic_type": text(usage.get("trafficType"))}
    return {**request.context, **{name: value.lower() for name, value in found.items() if value}}


WHOLES = UsageTable(extras={"input": paths("promptTokenCount", "totalTokenCount", "tokens"), "images": paths("images")})


def fold_whole(state: State, event: Body) -> None:
    """An embedContent body, of which older models report no usage, or a predict body of Vertex AI or Imagen.

    That has the tokens of each embedded text, or images; what a filter kept is free.
    """
    _take_usage(state, event.get("usageMetadata"))
    predictions = event.get("predictions")
    if not isinstance(predictions, list):
        return
    made = [one for one in predictions if isinstance(one, dict)]
    counts = [as_count(dig(one, ("embeddings", "statistics", "token_count"))) for one in made]
    images = sum(1 for one in made if "bytesBase64Encoded" in one or "gcsUri" in one)
    tokens = sum(count for count in counts if count is not None)
    state["usage"] = {"tokens": tokens} if any(count is not None for count in counts) else {"images": images or None}


def read_whole(state: State, request: Request) -> Reading:
    """The reading of an embedContent or predict body."""
    return Reading(WHOLES.read(state.get("usage")), context=_context(state, request))


TO_BE_MADE: Final = "counted from the request: the video is still to be made"


def fold_operation(state: State, event: Body) -> None:
    """A long-running operation: it has a name and no usage."""
    keep(state, event, "name", "done")
    state["_failed"] = isinstance(event.get("error"), dict)


def read_video(state: State, request: Request) -> Reading:
    """The reading of a video that is still to be made: the seconds that were asked for, if the request says."""
    asked = request.body.get("parameters")
    asked = asked if isinstance(asked, Mapping) else {}
    seconds, count = as_count(asked.get("durationSeconds")), as_count(asked.get("sampleCount", 1))
    name = text(state.get("name"))
    return Reading(
        Usage({"video_seconds": seconds * count}) if seconds and count else None,
        response_id=name,
        context=_context(state, request),
        usage_source="estimated",
        note=TO_BE_MADE,
        awaits=name,
    )


def made(tally: Tally) -> Iterable[Reading]:
    """The reading of a video whose operation is over, in the place of that of its begin; one that failed is free."""
    origin = _seen.unfinished.pop(str(tally.state.get("name"))) if tally.state.get("done") else None
    if origin is None:
        return ()
    begun: Reading = origin.reading
    usage = Usage({"video_seconds": 0}) if tally.state.get("_failed") else begun.usage
    return (begun._replace(usage=usage, usage_source="reported", note=None, awaits=None, origin=origin),)


CACHE = UsageTable(extras={"cache_write": paths("totalTokenCount")})


def fold_cached_content(state: State, event: Body) -> None:
    """A CachedContent as it is made. Its storage is billed by the hour, which no response tells."""
    keep(state, event, "name", "model")
    _take_usage(state, event.get("usageMetadata"))


def read_cached_content(state: State, request: Request) -> Reading:
    """The reading of a CachedContent."""
    return Reading(
        CACHE.read(state.get("usage")),
        response_model=text(state.get("model")),
        response_id=text(state.get("name")),
        context=_context(state, request),
    )


OF_INTERACTIONS: Final = ("id", "model", "agent", "status", "usage", "service_tier", "continuation_token")
GOES_ON: Final = "in_progress"
ENDED: Final = ("completed", "incomplete", "failed", "cancelled", "requires_action", "requires_continuation")


def fold_interaction(state: State, event: Body) -> None:
    """An interaction, or an event of its stream that carries one; the last has the usage."""
    inner = event.get("interaction")
    if isinstance(inner, dict):
        keep(state, inner, *OF_INTERACTIONS)
    elif "event_type" not in event:
        keep(state, event, *OF_INTERACTIONS)
    delta = event.get("delta")
    if isinstance(delta, dict) and delta.get("text").__class__ is str:
        see(state, delta["text"])
    if state.get("status") in ENDED:
        state["_done"] = True


def read_interaction(state: State, request: Request) -> Reading:
    """The reading of an interaction: an agent's has the agent in place of the model.

    One that goes on in the background is completed when it is asked about.
    """
    status = text(state.get("status"))
    goes_on = status == GOES_ON
    return Reading(
        _tokens(_searched(state.get("usage"))),
        response_model=text(state.get("model")) or text(state.get("agent")),
        response_id=text(state.get("id")),
        finish_reasons=(status,) if status else (),
        context=_context({"service_tier": state.get("service_tier")}, request),
        note="the interaction goes on: its usage comes when it is asked about" if goes_on else None,
        awaits=text(state.get("id")) if goes_on else None,
    )


continued: Final[_seen.Recent[str]] = _seen.Recent(1_000)
"""By the token with which an interaction goes on in a further request, the `call_id` of its begin."""


def answered(tally: Tally) -> Iterable[Reading]:
    """The reading of one request of an interaction, which may go on in the next."""
    if token := text(tally.state.get("continuation_token")):
        continued.put(token, tally.call.row["call_id"])
    return (read_interaction(tally.state, tally.call.request),)


def finished(tally: Tally) -> Iterable[Reading]:
    """The reading of a stored interaction, once it is over, in the place of that of its begin; of any other, none."""
    state = tally.state
    origin = _seen.unfinished.pop(str(state.get("id"))) if state.get("status") in ENDED else None
    return (read_interaction(state, tally.call.request)._replace(origin=origin),) if origin else ()


def _searched(usage: Any) -> Any:
    if not isinstance(usage, dict):
        return usage
    searches = sum(n for kind, n in _entries(usage.get("grounding_tool_count"), "type") if kind == "google_search")
    return {**usage, "_queries": searches} if searches else usage


def fold_live(state: State, event: Body) -> None:
    """A server message of a Live session. A turn ends when it is complete, or waits for a tool."""
    _take_usage(state, event.get("usageMetadata"))
    content = event.get("serverContent")
    if isinstance(content, dict):
        if content.get("turnComplete"):
            _finish(state, 0, content.get("turnCompleteReason") or "turn_complete")
        elif content.get("interrupted"):
            state.setdefault("_finish", {})["0"] = "interrupted"
    elif "toolCall" in event:
        _finish(state, 0, "tool_call")


GENERATE = Api("generateContent", "generate_content", fold_generate, read_generate)
EMBED = Api("embedContent", "embeddings", fold_whole, read_whole)
PREDICT = Api("predict", "generate_content", fold_whole, read_whole)
VIDEO = Api("predictLongRunning", "generate_content", fold_operation, read_video)
CACHED_CONTENT = Api("cachedContents.create", "create_cached_content", fold_cached_content, read_cached_content)
INTERACTION = Api("interactions", "generate_content", fold_interaction, read_interaction, each=answered)
OPERATION = Api("operations.get", "generate_content", fold_operation, read_video, lookup=True, each=made)
GET_INTERACTION = Api(
    "interactions.get", "generate_content", fold_interaction, read_interaction, lookup=True, each=finished
)
LIVE = Api("live", "generate_content", fold_live, read_generate)

VERBS: Final[Mapping[str, Api]] = {
    "generateContent": GENERATE,
    "streamGenerateContent": GENERATE,
    "embedContent": EMBED,
    "batchEmbedContents": EMBED,
    "predict": PREDICT,
    "predictLongRunning": VIDEO,
    "cachedContents": CACHED_CONTENT,
    "fetchPredictOperation": OPERATION,
}
"""What ends the path of a POST that bills: the verb after its colon, else its last segment. `countTokens` is free."""

INTERACTIONS: Final[Mapping[str, Api]] = {"/interactions": INTERACTION}


def api_of(method: str, path: str, body: Body) -> Api | None:
    """The endpoint of a request, `None` where it bills nothing. Vertex AI embeds texts by `predict` too."""
    if method == "get":
        return OPERATION if "/operations/" in path else None
    api = VERBS.get(verb_of(path))
    if api is not PREDICT:
        return api
    instances = body.get("instances")
    return EMBED if isinstance(instances, list) and all("content" in one for one in instances) else PREDICT


def verb_of(path: str) -> str:
    """The verb of a path such as `models/gemini-2.5-flash:generateContent?alt=sse`."""
    return path.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition(":")[2]


def model_of(path: str) -> str | None:
    """The model in a path, as an application names it: `gemini-2.5-flash`, `tunedModels/x`, `endpoints/1`."""
    parts = path.partition("?")[0].rpartition(":")[0].split("/")
    if len(parts) > 1 and parts[-2] in NOT_MODELS:
        return "/".join(parts[-2:])
    return parts[-1] or None
