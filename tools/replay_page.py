"""Replays all recordings in every style and writes `docs/reference/replay.md`; it takes a quarter of an hour.

python tools/replay_page.py ../shared/data/corpus/cases.jsonl.gz
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path("docs/reference/replay.md")
STYLES: Final = ("create", "raw", "helper")
HEAD: Final = """# Recorded traffic, replayed

Exchanges that public projects have recorded with the real providers go once more through the real SDKs, sync and async:
first through the bare SDK, then with spanledger. A case counts where its recording is complete, its request is the
recorded one, and the bare SDK reads it; it is equal where model, input, cache read, cache write, output and reasoning
tokens are all what the recording reports. Where that reports no usage, the charge has none, or says itself that it is
estimated or a lower bound. *Changed* are calls from which the application got anything else than without spanledger,
*faults* are errors inside spanledger, *lost* are charges that were not written.

`create` is the plain call. `raw` is `with_raw_response` of openai, anthropic and the interactions of google-genai, and
`should_return_http_response` of its `generate_content`; boto3 has no raw form, nor have streams of google-genai.
`helper` is `stream()` and `parse()` of openai and anthropic, and the chats of google-genai. A call that has no such
form is not made in that style, and is no run.

Made by `python tools/replay_page.py ../shared/data/corpus/cases.jsonl.gz`.
"""

Result = Mapping[str, Any]


def main(arguments: list[str]) -> None:
    """Runs the replay once a style, and writes the page."""
    if arguments and not Path(arguments[0]).exists():
        sys.exit(f"{arguments[0]}: the recorded traffic is not here: put the shared directory beside the repository")
    PAGE.write_text(page([replayed(style, arguments) for style in STYLES]))


def replayed(style: str, arguments: list[str]) -> Result:
    """The result of one style, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        command = [sys.executable, "-m", "spanledger.testing.replay", *arguments, "--style", style, "--json", str(file)]
        print(*command, flush=True)
        subprocess.run(command, check=True)  # noqa: S603 -- ours
        result: Result = json.loads(file.read_text())
        return result


def page(results: list[Result]) -> str:
    """The page as Markdown."""
    parts = [HEAD, *_totals(results), "\n## By endpoint\n", *_classes(results), "\n## Misses\n", *_misses(results)]
    return "\n".join([*parts, "\n## What does not count\n", *_ungated(results)]) + "\n"


def _totals(results: list[Result]) -> Iterator[str]:
    yield "| style | calls | equal | % | do not count | no such form | changed | faults | lost |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for result in results:
        classes = result["classes"].values()
        cases, equal, without = (sum(one[name] for one in classes) for name in ("cases", "equal", "without"))
        ungated = sum(sum(one["ungated"].values()) for one in classes)
        changed = sum(len(one["changed"]) for one in classes)
        faults = sum(one["count"] for one in result["faults"]["faults"].values())
        yield (
            f"| {result['style']} | {cases:,} | {equal:,} | {100 * equal / cases:.2f} | {ungated:,} | {without:,} "
            f"| {changed} | {faults} | {result['faults']['lost']} |"
        )


def _classes(results: list[Result]) -> Iterator[str]:
    yield "How many are equal; a dash where there is no such form.\n"
    yield _head("provider, endpoint, mode", results)
    for name in sorted({name for result in results for name in result["classes"]}):
        cells = [_cell(result["classes"][name]) for result in results]
        if any(cell != "0" for cell in cells):
            yield f"| {name} | {' | '.join(cells)} |"


def _head(first: str, results: list[Result]) -> str:
    return f"| {first} | {' | '.join(result['style'] for result in results)} |\n|---{'|---:' * len(results)}|"


def _cell(one: Mapping[str, Any]) -> str:
    if not one["cases"]:
        return "-" if one["without"] else "0"
    return f"{one['equal']:,} of {one['cases']:,}" if one["equal"] != one["cases"] else f"{one['cases']:,}"


def _misses(results: list[Result]) -> Iterator[str]:
    missed = [
        f"| {result['style']} | {name} | {reason} | {', '.join(f'`{run}`' for run in runs)} |"
        for result in results
        for name, one in result["classes"].items()
        for reason, runs in one["missed"].items()
    ]
    if not missed:
        yield "None."
        return
    yield "| style | provider, endpoint, mode | what is not equal | which |\n|---|---|---|---|"
    yield from missed


def _ungated(results: list[Result]) -> Iterator[str]:
    counts = [_reasons(result) for result in results]
    yield _head("why", results)
    for reason in sorted({reason for one in counts for reason in one}):
        yield f"| {reason} | {' | '.join(f'{one.get(reason, 0):,}' for one in counts)} |"


def _reasons(result: Result) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for one in result["classes"].values():
        for reason, count in one["ungated"].items():
            found[reason] = found.get(reason, 0) + count
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
