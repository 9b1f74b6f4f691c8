"""A collector's archive becomes a ledger; importing it again changes nothing; no file can crash it."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

import spanledger
from spanledger import Ledger, cli
from spanledger.errors import LedgerError, SpanledgerError
from spanledger.otlp_import import import_otlp

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
    "spanledger.team": "growth",
    "spanledger.tag.cost_centre": "17",
}


def otlp(spans):
    """As the collector's file exporter writes it: hexadecimal ids, everything else as protobuf's JSON."""
    document = MessageToDict(encode_spans(spans))
    for resource in document["resourceSpans"]:
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            for name, digits in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
                if name in span:
                    span[name] = _hex(span[name], digits)
    return json.dumps(document)


def _hex(text, digits):
    from base64 import b64decode

    return b64decode(text).hex().zfill(digits)


@pytest.fixture
def archive(telemetry, tmp_path):
    tracer = telemetry.tracer_provider.get_tracer("some.library")
    with (
        tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
        tracer.start_as_current_span("framework", attributes=CHAT),
        tracer.start_as_current_span("client", attributes={**CHAT, "gen_ai.response.id": "r-1"}),
    ):
        pass
    tracer.start_span("second", attributes=CHAT).end()
    file = tmp_path / "archive.jsonl"
    file.write_text("\n".join(otlp([span]) for span in telemetry.spans()) + "\n")
    return file


def test_an_archive_becomes_a_ledger_once(archive, tmp_path):
    first = import_otlp(archive, tmp_path / "l")
    again = import_otlp(archive, tmp_path / "l")
    assert (first.booked, first.passed_over, first.broken) == (2, 2, 0)
    assert (again.booked, again.known) == (0, 2)
    rows = Ledger(tmp_path / "l").charges().to_arrow().to_pylist()
    assert {(row["team"], row["input_tokens"], row["cost_status"]) for row in rows} == {("growth", 1000, "exact")}
    assert {row["response_id"] for row in rows} == {"r-1", None}
    assert dict(rows[0]["tags"]) == {"cost_centre": "17"}


def test_our_own_spans_keep_their_charge_ids(telemetry, metered, provider, tmp_path):
    import openai

    with openai.OpenAI(api_key="k", base_url=f"{provider.base_url}/v1") as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    spanledger.uninstrument()
    file = tmp_path / "archive.json"
    file.write_text(otlp(telemetry.spans()))
    assert import_otlp(file, tmp_path / "other").booked == 1
    (row,) = Ledger(tmp_path / "other").charges().to_arrow().to_pylist()
    assert row["charge_id"] == metered[0].charge_id
    assert import_otlp(file, tmp_path / "spend.ledger").known == 1


def test_the_command_says_what_it_did(archive, tmp_path, capsys):
    with archive.open("a") as file:
        file.write("not JSON\n")
    assert cli.main(["import", "otlp", str(archive), str(tmp_path / "l")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 charges booked, 0 known already, 2 spans above or without a call",
        "1 lines are no OTLP JSON and were passed over",
    ]


def test_what_is_no_archive_is_named(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    with pytest.raises(SpanledgerError, match=r"notes\.txt: no OTLP JSON"):
        import_otlp(file, tmp_path / "l")
    with pytest.raises(SpanledgerError, match="No such file"):
        import_otlp(tmp_path / "absent", tmp_path / "l")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
VALUE = st.one_of(
    ANYTHING,
    st.builds(lambda number: {"intValue": str(number)}, st.integers()),
    st.builds(lambda text: {"stringValue": text}, st.sampled_from(["chat", "openai", "-1", "1e9"])),
)
NAMES = st.sampled_from([*CHAT, "gen_ai.response.id", "gen_ai.response.finish_reasons", "llm.system"])
SPAN = st.fixed_dictionaries(
    {
        "traceId": st.just("a" * 32) | ANYTHING,
        "spanId": st.text("0123456789abcdef", min_size=16, max_size=16) | ANYTHING,
        "startTimeUnixNano": st.integers(0, 2**64).map(str) | ANYTHING,
        "endTimeUnixNano": st.integers(0, 2**64).map(str) | ANYTHING,
        "attributes": st.lists(st.fixed_dictionaries({"key": NAMES, "value": VALUE}), max_size=8) | ANYTHING,
        "status": ANYTHING,
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(SPAN | ANYTHING, max_size=3), ANYTHING)
def test_no_archive_can_crash_it(tmp_path, spans, resource):
    file = tmp_path / "fuzz.json"
    file.write_text(json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}))
    done = import_otlp(file, tmp_path / "fuzz.ledger")
    assert done.broken == 0
    assert done.booked >= 0


def test_a_ledger_that_cannot_be_written_is_an_error_and_no_import(archive, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match=r"2 of 2 rows could not be written \(.*Not a directory"):
        import_otlp(archive, tmp_path / "file" / "spend.ledger")


def test_names_and_tags_of_others_are_cut_as_our_own_are(telemetry, tmp_path):
    long = dict.fromkeys(("gen_ai.provider.name", "gen_ai.operation.name", "spanledger.tag.cost_centre"), "x" * 1000)
    tracer = telemetry.tracer_provider.get_tracer("some.library")
    tracer.start_span("call", attributes={**CHAT, "llm.system": "any", **long}).end()
    file = tmp_path / "archive.json"
    file.write_text(otlp(telemetry.spans()))
    import_otlp(file, tmp_path / "spend.ledger")
    (row,) = Ledger(tmp_path / "spend.ledger").charges()
    assert {len(row["provider_name"]), len(row["operation"]), len(dict(row["tags"])["cost_centre"])} == {256}
