"""boto3's Bedrock runtime: Converse, and InvokeModel in the words of each family of models, against a loopback server.

`nox -s providers` runs it over the versions of boto3 that people run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from tests.providers._either import forget

import spanledger
from spanledger import _faults
from spanledger._types import Charge
from spanledger.providers import bedrock
from spanledger.testing import Fault, ProviderServer, Reply, Tokens, capture_charges, refused

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
Config = pytest.importorskip("botocore.config").Config

TOKENS = Tokens(input_tokens=100, output_tokens=40)
REPLY = Reply("one two three four five six seven eight", TOKENS)
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
NOVA: dict[str, Any] = {
    "modelId": "us.amazon.nova-lite-v1:0",
    "messages": [{"role": "user", "content": [{"text": "hello"}]}],
}
HEADERS = {side: f"x-amzn-bedrock-{side}-token-count" for side in ("input", "output")}
NO_HEADERS = dict.fromkeys(HEADERS.values(), "")


class Family(NamedTuple):
    """A family of models: a model of it, whether its bodies count tokens, and whether it writes."""

    model: str
    counts: bool = True
    writes: bool = True


FAMILIES: Mapping[str, Family] = {
    "Claude": Family("anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "Nova": Family("amazon.nova-lite-v1:0"),
    "Titan text": Family("amazon.titan-text-express-v1"),
    "Titan embeddings": Family("amazon.titan-embed-text-v2:0", writes=False),
    "Llama": Family("meta.llama3-8b-instruct-v1:0"),
    "Mistral": Family("mistral.mistral-7b-instruct-v0:2", counts=False),
    "Cohere": Family("cohere.command-text-v14", counts=False),
    "Cohere embeddings": Family("cohere.embed-english-v3", counts=False, writes=False),
    "AI21": Family("ai21.jamba-1-5-mini-v1:0"),
}
SILENT = [name for name, family in FAMILIES.items() if not family.counts]
WRITING = [name for name, family in FAMILIES.items() if family.writes]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda _: REPLY) as running:
        yield running


@pytest.fixture
def charges() -> Iterator[list[Charge]]:
    _faults.reset()
    with capture_charges() as found:
        yield found
    assert _faults.snapshot() == {"lost": 0, "faults": {}}


@pytest.fixture
def client(server: ProviderServer, charges: list[Charge]) -> Iterator[Any]:  # noqa: ARG001 -- made while it is metered
    made = client_of(server.base_url)
    yield made
    getattr(made, "close", lambda: None)()  # boto3 before 1.24 has none


def client_of(url: str, attempts: int = 1) -> Any:
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return boto3.Session().client("bedrock-runtime", endpoint_url=url, config=config, **KEYS)


@pytest.fixture
def conversing(client: Any) -> Any:
    """A client whose version has Converse."""
    if not hasattr(client, "converse"):
        pytest.skip("this version has no converse")
    return client


def only(charges: list[Charge]) -> Charge:
    (charge,) = charges
    return charge


def invoke(client: Any, model: str) -> Any:
    return json.loads(client.invoke_model(modelId=model, body=b"{}")["body"].read())


def invoke_stream(client: Any, model: str) -> list[Any]:
    return list(client.invoke_model_with_response_stream(modelId=model, body=b"{}")["body"])


def spending(name: str) -> dict[str, int]:
    """What a call of a family uses."""
    return {"input": 100, "output": 40} if FAMILIES[name].writes else {"input": 100}


def spent(charge: Charge) -> dict[str, int]:
    return {unit: int(quantity) for unit, quantity in (charge.usage or {}).items() if quantity}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in SILENT])
def test_a_body_counts_without_its_headers(
    name: str, server: ProviderServer, client: Any, charges: list[Charge]
) -> None:
    server.reply(Reply(REPLY.text, TOKENS, headers=NO_HEADERS))
    assert invoke(client, FAMILIES[name].model)
    charge = only(charges)
    assert (charge.status, charge.usage_source, charge.provider_name) == ("ok", "reported", "aws.bedrock")
    assert (charge.request_model, charge.region) == (FAMILIES[name].model, "us-east-1")
    assert spent(charge) == spending(name)


@pytest.mark.parametrize("name", SILENT)
def test_the_headers_count_where_the_body_does_not(
    name: str, server: ProviderServer, client: Any, charges: list[Charge]
) -> None:
    counted = {HEADERS[unit]: str(count) for unit, count in spending(name).items()}
    server.reply(Reply(REPLY.text, TOKENS, headers={**NO_HEADERS, **counted}))
    invoke(client, FAMILIES[name].model)
    charge = only(charges)
    assert (charge.status, charge.usage_source) == ("ok", "reported")
    assert spent(charge) == spending(name)


@pytest.mark.parametrize("name", SILENT)
def test_without_either_nothing_is_known(name: str, server: ProviderServer, client: Any, charges: list[Charge]) -> None:
    server.reply(Reply(REPLY.text, TOKENS, headers=NO_HEADERS))
    invoke(client, FAMILIES[name].model)
    charge = only(charges)
    assert (charge.status, charge.cost_status, charge.usage, charge.list_cost) == ("ok", "unknown", None, None)


@pytest.mark.parametrize("name", WRITING)
def test_a_stream_of_each_family(name: str, client: Any, charges: list[Charge]) -> None:
    assert invoke_stream(client, FAMILIES[name].model)
    charge = only(charges)
    assert (charge.status, charge.usage_source, charge.stream) == ("ok", "reported", True)
    assert (charge.input_tokens, charge.output_tokens) == (100, 40)


@pytest.mark.parametrize("name", WRITING)
def test_a_stream_of_each_family_that_is_left(name: str, client: Any, charges: list[Charge]) -> None:
    stream = client.invoke_model_with_response_stream(modelId=FAMILIES[name].model, body=b"{}")["body"]
    events = iter(stream)
    for _ in range(5):
        next(events)
    stream.close()
    charge = only(charges)
    assert (charge.status, charge.usage_source) == ("aborted", "partial")
    assert charge.output_tokens is not None
    assert 0 < charge.output_tokens < 40


def test_converse(conversing: Any, charges: list[Charge]) -> None:
    answer = conversing.converse(**NOVA)
    assert answer["output"]["message"]["content"][0]["text"] == REPLY.text
    charge = only(charges)
    assert (charge.input_tokens, charge.output_tokens, charge.operation) == (100, 40, "chat")


def test_a_converse_stream(conversing: Any, charges: list[Charge]) -> None:
    events = list(conversing.converse_stream(**NOVA)["stream"])
    assert "metadata" in events[-1]
    charge = only(charges)
    assert (charge.input_tokens, charge.output_tokens, charge.status) == (100, 40, "ok")


def read_closed(stream: Any) -> None:
    next(iter(stream))
    stream.close()


def read_dropped(stream: Any) -> None:
    next(iter(stream))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("leave", [read_closed, read_dropped])
async def test_a_converse_stream_that_is_left(
    leave: Callable[[Any], None], conversing: Any, charges: list[Charge]
) -> None:
    leave(conversing.converse_stream(**NOVA)["stream"])
    await forget()
    assert only(charges).status == "aborted"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("fault", "cost_status"),
    [(Fault("cut", 3), "partial"), (Fault("error", 3), "partial"), (Fault("error", 0), "not_billed")],
)
async def test_a_converse_stream_that_fails(
    fault: Fault, cost_status: str, server: ProviderServer, conversing: Any, charges: list[Charge]
) -> None:
    server.reply(Reply(REPLY.text, TOKENS, fault=fault))
    stream = conversing.converse_stream(**NOVA)["stream"]
    with pytest.raises(Exception, match=r"."):
        list(stream)
    stream.close()
    await forget()
    assert (only(charges).status, only(charges).cost_status) == ("error", cost_status)


def test_what_is_refused_is_not_billed_and_what_is_retried_is_booked_once(
    server: ProviderServer, charges: list[Charge]
) -> None:
    client = client_of(server.base_url, attempts=2)
    server.reply(refused(429))
    invoke(client, NOVA["modelId"])
    server.reply(refused(400))
    with pytest.raises(client.exceptions.ValidationException):
        invoke(client, NOVA["modelId"])
    assert [(charge.status, charge.cost_status) for charge in charges] == [("ok", "exact"), ("error", "not_billed")]


def test_a_client_of_before_is_metered_once_it_is_wrapped(server: ProviderServer) -> None:
    client = client_of(server.base_url)
    with capture_charges() as charges:
        invoke(client, NOVA["modelId"])
        assert charges == []
        invoke(spanledger.wrap(client, team="growth"), NOVA["modelId"])
    assert only(charges).team == "growth"


GUARDED = {"action": "GUARDRAIL_INTERVENED", "outputs": [], "assessments": []}
APPLIED = {
    "topicPolicyUnits": 2,
    "contentPolicyUnits": 3,
    "wordPolicyUnits": 3,
    "sensitiveInformationPolicyFreeUnits": 1,
}
CHECKED = {"contentFilter": {"textUnits": 4}, "promptAttack": {"textUnits": 5}}


def guarding(client: Any, name: str) -> Any:
    """A method of guardrails; the test is skipped where this version does not have it."""
    if not hasattr(client, name):
        pytest.skip(f"this version has no {name}")
    return getattr(client, name)


def test_a_guardrail_counts_its_text_units(canned: Any, charges: list[Charge]) -> None:
    apply = guarding(client_of(canned.url), "apply_guardrail")
    canned.answer({**GUARDED, "usage": APPLIED})
    apply(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "hello"}}])
    charge = only(charges)
    assert (charge.operation, charge.status, charge.finish_reasons) == (
        "apply_guardrail",
        "ok",
        ("GUARDRAIL_INTERVENED",),
    )
    assert spent(charge) == {"guardrail_topics": 2, "guardrail_content": 3}
    assert (charge.cost_status, charge.list_cost, charge.input_tokens) == ("unknown", None, None)


def test_checks_of_guardrails_count_theirs(canned: Any, charges: list[Charge]) -> None:
    check = guarding(client_of(canned.url), "invoke_guardrail_checks")
    canned.answer({"results": {}, "usage": CHECKED})
    check(messages=[{"role": "user", "content": [{"text": "hello"}]}], checks={})
    assert spent(only(charges)) == {"guardrail_content": 4, "guardrail_prompt_attacks": 5}


def test_a_header_that_is_no_count_is_not_taken_for_one() -> None:
    headers = {HEADERS["input"]: "9" * 5000, HEADERS["output"]: "7"}
    assert bedrock.header_counts(headers) == {"output": 7}
