"""What a caller knows of a response that no SDK hook saw: its body or events, its headers, and the facts around it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from spanledger._types import Usage
from spanledger.errors import ConfigurationError
from spanledger.providers._reading import Api, Body, Request, State, dig, text

SHAPES: Final = (
    ("usageMetadata", "generateContent"),
    ("embeddings", "embedContent"),
    ("choices", "chat.completions"),
    ("inputTextTokenCount", "invoke_model"),
    ("prompt_token_count", "invoke_model"),
    ("content", "messages"),
    ("object", "responses"),
)
"""A field that tells which API a body is of, where the caller does not say."""

USAGE_SHAPES: Final = (
    ("inputTokens", "converse"),
    ("prompt_tokens", "chat.completions"),
    ("cache_read_input_tokens", "messages"),
    ("cache_creation_input_tokens", "messages"),
    ("total_tokens", "responses"),
)
"""The same for the usage object of a body."""

BY_PLATFORM: Final[Mapping[str, str]] = {
    "openai": "responses",
    "anthropic": "messages",
    "aws": "converse",
    "google": "generateContent",
    "vertex": "generateContent",
}
SPELLINGS: Final[Mapping[str, str]] = {
    "chat": "chat.completions",
    "batchEmbedContents": "embedContent",
    "audio.transcription": "audio.transcriptions",
    "videos": "videos.create",
    "images.edits": "images.edit",
    "images.generations": "images.generate",
    "streamGenerateContent": "generateContent",
    "storage": "storage-meter",
    "hosting": "hosting-meter",
    "ptu": "ptu-meter",
    "provisioned": "provisioned-meter",
    "provisioned-throughput": "provisioned-meter",
    "sessions": "session-meter",
    "code_execution": "executions",
}
BATCHES: Final = (".batches", ".batch")
NO_ENDPOINT: Final = ("batch", "batches", "batches.results", "batchGenerateContent")
"""Names of batches that do not say of what."""

FACTS: Final = (
    *("deployment_type", "region", "traffic_type", "inference_geo", "speed", "size", "quality", "service_tier"),
    *("account", "commitment", "endpoint"),
)
TRUE: Final = (True, "true")
PLANS: Final = ("tier", "plan", "billing", "billing_tier")
MAPS: Final = ("deployment_map", "inference_profile_map", "model_map")
"""Keys of a context that map what hides a model to the model."""

NO_ANSWER: Final = 400
COUNTED: Final = ("tokens", "token_count")
UNREPORTED: Final = frozenset({"audio.speech", "embedContent"})
"""Endpoints that bill by what was sent and need not report it."""


class Given(NamedTuple):
    """A response, what the caller says of it, and when its call began."""

    response: Body
    said: Mapping[str, Any]
    started: datetime

    @property
    def at_ns(self) -> int:
        """The start in nanoseconds since 1970."""
        return int(self.started.timestamp()) * 10**9 + self.started.microsecond * 1000

    @property
    def times(self) -> int:
        """How many equal responses this one stands for."""
        repeat = self.response.get("repeat")
        return repeat if isinstance(repeat, int) and repeat > 0 else 1

    @property
    def asked(self) -> Body:
        """What is known of the request: its body, where it was given beside the response."""
        asked = self.response.get("request")
        return asked if isinstance(asked, Mapping) else {}

    @property
    def model(self) -> str | None:
        """The model that was asked for, as the context or the request says."""
        return (
            text(self.said.get("requested_model")) or text(self.said.get("model_id")) or text(self.asked.get("model"))
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response, in lower case."""
        given = [one for one in (self.response.get("headers"), self.said.get("headers")) if isinstance(one, Mapping)]
        return {name.lower(): str(value) for headers in given for name, value in headers.items()}

    @property
    def bodies(self) -> list[Body]:
        """The bodies or events in what was given, in order."""
        for holder in ("events", "attempts"):
            if isinstance(self.response.get(holder), list):
                return [body for body in self.response[holder] if isinstance(body, Mapping)]
        if "headers" in self.response and "usage" not in self.response:
            body = self.response.get("body")
            return [body if isinstance(body, Mapping) else {}]
        return [self.response["body"]] if isinstance(self.response.get("body"), Mapping) else [self.response]

    def request(self, model: str | None) -> Request:
        """The request, as far as it is known."""
        return Request(model or self.model, self.asked, self.headers, self.facts())

    def facts(self) -> Mapping[str, str]:
        """The part of the context that decides a price, as text."""
        facts = {name: value for name in FACTS if (value := text(self.said.get(name)))}
        if self.said.get("batch") in TRUE:
            facts["batch"] = "true"
        asked = text(self.said.get("requested_service_tier"))
        if asked and "headers" not in self.said:
            facts.setdefault("service_tier", asked)
        host = text(self.said.get("server_address")) or host_of(text(self.said.get("base_url")))
        return {**facts, "server_address": host} if host else facts

    def mapped(self, model: str | None) -> str | None:
        """The model behind a deployment, a profile or an alias, where the context says which it is."""
        tables = [self.said[name] for name in MAPS if isinstance(self.said.get(name), Mapping)]
        return next((str(table[model]) for table in tables if model in table), model)

    @property
    def free(self) -> bool:
        """Whether the caller is on the provider's free tier."""
        return bool(self.said.get("free_tier")) or "free" in (self.said.get(name) for name in PLANS)

    def failure(self) -> str | None:
        """The error that stands in the place of a response; a provider bills none that it answers with 4xx or 5xx."""
        error = self.response.get("error")
        code = self.response.get("status_code") or self.said.get("status_code") or dig(error, ("code",))
        if isinstance(code, int) and code >= NO_ANSWER:
            return text(dig(error, ("type",))) or text(dig(error, ("status",))) or str(code)
        if isinstance(error, Mapping) and not self.response.keys() & {"usage", "usageMetadata", "output"}:
            return text(error.get("type")) or text(error.get("code")) or "error"
        return None

    def folded(self, api: Api) -> tuple[State, int]:
        """All bodies in one state, and how many attempts ended without an answer."""
        state: State = {}
        unseen = 0
        for body in self.bodies:
            if "attempts" in self.response and not isinstance(body.get("usage"), Mapping):
                unseen += 1
            else:
                api.fold(state, body)
        tier = self.headers.get("x-gemini-service-tier")
        if tier:
            state["_tier"] = tier
        if (model := text(self.said.get("image_model"))) is not None:
            state["tools"] = [{"type": "image_generation", "model": model}]
        return state, unseen

    def counted(self) -> Usage | None:
        """A quantity that no response reports, as the caller counted it."""
        characters = self.asked.get("input_length_chars")
        if isinstance(characters, int):
            return Usage({"characters": characters})
        tokens = self._embedded() or next((count for name, count in self.said.items() if name.endswith(COUNTED)), None)
        return Usage({"input": tokens}) if isinstance(tokens, int) else None

    def _embedded(self) -> int:
        """The tokens that each embedding says it was made of."""
        made = self.response.get("embeddings")
        places = (("statistics", "tokenCount"), ("statistics", "token_count"))
        counts = [dig(one, place) for one in made for place in places] if isinstance(made, list) else []
        return sum(count for count in counts if isinstance(count, int))


