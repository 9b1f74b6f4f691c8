"""OpenAI's wire format: Chat Completions, Completions, Responses, Embeddings. Azure and other hosts speak it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spanledger import _seen
from spanledger.providers import _batches, _openai_audio, _openai_images, _openai_videos
from spanledger.providers._folding import context_of, ignore, merge_usage, read_unbilled, see, stated_cost
from spanledger.providers._openai_tools import note_done, with_tools
from spanledger.providers._reading import Api, Body, Reading, Request, State, UsageTable, dig, keep, paths, text
from spanledger.providers._stainless import Stainless

if TYPE_CHECKING:
    from spanledger._call import Tally

TOKENS = UsageTable(
    wholes={
        "input": paths("prompt_tokens", "input_tokens"),
        "output": paths("completion_tokens", "output_tokens"),
    },
    parts={
        "cache_read": (
            "input",
            paths(
                "prompt_tokens_details.cached_tokens",
                "input_tokens_details.cached_tokens",
                "prompt_cache_hit_tokens",
                "num_cached_tokens",
                "cached_tokens",
            ),
        ),
        "cache_write": (
            "input",
            paths("prompt_tokens_details.cache_write_tokens", "input_tokens_details.cache_write_tokens"),
        ),
        "cache_write_30m": (
            "cache_write",
            paths(
                "prompt_tokens_details.cache_write_tokens_details.ttl_30m_tokens",
                "input_tokens_details.cache_write_tokens_details.ttl_30m_tokens",
            ),
        ),
        "cache_write_12h": (
            "cache_write",
            paths(
                "prompt_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
                "input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
            ),
        ),
        "input_audio": ("input", paths("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens")),
        "input_image": ("input", paths("prompt_tokens_details.image_tokens", "input_tokens_details.image_tokens")),
        "reasoning": (
            "output",
            paths("completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"),
        ),
        "output_audio": (
            "output",
            paths("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
        ),
        "output_image": (
            "output",
            paths("completion_tokens_details.image_tokens", "output_tokens_details.image_tokens"),
        ),
    },
    total=paths("total_tokens"),
)
"""Input and output are inclusive: cached, written, audio and reasoning tokens stand inside them."""


def fold_chat(state: State, event: Body) -> None:
    """A Chat Completions body or chunk. Usage may come on any chunk, more than once: the last value counts."""
    if not state.get("model"):
        keep(state, event, "id", "model")
    if (tier := event.get("service_tier")) is not None:
        state["service_tier"] = tier
    if (usage := event.get("usage")) is not None:
        merge_usage(state, usage)
    elif "x_groq" in event:
        merge_usage(state, dig(event, ("x_groq", "usage")))
    choices = event.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict):
                _fold_choice(state, choice)
    elif isinstance(error := event.get("error"), dict):
        state["_error"] = str(error.get("code") or error.get("type") or "error")


SPOKEN = ("content", "refusal", "tool_calls", "function_call")
THOUGHTS = ("reasoning_content", "reasoning")
"""Where a message has text that is billed. Some hosts give the same thoughts under both names."""


def _fold_choice(state: State, choice: Body) -> None:
    if (reason := choice.get("finish_reason")) is not None:
        state.setdefault("_finish", {})[str(choice.get("index", 0))] = reason
        state["_done"] = True
    delta = choice.get("delta")
    if delta.__class__ is dict:
        if len(delta) == 1 and "content" in delta:  # nearly every chunk of a stream
            see(state, delta["content"])
        else:
            _see_message(state, delta)
    elif "usage" not in state and isinstance(message := choice.get("message"), dict):
        _see_message(state, message)
    else:
        see(state, choice.get("text"))


def _see_message(state: State, message: Body) -> None:
    """All that a message or a part of one says."""
    for name in SPOKEN:
        if said := message.get(name):
            see(state, said)
    if thought := next(filter(None, map(message.get, THOUGHTS)), None):
        see(state, thought)


def read_chat(state: State, request: Request) -> Reading:
    """The reading of a chat, completion or embeddings response."""
    usage, finish = state.get("usage"), state.get("_finish")
    return Reading(
        TOKENS.read(usage),
        text(state.get("model")),
        text(state.get("id")),
        tuple(map(str, finish.values())) if finish else (),
        context_of(state, request),
        stated_cost(usage),
    )


ENDS = ("completed", "incomplete", "failed", "cancelled")
BACKGROUND = "the response goes on in the background: its usage comes when it is asked about"
TERMINAL = tuple(f"response.{end}" for end in ENDS)
TEXT_DELTAS = tuple(
    f"response.{what}.delta"
    for what in ("output_text", "refusal", "function_call_arguments", "custom_tool_call_input", "reasoning_text")
)


def fold_responses(state: State, event: Body) -> None:
    """A Responses body, or an event that carries one; every terminal event has the usage, an incomplete one too."""
    kind = event.get("type")
    response = event.get("response")
    if isinstance(response, dict):
        _fold_body(state, response, done=kind in TERMINAL)
    elif kind is None and isinstance(data := event.get("data"), dict):  # as older SDKs hand out an error
        fold_responses(state, data)
    elif kind is None or "usage" in event:
        _fold_body(state, event, done=kind is None)
    elif kind in TEXT_DELTAS:
        see(state, event.get("delta"))
    elif kind == "response.output_item.done":
        note_done(state, event.get("item"))
    elif kind == "error":
        state["_error"] = text(event.get("code")) or "error"


def _fold_body(state: State, body: Body, *, done: bool) -> None:
    keep(state, body, "id", "model", "service_tier", "status", "tool_usage", "output", "tools", "background")
    merge_usage(state, body.get("usage"))
    if done:
        state["_done"] = True
        if "usage" not in state and "_text" not in state:
            see(state, body.get("output"))
    if body.get("status") == "failed":
        state["_error"] = text(dig(body, ("error", "code"))) or "failed"


def read_responses(state: State, request: Request) -> Reading:
    """The reading of a Responses body. One that goes on in the background is completed when it is asked about."""
    status = text(state.get("status"))
    goes_on = status is not None and status not in ENDS
    response_id = text(state.get("id"))
    return Reading(
        with_tools(TOKENS.read(state.get("usage")), state),
        response_model=text(state.get("model")),
        response_id=response_id,
        finish_reasons=(status,) if status else (),
        context=context_of(state, request),
        provider_cost=stated_cost(state.get("usage")),
        note=BACKGROUND if goes_on and state.get("background") else None,
        awaits=response_id if goes_on else None,
    )


def read_decisions(state: State, request: Request) -> Reading:
    """The reading of a decision: what the model writes to reach it is not billed."""
    reading = read_responses(state, request)
    return reading._replace(context={**reading.context, "endpoint": "decisions"})


def completed(tally: Tally) -> Iterable[Reading]:
    """The reading of a stored response, once it is over, in the place of that of its begin; of any other, none."""
    state = tally.state
    origin = _seen.unfinished.pop(str(state.get("id"))) if state.get("status") in ENDS else None
    return (read_responses(state, tally.call.request)._replace(origin=origin),) if origin else ()


CHAT = Api("chat.completions", "chat", fold_chat, read_chat)
COMPLETIONS = Api("completions", "text_completion", fold_chat, read_chat)
EMBEDDINGS = Api("embeddings", "embeddings", fold_chat, read_chat)
RESPONSES = Api("responses", "chat", fold_responses, read_responses)
COMPACT = Api("responses.compact", "chat", fold_responses, read_responses)
DECISIONS = Api("decisions", "chat", fold_responses, read_decisions)
RETRIEVE = Api("responses.retrieve", "chat", fold_responses, read_responses, lookup=True, each=completed)
INPUT_TOKENS = Api("responses.input_tokens", "count_tokens", ignore, read_unbilled, billed=False)
MODERATIONS = Api("moderations", "moderation", ignore, read_unbilled, billed=False)

ANSWERS: Mapping[str, Api] = {
    "chat.completion": CHAT,
    "list": EMBEDDINGS,
    "response": RESPONSES,
    "text_completion": COMPLETIONS,
}
"""Whose answer a body is, by what it calls itself. That of an image calls itself nothing; a moderation is free."""


def result_of(line: Body) -> _batches.Result | None:
    """The answer in a line of a batch's output file; one that failed is not billed."""
    custom_id, body = text(line.get("custom_id")), dig(line, ("response", "body"))
    answered = dig(line, ("response", "status_code")) in (200, None)
    return _batches.Result(custom_id, body) if custom_id and answered and isinstance(body, dict) else None


