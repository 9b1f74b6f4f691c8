"""Every request of the SDKs that can cost money is metered, or said not to be, with the reason."""

import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def coverage(monkeypatch):
    """The tool that writes the page."""
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("coverage_page")


def test_no_sdk_makes_a_request_that_neither_table_knows(coverage):
    assert coverage.problems() == []


def test_every_reason_is_still_needed(coverage):
    for sdk in coverage.SDKS:
        unmetered = {method.route for method in sdk.methods() if method.verb == "POST" and sdk.api_of(method) is None}
        used = {coverage.reason_for(sdk.name, route) for route in unmetered}
        assert [reason.pattern for reason in coverage.NOT_METERED[sdk.name] if reason not in used] == []


def test_a_route_that_is_metered_is_asked_for_by_some_method(coverage):
    older = {"/v1/complete"}
    for sdk, provider in zip(coverage.SDKS[:2], (coverage.openai.provider, coverage.anthropic.provider), strict=True):
        asked = {(method.verb, method.route) for method in sdk.methods()}
        tables = {"POST": provider.routes, "GET": provider.lookups}
        metered = {(verb, route) for verb, table in tables.items() for route in table if route not in older}
        assert metered - asked == set()


def test_the_page_is_up_to_date(coverage):
    written = coverage.PAGE.read_text(encoding="utf-8")
    newer = [sdk.name for sdk in coverage.SDKS if f"## {sdk.name} {version(sdk.name)}\n" not in written]
    if newer:
        pytest.skip(f"the page is of other versions of {', '.join(newer)}")
    assert written == coverage.page()


RELEASE = """
class Widgets(SyncAPIResource):
    def create(self, *, model):
        return self._post("/widgets", body={"model": model}, cast_to=object)

    def list(self):
        return self._get_api_list("/widgets", page=object)

    def search(self, widget_id):
        return self._get_api_list(path_template("/widgets/{id}/search", id=widget_id), page=object, method="post")

    def stream(self, widget_id):
        return partial(self._post, f"/widgets/{widget_id}/stream", cast_to=object)


class AsyncWidgets(AsyncAPIResource):
    async def create(self, *, model):
        return await self._post("/widgets", body={"model": model}, cast_to=object)


class WidgetsConnection:
    def parse_event(self, data):
        return data
"""


def test_a_release_with_a_new_request_is_noticed(coverage, tmp_path):
    resources = tmp_path / "resources" / "beta"
    resources.mkdir(parents=True)
    (resources / "widgets.py").write_text(RELEASE)
    methods = list(coverage.stainless(tmp_path))
    assert [tuple(method) for method in methods] == [
        ("beta.widgets.create", "POST", "/widgets"),
        ("beta.widgets.list", "GET", "/widgets"),
        ("beta.widgets.search", "POST", "/widgets/{}/search"),
        ("beta.widgets.stream", "POST", "/widgets/{}/stream"),
    ]
    assert {method.name for method in coverage.unknown(coverage.SDKS[0], methods)} == {
        "beta.widgets.create",
        "beta.widgets.search",
        "beta.widgets.stream",
    }
    assert coverage.websockets(tmp_path) == {"beta.widgets"}


def test_a_new_websocket_of_google_is_noticed(coverage, tmp_path):
    (tmp_path / "_gaos").mkdir()
    (tmp_path / "_gaos" / "google_genai.py").write_text("class AsyncThings:\n    def connect(self, id): ...\n")
    (tmp_path / "choir.py").write_text("class AsyncChoir:\n    async def connect(self): ...\n")
    assert coverage.google_websockets(tmp_path) == {"_gaos.google_genai.AsyncThings", "choir.AsyncChoir"}
    assert coverage.google_websockets(coverage.source_of("google.genai")) <= set(coverage.GOOGLE_WEBSOCKETS)


def test_a_new_verb_of_google_and_a_new_operation_of_bedrock_are_noticed(coverage):
    invented = [
        coverage.Method("models.sing", "POST", "{model}:sing"),
        coverage.Method("bedrock-runtime.InvokeChoir", "POST", "InvokeChoir"),
    ]
    for sdk, method in zip(coverage.SDKS[2:], invented, strict=True):
        assert coverage.unknown(sdk, [method]) == [method]
