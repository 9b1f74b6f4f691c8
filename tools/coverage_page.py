"""Writes docs/reference/coverage.md: what every method of every supported SDK bills, and what becomes of it here.

    python tools/coverage_page.py            # writes the page
    python tools/coverage_page.py --check    # exits with 1 where the page is old, or a call is in neither table

The SDKs are read, not imported: their sources say which route each method asks for.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from not_metered import GOOGLE_WEBSOCKETS, NOT_METERED, Unmetered

from spanledger.providers import _batches, _google_batches, _google_interactions, _realtime, anthropic, bedrock, openai
from spanledger.providers._reading import Api
from spanledger.providers._stainless import Stainless
from spanledger.providers.google_genai import VERBS, verb_of

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "reference" / "coverage.md"


class Method(NamedTuple):
    """A public method of an SDK and the request that it makes."""

    name: str
    verb: str
    route: str


class Sdk(NamedTuple):
    """One SDK: how its methods are found, and which of them are metered."""

    name: str
    read: Callable[[], Iterable[Method]]
    api_of: Callable[[Method], Api | None]

    def methods(self) -> tuple[Method, ...]:
        """Its methods that make requests."""
        return _read(self)


@cache
def _read(sdk: Sdk) -> tuple[Method, ...]:
    return tuple(sorted(set(sdk.read())))


def source_of(package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        msg = f"{package} is not installed: pip install --group sdks"
        raise SystemExit(msg)
    return Path(next(iter(spec.submodule_search_locations)))


# The SDKs that Stainless generates: `self._post("/route", ...)` in the classes of `resources`.

VERBS_OF: Final = {"_post": "POST", "_get": "GET", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE"}
PAGED: Final = "_get_api_list"
FOLLOWED: Final = {"batch.results_url": "/v1/messages/batches/{}/results"}
"""URLs that an SDK takes from an answer."""


def stainless(package: Path) -> Iterator[Method]:
    """The methods of an SDK's resources; those of asynchronous and raw classes ask for the same."""
    resources = package / "resources"
    for path in sorted(resources.rglob("*.py")):
        parts = [part for part in path.relative_to(resources).with_suffix("").parts if part != "__init__"]
        name = ".".join(dict.fromkeys(parts))
        for kind, method in _methods(path):
            if not kind.startswith("Async") and "With" not in kind:
                yield from (Method(f"{name}.{method.name}", *asked) for asked in _asked(method))