def api_of(body: Body) -> Api | None:
    """The endpoint that gave an answer, `None` where it bills nothing."""
    return ANSWERS.get(str(body.get("object"))) or (_openai_images.GENERATE if "data" in body else None)


BATCH_RESULTS = _batches.results("files.content", result_of, api_of)

ROUTES: Mapping[str, Api] = {
    "/batches": _batches.CREATE,
    "/batches/{}/cancel": _batches.RETRIEVE,
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/decisions": DECISIONS,
    "/embeddings": EMBEDDINGS,
    "/moderations": MODERATIONS,
    "/responses": RESPONSES,
    "/responses/compact": COMPACT,
    "/responses/input_tokens": INPUT_TOKENS,
    "/responses/{}/cancel": RETRIEVE,
    **_openai_audio.ROUTES,
    **_openai_images.ROUTES,
    **_openai_videos.ROUTES,
}
"""POST endpoints that bill, or certainly do not."""

LOOKUPS: Mapping[str, Api] = {
    "/batches": _batches.RETRIEVE,
    "/batches/{}": _batches.RETRIEVE,
    "/files/{}/content": BATCH_RESULTS,
    "/responses/{}": RETRIEVE,
    **_openai_videos.LOOKUPS,
}
"""GET endpoints that may complete what a POST began. By itself a GET bills nothing, whatever usage it shows."""

