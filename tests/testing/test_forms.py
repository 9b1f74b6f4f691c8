"""Which forms of a call an SDK has, and the page that tells how each did."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import openai
import pytest
from google import genai
from google.genai import types

from spanledger.testing._forms import Forms, Planned, in_form

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def gemini(method: str) -> Planned:
    models = genai.Client(api_key="any").models
    contents = [types.Content(role=role, parts=[types.Part(text=role)]) for role in ("user", "model", "user")]
    arguments = {"model": "gemini-2.5-flash", "contents": contents, "config": types.GenerateContentConfig()}
    return Planned(getattr(models, method), arguments, "object", made_up=False)


@pytest.fixture
def chat() -> Planned:
    create = openai.OpenAI(api_key="any").chat.completions.create
    return Planned(create, {"model": "m", "messages": [], "stream": False}, "object", made_up=False)


def test_a_plain_call_is_as_it_was_planned(chat: Planned) -> None:
    assert in_form("create", chat) is chat


@pytest.mark.parametrize(("style", "kind"), [("raw", "raw_object"), ("raw", "raw_stream"), ("helper", "openai_helper")])
def test_the_forms_that_the_harness_has_are_taken(chat: Planned, style: str, kind: str) -> None:
    planned = chat._replace(kind=kind)
    assert in_form(style, planned) is planned


def test_a_create_has_a_parse_beside_it_which_knows_fewer_arguments(chat: Planned) -> None:
    formed = in_form("helper", chat)
    assert formed is not None
    assert formed.function.__name__ == "parse"
    assert set(formed.arguments) == {"model", "messages"}


@pytest.mark.parametrize("style", ["raw", "helper"])
def test_a_form_that_nobody_has_is_none(style: str) -> None:
    assert in_form(style, gemini("embed_content")) is None


def test_generate_content_has_a_raw_form_and_its_stream_none() -> None:
    formed = in_form("raw", gemini("generate_content"))
    assert formed is not None
    assert formed.arguments["config"].should_return_http_response is True
    assert in_form("raw", gemini("generate_content_stream")) is None


def test_a_chat_of_google_has_all_but_the_last_content_as_history() -> None:
    formed = in_form("helper", gemini("generate_content_stream"))
    assert formed is not None
    assert formed.function.__name__ == "send_message_stream"
    assert [content.parts[0].text for content in formed.function.__self__.get_history()] == ["user", "model"]
    assert formed.arguments["message"][0].text == "user"


def test_cases_without_the_form_are_remembered(chat: Planned) -> None:
    raw = chat._replace(kind="raw_object")
    forms = Forms(lambda case: {"a": gemini("embed_content"), "b": raw}.get(case["id"]), "raw")
    assert [forms({"id": name}) for name in "abc"] == [None, raw, None]
    assert forms.without == {"a"}


def test_the_page_lists_every_miss_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    page = importlib.import_module("replay_page")
    good: dict[str, Any] = {"cases": 3, "equal": 3, "without": 0, "ungated": {}, "changed": [], "missed": {}}
    bad = {
        **good,
        "equal": 2,
        "ungated": {"the bare SDK raises": 4},
        "missed": {"output_tokens 1 instead of 2": ["sync x"]},
    }
    faults = {"faults": {}, "lost": 0}
    results = [
        {"style": "create", "classes": {"openai chat whole": good, "bedrock converse whole": good}, "faults": faults},
        {
            "style": "raw",
            "classes": {
                "openai chat whole": bad,
                "bedrock converse whole": {**good, "cases": 0, "equal": 0, "without": 3},
            },
            "faults": faults,
        },
    ]
    lines = page.page(results).splitlines()
    assert "| create | 6 | 6 | 100.00 | 0 | 0 | 0 | 0 | 0 |" in lines
    assert "| raw | 3 | 2 | 66.67 | 4 | 3 | 0 | 0 | 0 |" in lines
    assert "| openai chat whole | 3 | 2 of 3 |" in lines
    assert "| bedrock converse whole | 3 | - |" in lines
    assert "| raw | openai chat whole | output_tokens 1 instead of 2 | `sync x` |" in lines
    assert "| the bare SDK raises | 0 | 4 |" in lines
