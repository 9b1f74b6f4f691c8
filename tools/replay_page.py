"""Writes `docs/reference/replay.md` from the results of the replay, one file a style.

python -m spanledger.testing.replay CASES --variants sync,async --style raw --json raw.json
python tools/replay_page.py create=create.json raw=raw.json helper=helper.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path("docs/reference/replay.md")
HEAD = """# Recorded traffic, replayed

Exchanges that public projects have recorded with the real providers go once more through the real SDKs, sync and async:
first through the bare SDK, then with spanledger. A case counts where its recording is complete and the bare SDK reads
it; it is equal where model, input, cache read, cache write, output and reasoning tokens are all what the recording
reports. *Changed* are cases in which the application got anything else than without spanledger. `ungated` are cases
that are not strict, whose request is made up, or that the bare SDK cannot read. A miss "where none is reported" is a
stream without a usage whose charge has a lower bound in its place, `partial`, where the comparison takes `estimated`
only. Made by `tools/replay_page.py`.

"""

Classes = Mapping[str, Mapping[str, Any]]


def main(arguments: list[str]) -> None:
    """Reads `STYLE=FILE`, writes the page."""
    results = {
        style: json.loads(Path(file).read_text()) for style, _, file in (one.partition("=") for one in arguments)
    }
    lines = [
        "| style | cases | equal | % | ungated | changed | faults | lost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_total(style, result) for style, result in results.items()]
    for style, result in results.items():
        lines += ["", f"## {style}", "", *_classes(result["classes"])]
    PAGE.write_text(HEAD + "\n".join(lines) + "\n")


def _sum(classes: Classes, name: str) -> int:
    return sum(int(one[name]) for one in classes.values())


def _total(style: str, result: Mapping[str, Any]) -> str:
    classes = result["classes"]
    cases, equal, ungated = (_sum(classes, name) for name in ("cases", "equal", "ungated"))
    changed = sum(len(one["changed"]) for one in classes.values())
    faults = sum(one["count"] for one in result["faults"]["faults"].values())
    return (
        f"| {style} | {cases:,} | {equal:,} | {100 * equal / cases:.2f} | {ungated:,} | {changed} | {faults} "
        f"| {result['faults']['lost']} |"
    )


def _classes(classes: Classes) -> Iterator[str]:
    yield "| provider, endpoint, mode | cases | equal | missed |"
    yield "|---|---:|---:|---|"
    for name, one in sorted(classes.items()):
        if one["cases"]:
            missed = "; ".join(f"{_count(cases)} x {reason}" for reason, cases in one["missed"].items())
            yield f"| {name} | {one['cases']:,} | {one['equal']:,} | {missed} |"


def _count(cases: Any) -> int:
    return cases if isinstance(cases, int) else len(cases)


if __name__ == "__main__":
    main(sys.argv[1:])
