"""Calls that the SDKs can make and that spanledger does not meter, each with the reason.

`free` bills nothing by itself. `gap` is billed, or may be, and no charge is booked: import the bill, or `meter()` it.
The first pattern that fits counts; `{}` is one segment, `*` is anything.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Unmetered(NamedTuple):
    """Which calls, of what kind, and why."""

    pattern: str
    kind: str
    reason: str


def free(reason: str, *patterns: str) -> list[Unmetered]:
    """Calls that bill nothing by themselves."""
    return [Unmetered(pattern, "free", reason) for pattern in patterns]


def gap(reason: str, *patterns: str) -> list[Unmetered]:
    """Calls that are billed, or may be, and are not metered."""
    return [Unmetered(pattern, "gap", reason) for pattern in patterns]


OPENAI: Final = [
    *free("administration", "/organization/*", "/projects/*", "/webhook_endpoints*", "/vaults*"),
    *free("files are not charged by the call", "/files", "/uploads*"),
    *free("stores items; the response that answers them is metered", "/conversations*"),
    *free("changes what is stored of an answer", "/chat/completions/{}"),
    *free("keeps instructions; the response that follows them is metered", "/skills*"),
    *gap("models run on the provider's side; the answer is a run that goes on", "/evals/{}/runs"),
    *free("describes a test", "/evals", "/evals/{}", "/evals/{}/runs/{}/cancel"),
    *gap("training is billed by the token when the job ends; the bill says how many", "/fine_tuning/jobs"),
    *gap("a model grader's tokens are reported by model", "/fine_tuning/alpha/graders/run"),
    *free("steers a job", "/fine_tuning/*"),
    *gap("an agent's turns are billed as they go on, on the provider's side", "/agents/sessions", "/agents/sessions/*"),
    *gap("starts an agent on the provider's side", "/agents/automations/{}/invocations"),
    *free("describes agents, their environments and automations", "/agents", "/agents/*"),
    *gap(
        "the Assistants API reports usage in a run that goes on; OpenAI announced its end for August 2026",
        "/threads/runs",
        "/threads/{}/runs",
        "/threads/{}/runs/{}/submit_tool_outputs",
    ),
    *free("keeps an assistant's instructions and messages", "/assistants*", "/threads*"),
    *gap("the browser talks to the workflow, this process sees nothing of it", "/chatkit/sessions"),
    *free("ends a session", "/chatkit/sessions/{}/cancel"),
    *gap(
        "gives a secret to a browser or a telephone, whose websocket this process does not see",
        "/realtime/client_secrets",
        "/realtime/sessions",
        "/realtime/transcription_sessions",
        "/realtime/translations/client_secrets",
    ),
    *free("steers a call that goes on", "/realtime/calls/{}/*", "/live/sessions/{}/*"),
    *gap(
        "the sound goes over WebRTC or SIP; what a sideband connection of this process sees is metered",
        "/realtime/calls",
        "/live/sessions",
    ),
    *free("makes a voice or asks for consent; what it speaks is metered", "/audio/voices", "/audio/voice_consents*"),
    *gap("storage is billed by the gigabyte and day, not by the call", "/vector_stores", "/vector_stores/*"),
    *gap("billed by the session and its minutes, not by the call", "/containers", "/containers/*"),
    *gap("what it costs is not known here", "/content_provenance_checks", "/videos/characters"),
]

ANTHROPIC: Final = [
    *free(
        "administration", "/v1/organizations/*", "/v1/user_profiles*", "/v1/vaults*", "/v1/tunnels*", "/v1/compliance*"
    ),
    *free("files, skills and memories are not charged by the call", "/v1/files", "/v1/skills*", "/v1/memory_stores*"),
    *gap(
        "Managed Agents bill the tokens of each turn and the hours of a session; the session adds them up",
        "/v1/sessions",
        "/v1/sessions/{}/events",
        "/v1/deployments/{}/run",
        "/v1/dreams",
    ),
    *free(
        "describes agents and where they work, or steers them",
        "/v1/agents*",
        "/v1/deployments*",
        "/v1/dreams/*",
        "/v1/environments*",
        "/v1/sessions/*",
    ),
]

GOOGLE: Final = [
    *free("counts tokens", "*:countTokens", "*:computeTokens"),
    *free("stops a job", "*:cancel"),
    *free("files are not charged by the call", "upload/*/files", "files:register", "StartEnvironmentFileUpload"),
    *gap(
        "on Vertex AI a batch's results lie in a bucket or a table, which the SDK does not read", "batchPredictionJobs"
    ),
    *gap(
        "indexing is billed by the token; no answer says how many",
        "fileSearchStores",
        "*:uploadToFileSearchStore",
        "*:importFile",
    ),
    *gap("gives a token to a browser, which this process does not see", "auth_tokens", "CreateInteractionAuthToken"),
    *gap("training is billed by the token when the job ends", "tuningJobs", "tunedModels"),
    *free("checks a reward", "*:validateReinforcementTuningReward"),
    *gap("what it costs is not known here", "CreateDecision", "CreateVoice"),
    *gap("starts an agent on the provider's side", "RunTrigger"),
    *free("administration", "Create*", "Ping*", "Rotate*", "Update*"),
]

BEDROCK: Final = [
    *free("counts tokens", "CountTokens"),
    *gap("the result goes to S3; it is billed by what is made", "StartAsyncInvoke"),
    *gap("boto3 cannot make this call: it needs HTTP/2", "InvokeModelWithBidirectionalStream"),
    *gap(
        "an agent calls models on the provider's side; their tokens are in its trace at most",
        "InvokeAgent",
        "InvokeInlineAgent",
        "InvokeFlow",
        "StartFlowExecution",
    ),
    *gap("the answer does not say what the model used", "RetrieveAndGenerate*", "AgenticRetrieveStream"),
    *gap("billed by the query or the prompt, at prices of their own", "GenerateQuery", "OptimizePrompt", "Rerank"),
    *gap("billed with the store that is asked", "Retrieve"),
    *free("keeps, lists or stops something", "Check*", "Get*", "List*", "StopFlowExecution", "TagResource"),
]

NOT_METERED: Final = {"openai": OPENAI, "anthropic": ANTHROPIC, "google-genai": GOOGLE, "boto3": BEDROCK}
"""By SDK."""

GOOGLE_WEBSOCKETS: Final = {
    "live.AsyncLive": "a charge for each turn, `generate_content`",
    "_gaos.google_genai.AsyncGeminiNextGenInteractions": "completes the charge of the interaction when that ends",
    "live_music.AsyncLiveMusic": "**gap**: its messages have no usage, and Lyria RealTime no published price",
}
"""What becomes of each websocket of google-genai."""
