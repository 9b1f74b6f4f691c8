"""`instrument`, `uninstrument`, `configure`, `wrap`: what is hooked, what is left alone, what wrong settings say."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import anthropic
import boto3
import botocore.handlers
import openai
import pytest
from tests import _apps

import spanledger
from spanledger import _doctor, _faults, _meter
from spanledger.errors import ConfigurationError
from spanledger.testing import ProviderServer, capture_charges


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    spanledger.uninstrument()
    _faults.reset()


def rows(ledger: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for segment in sorted(ledger.glob("open/*.jsonl")) for line in segment.read_text().splitlines()
    ]


HOOKED = [
    (client, name)
    for sdk in (openai, anthropic)
    for client in (sdk._base_client.SyncAPIClient, sdk._base_client.AsyncAPIClient, sdk._base_client.BaseClient)
    for name in ("request", "_process_response", "_process_response_data")
    if name in client.__dict__
]


def test_uninstrument_puts_every_function_back(tmp_path: Path) -> None:
    before = [owner.__dict__[name] for owner, name in HOOKED]
    handlers = list(botocore.handlers.BUILTIN_HANDLERS)
    spanledger.instrument(ledger=tmp_path / "l")
    assert all(owner.__dict__[name] is not old for (owner, name), old in zip(HOOKED, before, strict=True))
    assert len(botocore.handlers.BUILTIN_HANDLERS) > len(handlers)
    spanledger.uninstrument()
    assert [owner.__dict__[name] for owner, name in HOOKED] == before
    assert handlers == botocore.handlers.BUILTIN_HANDLERS


def test_instrumenting_twice_books_once(server: ProviderServer, tmp_path: Path) -> None:
    spanledger.instrument(ledger=tmp_path / "first")
    spanledger.instrument(ledger=tmp_path / "second", tags={"team": "b"})
    _apps.chat(server.base_url)
    assert rows(tmp_path / "first") == []
    assert [row["team"] for row in rows(tmp_path / "second")] == ["b"]


def test_nothing_is_booked_after_uninstrument(server: ProviderServer, tmp_path: Path) -> None:
    spanledger.instrument(ledger=tmp_path / "l")
    spanledger.uninstrument()
    _apps.chat(server.base_url)
    assert not (tmp_path / "l").exists()


BEFORE_AND_AFTER = """
import sys
from pathlib import Path
import spanledger
order, ledger, url = sys.argv[1:]
if order == "after":
    import openai, anthropic, boto3
spanledger.instrument(ledger=ledger)
if order == "before":
    assert not {"openai", "anthropic", "boto3", "botocore"} & set(sys.modules)
    import openai, anthropic, boto3
openai.OpenAI(base_url=url + "/v1", api_key="k").embeddings.create(model="text-embedding-3-small", input="a")
anthropic.Anthropic(base_url=url, api_key="k").messages.create(
    model="claude-sonnet-5-5", max_tokens=9, messages=[{"role": "user", "content": "a"}])
boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, aws_access_key_id="k",
    aws_secret_access_key="s"
).converse(modelId="amazon.nova-pro-v1:0", messages=[{"role": "user", "content": [{"text": "a"}]}])
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_instrumenting_before_or_after_the_import_both_work(order: str, server: ProviderServer, tmp_path: Path) -> None:
    ledger = tmp_path / "l"
    subprocess.run([sys.executable, "-c", BEFORE_AND_AFTER, order, str(ledger), server.base_url], check=True)
    assert [row["provider_name"] for row in rows(ledger)] == ["openai_compatible", "anthropic", "aws.bedrock"]


def test_wrap_meters_one_client_and_its_copies_and_no_other(server: ProviderServer, tmp_path: Path) -> None:
    spanledger.configure(ledger=tmp_path / "l")
    ours = spanledger.wrap(openai.OpenAI(base_url=server.base_url + "/v1", api_key="k"), team="search", customer="acme")
    other = openai.OpenAI(base_url=server.base_url + "/v1", api_key="k")
    assert type(ours) is openai.OpenAI
    ours.embeddings.create(model="text-embedding-3-small", input="a")
    ours.with_options(timeout=5).embeddings.create(model="text-embedding-3-small", input="a")
    ours.copy(timeout=5).with_options(timeout=6).embeddings.create(model="text-embedding-3-small", input="a")
    other.copy().embeddings.create(model="text-embedding-3-small", input="a")
    other.embeddings.create(model="text-embedding-3-small", input="a")
    ours.close()
    other.close()
    assert [(row["team"], row["customer"]) for row in rows(tmp_path / "l")] == [("search", "acme")] * 3


def test_a_wrapped_client_that_only_its_copy_outlives(server: ProviderServer, tmp_path: Path) -> None:
    copying = openai.OpenAI.copy
    spanledger.configure(ledger=tmp_path / "l")
    client = spanledger.wrap(openai.OpenAI(base_url=server.base_url + "/v1", api_key="k"), team="a").with_options(
        timeout=5
    )
    with client:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert [row["team"] for row in rows(tmp_path / "l")] == ["a"]
    spanledger.uninstrument()
    assert openai.OpenAI.copy is copying


