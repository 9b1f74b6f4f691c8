"""OpenAI's Realtime API: each `response.done` is billed, audio and text apart, and what the cache served of each."""

from __future__ import annotations

from typing import Final

from spanledger.providers._reading import Api, Body, Reading, Request, State, UsageTable, dig, keep, paths, text

TOKENS: Final = UsageTable(
    wholes={"input": paths("input_tokens"), "output": paths("output_tokens")},
    parts={
        "input_audio": ("input", paths("input_token_details.audio_tokens")),
        "input_image": ("input", paths("input_token_details.image_tokens")),
        "cache_read": (
            "input",
            paths("input_token_details.cached_tokens_details.text_tokens", "input_token_details.cached_tokens"),
        ),
        "cache_read_audio": ("input_audio", paths("input_token_details.cached_tokens_details.audio_tokens")),
        "cache_read_image": ("input_image", paths("input_token_details.cached_tokens_details.image_tokens")),
        "output_audio": ("output", paths("output_token_details.audio_tokens")),
        "reasoning": ("output", paths("output_token_details.reasoning_tokens")),
    },
    total=paths("total_tokens"),
)
"""The audio and image tokens of the input include what the cache served of each."""


def fold_realtime(state: State, event: Body) -> None:
    """A server event: `session.created` names the model, `response.done` has the usage of one response."""
    if event.get("type") in ("session.created", "session.updated"):
        state["model"] = dig(event, ("session", "model")) or state.get("model")
        return
    response = event.get("response")
    body = response if isinstance(response, dict) else event
    keep(state, body, "id", "model", "status", "usage")
    if body.get("status") == "failed":
        state["_error"] = text(dig(body, ("status_details", "error", "code"))) or "failed"
    if event.get("type") in (None, "response.done"):
        state["_done"] = True


def read_realtime(state: State, request: Request) -> Reading:
    """The reading of one response of a session: the model is the session's."""
    status = text(state.get("status"))
    return Reading(
        TOKENS.read(state.get("usage")),
        response_model=text(state.get("model")) or request.model,
        response_id=text(state.get("id")),
        finish_reasons=(status,) if status else (),
        context=request.context,
    )


REALTIME: Final = Api("realtime", "chat", fold_realtime, read_realtime)