def _methods(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    for kind in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(kind, ast.ClassDef):
            yield from ((kind.name, part) for part in kind.body if isinstance(part, ast.FunctionDef))


def _asked(method: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    for call in ast.walk(method):
        if not isinstance(call, ast.Call):
            continue
        function, arguments = call.func, call.args
        if isinstance(function, ast.Name) and function.id == "partial" and arguments:
            function, *arguments = arguments
        if isinstance(function, ast.Attribute) and arguments:
            verb = _paged_verb(call) if function.attr == PAGED else VERBS_OF.get(function.attr)
            if verb:
                yield verb, _route(arguments[0])


def _paged_verb(call: ast.Call) -> str:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    method = given.get("method")
    return str(method.value).upper() if isinstance(method, ast.Constant) else "GET"


def _route(node: ast.expr) -> str:
    """The route that an expression gives, with `{}` for each part that varies."""
    if isinstance(node, ast.Constant):
        return _template(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.Call) and node.args:
        return _route(node.args[0])
    return FOLLOWED.get(ast.unparse(node), "{}")


def _template(route: str) -> str:
    route = route.partition("?")[0]
    return "/".join("{}" if part.startswith("{") and part.endswith("}") else part for part in route.split("/"))


def websockets(package: Path) -> set[str]:
    """The modules with a class that decodes the events of a websocket."""
    resources = package / "resources"
    found = (path for path in resources.rglob("*.py") if "def parse_event(" in path.read_text(encoding="utf-8"))
    return {".".join(path.relative_to(resources).with_suffix("").parts) for path in found}


# google-genai: `path = "{model}:verb"`, then `self._api_client.request("post", path, ...)`; `_gaos` names operations.


def google(package: Path) -> Iterator[Method]:
    """The methods of google-genai's modules, and the operations of the clients below `_gaos`."""
    for path in sorted(package.glob("*.py")):
        for kind, method in _methods(path):
            if not kind.startswith("Async"):
                yield from _google_requests(f"{path.stem}.{method.name.lstrip('_')}", method)
    for path in sorted((package / "_gaos").glob("*.py")):
        for operation in _operations(path):
            verb = "GET" if operation.lower().startswith(("get", "list", "delete")) else "POST"
            yield Method(f"{path.stem}.{operation}", verb, operation)


def _google_requests(name: str, method: ast.FunctionDef) -> Iterator[Method]:
    calls = (node for node in ast.walk(method) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    verbs = [verb for call in calls if (verb := _google_verb(call)) is not None]
    if not verbs:
        return
    for node in ast.walk(method):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "path" for t in node.targets):
            route = _google_route(node.value)
            if route is not None:
                yield Method(name, verbs[0], route.partition("?")[0])


def _google_verb(call: ast.Call) -> str | None:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if function == "download_file":
        return "GET"
    asks = function in {"request", "request_streamed"} and call.args and isinstance(call.args[0], ast.Constant)
    return str(call.args[0].value).upper() if asks and isinstance(call.args[0], ast.Constant) else None


def _google_route(value: ast.expr) -> str | None:
    """The text of a path, in which `{name}` stands for what is put into it; one with a query only is no path."""
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    if not isinstance(parts[0], ast.Constant):
        return None
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{name}" for part in parts)


def google_websockets(package: Path) -> set[str]:
    """The classes of google-genai that open a websocket."""
    paths = [*package.glob("*.py"), package / "_gaos" / "google_genai.py"]
    return {
        ".".join([*path.relative_to(package).with_suffix("").parts, kind.name])
        for path in paths
        for kind in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(kind, ast.ClassDef) and any(getattr(part, "name", "") == "connect" for part in kind.body)
    }


def _operations(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "operation_id" and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def boto3() -> Iterator[Method]:
    """The operations of the services that run models, from botocore's own descriptions."""
    from botocore.loaders import Loader

    for service in ("bedrock-runtime", "bedrock-agent-runtime"):
        model = Loader().load_service_model(service, "service-2")
        for name, operation in model["operations"].items():
            yield Method(f"{service}.{name}", operation["http"]["method"], name)


def _stainless_api(provider: Stainless) -> Callable[[Method], Api | None]:
    tables = {"POST": provider.routes, "GET": provider.lookups}
    return lambda method: tables.get(method.verb, {}).get(method.route)


def _google_api(method: Method) -> Api | None:
    if method.route in _google_interactions.OPERATIONS:
        return _google_interactions.OPERATIONS[method.route]
    if method.route.endswith(":download"):
        return _google_batches.DOWNLOAD
    api = VERBS.get(verb_of(method.route)) if method.verb == "POST" else None
    return api or _google_batches.api_of(method.verb.lower(), method.route)


SDKS: Final = (
    Sdk("openai", lambda: stainless(source_of("openai")), _stainless_api(openai.provider)),
    Sdk("anthropic", lambda: stainless(source_of("anthropic")), _stainless_api(anthropic.provider)),
    Sdk("google-genai", lambda: google(source_of("google.genai")), _google_api),
    Sdk("boto3", boto3, lambda method: bedrock.APIS.get(method.route)),
)


def reason_for(sdk: str, route: str) -> Unmetered | None:
    """Why a call is not metered, `None` where nobody has said."""
    return next((one for one in NOT_METERED[sdk] if fnmatchcase(route, one.pattern)), None)


def unknown(sdk: Sdk, methods: Iterable[Method]) -> list[Method]:
    """The POSTs that are neither metered nor said not to be: a new release may bill them."""
    return [
        method
        for method in methods
        if method.verb == "POST" and sdk.api_of(method) is None and reason_for(sdk.name, method.route) is None
    ]


# The page.

INTRO: Final = """# What is metered

Every request of the supported SDKs that can cost money is in one of two tables: what becomes a charge, and what does
not, with the reason. The page is generated from the SDKs' own sources by `python tools/coverage_page.py`; a test fails
when a release brings a request that neither table knows. `GET` requests bill nothing; those that complete a charge, or
bring the results of a batch, are listed. The asynchronous, raw and streaming forms of a method ask for the same, and so
do the helpers that are built on it (`parse`, `stream`, tool runners, `client.post`).

A **gap** is billed by the provider, or may be, and books nothing. A [pool](allocation.md#pools-what-is-shared) of a
plan takes it from the bill.
"""

SEEN: Final = """Connections of these modules are metered by the events that the SDK decodes. Events that an application
reads as bytes and decodes itself, without `parse_event`, are not seen.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([INTRO, *(line for sdk in SDKS for line in _section(sdk)), *_websockets()]).rstrip() + "\n"


def _section(sdk: Sdk) -> Iterator[str]:
    methods = sdk.methods()
    yield f"## {sdk.name} {version(sdk.name)}\n"
    yield from _table(("Request", "Methods", "Becomes"), _metered(sdk, methods))
    yield f"Not metered in {sdk.name}:\n"
    yield from _table(("Request", "Kind", "Why"), _unmetered(sdk, methods))


def _metered(sdk: Sdk, methods: Iterable[Method]) -> Iterator[tuple[str, ...]]:
    routes: dict[tuple[str, str], tuple[Api, list[str]]] = {}
    for method in methods:
        api = sdk.api_of(method)
        if api is not None:
            routes.setdefault((method.route, method.verb), (api, []))[1].append(method.name)
    for (route, verb), (api, names) in sorted(routes.items()):
        yield f"`{verb} {route}`", ", ".join(f"`{name}`" for name in dict.fromkeys(names)), _becomes(api)


def _becomes(api: Api) -> str:
    if api.lines:
        return "a charge for each result, at batch price"
    if api.each is _google_batches.learn_and_book:
        return "a charge for each result that is in it, at batch price"
    if api.each is _batches.learn:
        return "nothing by itself: a batch is charged by its results"
    if api.lookup:
        return "completes the charge that it asks after; of others, nothing"
    return f"a charge, `{api.operation}`" if api.billed else f"a charge of zero, `{api.operation}`"


def _unmetered(sdk: Sdk, methods: Iterable[Method]) -> Iterator[tuple[str, ...]]:
    rows: dict[tuple[str, str], list[str]] = {}
    for method in methods:
        reason = reason_for(sdk.name, method.route) if method.verb == "POST" and sdk.api_of(method) is None else None
        if reason is not None:
            rows.setdefault((reason.kind, reason.reason), []).append(f"`{method.route}`")
    for (kind, why), routes in sorted(rows.items(), key=lambda row: (row[0][0] != "gap", row[0])):
        yield ", ".join(dict.fromkeys(routes)), f"**{kind}**" if kind == "gap" else kind, why


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _websockets() -> Iterator[str]:
    yield "## Websockets of openai\n"
    yield SEEN
    yield from (f"- `{module}`" for module in sorted(websockets(source_of("openai"))))
    yield "\n## Websockets of google-genai\n"
    yield from _table(("Class", "Becomes"), ((f"`{name}`", text) for name, text in sorted(GOOGLE_WEBSOCKETS.items())))


def problems() -> list[str]:
    """What is in neither table."""
    found = [
        f"{sdk.name}: {method.name} asks for {method.verb} {method.route}"
        for sdk in SDKS
        for method in unknown(sdk, sdk.methods())
    ]
    strange = websockets(source_of("openai")) - set(_realtime.MODULES)
    found += [f"openai: {module} has a connection class" for module in sorted(strange)]
    strange = google_websockets(source_of("google.genai")) - set(GOOGLE_WEBSOCKETS)
    return found + [f"google-genai: {name} opens a websocket" for name in sorted(strange)]


def main(arguments: list[str]) -> int:
    """Writes the page, or checks it."""
    found = problems()
    for problem in found:
        print(f"{problem}: add it to a route table of its provider, or to tools/not_metered.py with the reason")
    if found:
        return 1
    if "--check" in arguments:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