HOSTS: Mapping[str, str] = {
    "openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "amazonaws.com": "aws.bedrock",
    "api.aws": "aws.bedrock",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "openrouter.ai": "openrouter",
    "deepseek.com": "deepseek",
    "mistral.ai": "mistral_ai",
    "x.ai": "x_ai",
    "groq.com": "groq",
    "cerebras.ai": "cerebras",
    "together.xyz": "together_ai",
    "together.ai": "together_ai",
    "fireworks.ai": "fireworks_ai",
    "perplexity.ai": "perplexity",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "z.ai": "z_ai",
    "bigmodel.cn": "z_ai",
    "dashscope.aliyuncs.com": "alibaba_cloud",
    "dashscope-intl.aliyuncs.com": "alibaba_cloud",
    "dashscope-us.aliyuncs.com": "alibaba_cloud",
    "ai-gateway.vercel.sh": "vercel",
    "huggingface.co": "huggingface",
    "venice.ai": "venice",
    "databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "snowflakecomputing.com": "snowflake",
    "watsonx.ai": "ibm.watsonx.ai",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "nebius.com": "nebius",
    "deepinfra.com": "deepinfra",
    "novita.ai": "novita",
    "sambanova.ai": "sambanova",
    "hyperbolic.xyz": "hyperbolic",
    "minimax.io": "minimax",
    "ovh.net": "ovhcloud",
}
"""Whose price applies at a host. One that is not here is `openai_compatible`: no price is guessed."""

provider = Stainless(
    "openai", "openai_compatible", ROUTES, platforms={"AzureOpenAI": "azure.ai.openai"}, hosts=HOSTS, lookups=LOOKUPS
)