def host_of(url: str | None) -> str | None:
    """The host of a URL."""
    return url.partition("://")[2].partition("/")[0].partition(":")[0] if url else None


@lru_cache(maxsize=1)
def apis() -> Mapping[str, Api]:
    """Every endpoint that a provider file reads, by its name."""
    from spanledger.providers import _openai_realtime, anthropic, bedrock, google_genai, openai

    tables = (openai.ROUTES, anthropic.ROUTES, bedrock.APIS, google_genai.VERBS, google_genai.INTERACTIONS)
    found = {api.name: api for table in tables for api in table.values()}
    return {**found, "live": google_genai.LIVE, "realtime": _openai_realtime.REALTIME}


def api_named(name: str) -> Api:
    """The endpoint of this name; `ConfigurationError` where there is none."""
    found = apis().get(name)
    if found is None:
        msg = f"api={name!r} is none that spanledger reads: use one of {', '.join(sorted(apis()))}"
        raise ConfigurationError(msg)
    return found


def api_name(api: str | None, response: Body, platform: str) -> tuple[str, bool]:
    """The name of the endpoint, guessed from the body where it is left out, and whether it is a batch."""
    name = api or ""
    batch = (name.startswith("batch") and name not in SPELLINGS) or name.endswith(BATCHES)
    if batch:
        name = name.partition(":")[2].removeprefix("/v1/").strip("/").replace("/", ".") or name
        name = "" if name in NO_ENDPOINT else name
    for ending in (*BATCHES, ".stream"):
        name = name.removesuffix(ending)
    name = name.removeprefix("beta.")
    name = name or _shape(response) or BY_PLATFORM.get(platform, "chat.completions")
    return SPELLINGS.get(name, name), batch


def _shape(response: Body) -> str | None:
    """What a body must be of, by its fields or by those of its usage."""
    usage = response.get("usage")
    holders = [(response, SHAPES), (usage if isinstance(usage, Mapping) else {}, USAGE_SHAPES)]
    return next((shape for holder, shapes in holders for field, shape in shapes if field in holder), None)