def test_clients_of_a_default_session_made_before_are_metered(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.client("s3", **options).close()
    spanledger.instrument(ledger=tmp_path / "l")
    client = boto3.client("bedrock-runtime", endpoint_url=server.base_url, **options)
    client.converse(modelId="amazon.nova-pro-v1:0", messages=_apps.CONVERSATION)
    client.close()
    assert [row["provider_name"] for row in rows(tmp_path / "l")] == ["aws.bedrock"]


def test_wrap_meters_a_boto3_client_made_before(server: ProviderServer, tmp_path: Path) -> None:
    client = _apps.bedrock_client.__wrapped__(server.base_url)
    spanledger.configure(ledger=tmp_path / "l")
    spanledger.wrap(client, feature="search")
    client.converse(modelId="amazon.nova-pro-v1:0", messages=_apps.CONVERSATION)
    other = _apps.bedrock_client.__wrapped__(server.base_url)
    other.converse(modelId="amazon.nova-pro-v1:0", messages=_apps.CONVERSATION)
    client.close()
    other.close()
    assert [row["feature"] for row in rows(tmp_path / "l")] == ["search"]


def test_wrap_refuses_what_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match="no client of a supported SDK"):
        spanledger.wrap(object())


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ({"ledger": 7}, "ledger"),
        ({"ledger": ""}, "ledger"),
        ({"tags": ["team"]}, "tags"),
        ({"tags": "team=growth"}, r"tags takes dict, not 'team=growth': .*\{\"team\": \"growth\"\}"),
        ({"ledgr": "x"}, "unknown setting 'ledgr': did you mean ledger"),
        ({"colour": "x"}, "unknown setting 'colour': ledger, prices, tags"),
        ({"min_free_mb": True}, "min_free_mb takes int, not True"),
        ({"span_policy": "loud"}, "span_policy"),
        ({"profiles": ["nobody"]}, "nobody"),
        ({"hmac_key": b"secret"}, "hmac_key takes str, not a bytes"),
    ],
)
def test_a_wrong_setting_is_named(setting: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as raised:
        spanledger.configure(**setting)
    assert "secret" not in str(raised.value)


def test_settings_come_from_the_environment_where_code_gives_none(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANLEDGER_LEDGER", str(tmp_path / "env"))
    monkeypatch.setenv("SPANLEDGER_TAGS", "team=growth, environment=prod")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    spanledger.instrument(tags={"team": "search"})
    _apps.chat(server.base_url)
    (row,) = rows(tmp_path / "env")
    assert (row["team"], row["service_name"]) == ("search", "shop")
    assert "environment" not in row


@pytest.mark.parametrize(
    ("variable", "text", "names"),
    [
        ("SPANLEDGER_TAGS", "team growth", "'team growth' is no name=value: Tags of the whole process"),
        ("SPANLEDGER_SPAN_POLICY", "*=emit,anthropic", "'anthropic' is no name=value: `emit`, `annotate` or `off`"),
        ("SPANLEDGER_MIN_FREE_MB", "1GB", "'1GB' is no whole number: MiB"),
        ("SPANLEDGER_METRIC_TOP", "customer=many", "'many' is no whole number"),
        ("SPANLEDGER_THREADS", "ture", "neither 1 nor 0: Whether new threads"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named_with_what_it_takes(
    variable: str, text: str, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=re.escape(f"{variable}='{text}': {names}")):
        spanledger.configure()


def test_a_file_of_prices_takes_the_place_of_the_one_configured_before(tmp_path: Path) -> None:
    def listed(prices: Path | None) -> Decimal | None:
        spanledger.configure(ledger=tmp_path / "spend.ledger", prices=prices)
        return spanledger.meter("pinecone.query", unit="read_units").list_cost

    first, second, wrong = (tmp_path / name for name in ("first.toml", "second.toml", "wrong.toml"))
    price = '[[price]]\nprovider = "pinecone"\nmodel = "query"\nrates = { read_units = "%s" }\n'
    first.write_text(price % "0.5")
    second.write_text('[models]\nours = "gpt-5"\n')
    wrong.write_text(price % "much")
    assert [listed(first), listed(second), listed(first), listed(None)] == [Decimal("0.5"), None, Decimal("0.5"), None]
    assert listed(first) == Decimal("0.5")
    with pytest.raises(ConfigurationError, match="read_units"):
        listed(wrong)
    assert spanledger.meter("pinecone.query", unit="read_units").list_cost == Decimal("0.5")
    listed(None)


def test_a_misspelt_variable_is_warned_of_and_said_by_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("SPANLEDGER_TGAS", "SPANLEDGER_SERVICE_NAME", "SPANLEDGER_ELSEWHERE"):
        monkeypatch.setenv(name, "x")
    spanledger.configure(ledger=tmp_path / "l")
    told = [record.getMessage() for record in caplog.records]
    assert "SPANLEDGER_TGAS is no setting of spanledger: did you mean SPANLEDGER_TAGS?" in told
    assert not any("ELSEWHERE" in line for line in told)  # it may be the application's own
    said = list(_doctor._process())
    assert "  SPANLEDGER_SERVICE_NAME is no setting: did you mean OTEL_SERVICE_NAME?" in said
    assert "  SPANLEDGER_ELSEWHERE is no setting" in said


def test_doctor_says_what_is_hooked_in_one_line_and_nothing_of_what_is_off(tmp_path: Path) -> None:
    spanledger.instrument(ledger=tmp_path / "l")
    (hooked,) = [line for line in _doctor._process() if line.startswith("  hooked: ")]
    assert {"openai", "anthropic", "botocore"} <= set(hooked.removeprefix("  hooked: ").split(", "))
    spanledger.uninstrument()
    off = list(_doctor._process())
    assert "call spanledger.cli.main(['doctor']) there" in off[1]
    assert not [line for line in off if "openai" in line]


def test_a_ledger_that_cannot_be_written_is_one_warning_and_lost_charges(
    server: ProviderServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    spanledger.instrument(ledger=tmp_path / "file" / "l")
    for _ in range(3):
        assert _apps.outcome(_apps.chat, server.base_url)[0] == "returned"
    assert _faults.snapshot()["lost"] == 3
    assert len([record for record in caplog.records if record.name == "spanledger"]) == 1


SURPRISES = {
    "openai": ("openai._base_client", "SyncAPIClient", "request"),
    "openai, events": ("openai._base_client", "BaseClient", "_process_response_data"),
    "anthropic": ("anthropic._base_client", "AsyncAPIClient", "request"),
    "openai.realtime.connect": ("openai.resources.realtime.realtime", "RealtimeConnection", "parse_event"),
    "openai.live.connect": ("openai.resources.live.live", "AsyncLiveConnection", "parse_event"),
    "google.genai": ("google.genai._api_client", "BaseApiClient", "async_request"),
    "google.genai.live": ("google.genai.live", "AsyncLive", "connect"),
}


@pytest.mark.parametrize("name", SURPRISES)
def test_a_function_of_another_signature_is_left_alone_warned_of_once_and_said(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module_name, kind, method = SURPRISES[name]
    module, hook = import_module(module_name), name.partition(",")[0]
    monkeypatch.setattr(getattr(module, kind), method, lambda _self, something_new: something_new)
    kinds = [value for value in vars(module).values() if getattr(value, "__module__", "") == module_name]
    before = [dict(vars(kind)) for kind in kinds if isinstance(kind, type)]
    caplog.set_level(logging.WARNING, "spanledger")
    for _ in range(2):
        with capture_charges():
            assert _meter.describe()["hooks"][hook].startswith("not hooked: ")
            assert [dict(vars(kind)) for kind in kinds if isinstance(kind, type)] == before
            assert [line for line in _doctor._process() if line.startswith(f"  {hook}: not hooked: ")]
            others = {"openai", "anthropic", "google.genai", "botocore"} - {hook}
            assert {_meter.describe()["hooks"][other] for other in others} == {"hooked"}
    assert [record.getMessage().count(module_name) for record in caplog.records] == [1]


def test_an_sdk_without_what_is_hooked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(botocore.handlers, "BUILTIN_HANDLERS")
    with capture_charges():
        assert "BUILTIN_HANDLERS" in _meter.describe()["hooks"]["botocore"]


def test_a_forked_child_has_a_segment_of_its_own(server: ProviderServer, tmp_path: Path) -> None:
    ledger = tmp_path / "l"
    spanledger.instrument(ledger=ledger)
    _apps.embeddings(server.base_url)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            openai.OpenAI(base_url=server.base_url + "/v1", api_key="k").embeddings.create(model="m", input="a")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    _apps.embeddings(server.base_url)
    segments = {segment.name.split("-")[-6]: len(segment.read_text().splitlines()) for segment in ledger.glob("open/*")}
    assert segments == {str(os.getpid()): 2, str(child): 1}


def test_threads_share_a_segment_without_tearing_it(server: ProviderServer, tmp_path: Path) -> None:
    spanledger.instrument(ledger=tmp_path / "l")
    threads = [
        threading.Thread(target=lambda: [_apps.embeddings(server.base_url) for _ in range(10)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    booked = rows(tmp_path / "l")
    assert len(booked) == 80
    assert len({row["charge_id"] for row in booked}) == 80


def test_a_workflow_knows_what_it_cost(server: ProviderServer, tmp_path: Path) -> None:
    spanledger.instrument(ledger=tmp_path / "l")
    with spanledger.workflow("agent", customer="acme") as run:
        _apps.messages(server.base_url)
        with spanledger.workflow("search") as step:
            _apps.messages(server.base_url)
    booked = rows(tmp_path / "l")
    assert [row["workflow_id"] for row in booked] == [run.workflow_id] * 2
    assert [row["trace_id"] for row in booked] == [run.trace_id] * 2
    assert [row.get("tags", {}).get("step") for row in booked] == [None, "search"]
    assert [row["customer"] for row in booked] == ["acme"] * 2
    assert (run.charges, step.charges) == (2, 1)
    assert run.cost == sum(Decimal(row.get("list_cost", 0)) for row in booked)
    assert run.unpriced == sum("list_cost" not in row for row in booked)
