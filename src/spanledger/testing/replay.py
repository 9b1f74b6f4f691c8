"""Drives the real SDKs over recorded provider traffic, metered and not, and compares what is booked with the recording.

    python -m spanledger.testing.replay ../shared/data/corpus/cases.jsonl.gz --variants sync,async --style create

It needs a file of cases and the two scripts that replay them, `drive.py` and `replay_server.py`, which are looked for
in `../../conformance` beside the file. A case counts where its recording is strict, its request is the recorded one,
and the bare SDK, which is driven first, reads it. One whose method has no form of the style is not driven.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

import spanledger
from spanledger import _faults
from spanledger._types import Charge
from spanledger.testing._comparison import Case, misses, tells_unasked
from spanledger.testing._forms import Forms

REQUIRED: Final = {
    ("openai", "chat.completions"),
    ("openai", "responses"),
    ("openai", "embeddings"),
    ("anthropic", "messages"),
    ("bedrock", "converse"),
}
"""The classes that `--require` is about."""

SAME: Final = ("outcome", "exc", "status", "n", "sdk")
"""What of an outcome must not change when calls are metered."""

VERDICTS: Final = {
    "skipped": "the SDK has no such method",
    "raised": "the bare SDK raises",
    "no-raise-on-error": "the bare SDK takes an error for an answer",
}
"""What the harness says of a case that the bare SDK does not read, in words."""

Outcome = Mapping[str, Any]
Run = tuple[str, str]
"""A variant and a case id."""


class Harness(NamedTuple):
    """The two scripts that replay cases, as modules."""

    drive: Any
    server: Any


class Runs(NamedTuple):
    """What the application got without metering and with it, what was booked, and the cases that were not driven."""

    bare: Mapping[Run, Outcome]
    metered: Mapping[Run, Outcome]
    charges: Mapping[Run, list[Charge]]
    without: set[str]


@dataclass
class Score:
    """How one class of cases did: `ungated` are those that do not count, by reason, `without` those not driven."""

    cases: int = 0
    equal: int = 0
    without: int = 0
    ungated: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    missed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def percentage(self) -> float:
        """Equal ones among those that count."""
        return 100 * self.equal / self.cases if self.cases else 100.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the result is 1 where a required class is below `--require`."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore")
    silenced = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return _replay(options)
    finally:
        logging.disable(silenced)


def _replay(options: argparse.Namespace) -> int:
    harness = load_harness(options.harness or options.cases.parent.parent.parent / "conformance")
    server = harness.server.ReplayServer(options.cases).start()
    cases = _chosen(server.cases.values(), options)
    forms = harness.drive.plan = Forms(harness.drive.plan, options.style)
    bare = drive_all(harness, server.base_url, cases, options)
    _forget_clients(harness)
    metered, charges = _drive_metered(harness, server.base_url, cases, options)
    scores = _scores(harness, cases, options, Runs(bare, metered, charges, forms.without))
    _report(scores, options)
    server.stop()
    return int(_below(scores, options.require))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spanledger.testing.replay", description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--variants", type=lambda text: text.split(","), default=["sync", "async"])
    parser.add_argument("--style", choices=("create", "raw", "helper"), default="create")
    parser.add_argument("--limit", type=int, help="take the first so many cases")
    parser.add_argument("--provider", help="take the cases of one provider")
    parser.add_argument("--harness", type=Path, help="where drive.py and replay_server.py are")
    parser.add_argument("--require", type=float, default=0.0, help="the least percentage of equal cases")
    parser.add_argument("--misses", action="store_true", help="list every miss with its reason")
    parser.add_argument("--json", type=Path, help="write the table and the misses to this file")
    return parser


def load_harness(directory: Path) -> Harness:
    """The scripts of a directory."""
    sys.path.insert(0, str(directory.resolve()))
    return Harness(import_module("drive"), import_module("replay_server"))


def _forget_clients(harness: Harness) -> None:
    """The second pass makes clients of its own, as an application that calls `instrument` first does."""
    harness.drive._clients.clear()
    vars(sys.modules.get("boto3", harness.drive))["DEFAULT_SESSION"] = None


def _chosen(cases: Iterable[Case], options: argparse.Namespace) -> list[Case]:
    return [case for case in cases if options.provider in (None, case["provider"])][: options.limit]


def drive_all(
    harness: Harness, base_url: str, cases: Sequence[Case], options: argparse.Namespace
) -> dict[Run, Outcome]:
    """Makes the SDK call of every case in every variant; each carries its run as a tag."""
    outcomes = {}
    for variant in options.variants:
        for case in cases:
            with spanledger.tag(replay=f"{variant} {case['id']}"):
                outcomes[variant, case["id"]] = harness.drive.drive(case, base_url, variant, style=options.style)
    return outcomes


def _drive_metered(
    harness: Harness, base_url: str, cases: Sequence[Case], options: argparse.Namespace
) -> tuple[dict[Run, Outcome], dict[Run, list[Charge]]]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "replay.ledger"
        spanledger.instrument(ledger=ledger)
        try:
            outcomes = drive_all(harness, base_url, cases, options)
        finally:
            spanledger.uninstrument()
        return outcomes, _charges_in(ledger)


def _charges_in(ledger: Path) -> dict[Run, list[Charge]]:
    """The rows on disk, by run. They are read as plain lines: what is judged is what capture has written."""
    lines = (line for segment in ledger.glob("open/*.jsonl") for line in segment.read_bytes().splitlines())
    charges = [Charge(orjson.loads(line)) for line in lines]
    corrected = {charge.corrects for charge in charges}
    found: dict[Run, list[Charge]] = defaultdict(list)
    for charge in charges:
        if charge.charge_id not in corrected:
            variant, _, case_id = (charge.tags or {})["replay"].partition(" ")
            found[variant, case_id].append(charge)
    return found


Class = tuple[str, str, str]


def _scores(harness: Harness, cases: Sequence[Case], options: argparse.Namespace, runs: Runs) -> dict[Class, Score]:
    scores: dict[Class, Score] = defaultdict(Score)
    for variant in options.variants:
        for case in cases:
            run = (variant, case["id"])
            score = scores[case["provider"], case["endpoint"], "stream" if case["streaming"] else "whole"]
            if case["id"] in runs.without:
                score.without += 1
                continue
            score.changed += _changes(case, run, runs.bare[run], runs.metered[run])
            reason = _discounted(harness, case, runs.bare[run])
            if reason is None:
                _judge(score, run, misses(case, runs.charges.get(run, [])))
            else:
                score.ungated[reason] = score.ungated.get(reason, 0) + 1
    return dict(sorted(scores.items()))


def _discounted(harness: Harness, case: Case, bare: Outcome) -> str | None:
    """Why a case does not count, `None` where it does."""
    if not case["strict"]:
        return "the recording is not complete"
    if case["request_synthetic"]:
        return "the request is made up"
    if case["is_error"] and bare["outcome"] == "raised" and bare["status"] != case["response"]["status"]:
        return "the bare SDK raises before it asks"
    verdict = harness.drive.verdict(case, bare)
    return None if verdict == "pass" else VERDICTS.get(verdict, verdict)


def _judge(score: Score, run: Run, wrong: list[str]) -> None:
    score.cases += 1
    score.equal += not wrong
    if wrong:
        score.missed.setdefault("; ".join(wrong), []).append(" ".join(run))


def _changes(case: Case, run: Run, bare: Outcome, metered: Outcome) -> list[str]:
    """How metering changed what the application got; it must not."""
    if tells_unasked(case) and metered.get("n") == bare.get("n", 0) - 1:
        return []
    different = [name for name in SAME if bare.get(name) != metered.get(name)]
    return [f"{' '.join(run)}: {name} {bare.get(name)!r} became {metered.get(name)!r}" for name in different]


def _report(scores: Mapping[Class, Score], options: argparse.Namespace) -> None:
    print(
        f"{'provider':24}{'endpoint':36}{'mode':8}{'cases':>7}{'equal':>7}{'%':>8}{'ungated':>9}{'without':>9}{'changed':>9}"
    )
    for (provider, endpoint, mode), score in scores.items():
        print(f"{provider:24}{endpoint:36}{mode:8}{_cells(score)}")
    print(f"{'all':68}{_cells(_total(scores.values()))}")
    faults = _faults.snapshot()
    print(f"faults in spanledger: {faults['faults'] or 'none'}, charges lost: {faults['lost']}")
    for title, lines in _lists(scores, misses=options.misses).items():
        print(f"\n{title}: {len(lines)}", *lines, sep="\n  ")
    if options.json:
        _write(options, scores, faults)


def _cells(score: Score) -> str:
    ungated = sum(score.ungated.values())
    return f"{score.cases:7}{score.equal:7}{score.percentage:8.2f}{ungated:9}{score.without:9}{len(score.changed):9}"


def _total(scores: Iterable[Score]) -> Score:
    total = Score()
    for score in scores:
        total.cases += score.cases
        total.equal += score.equal
        total.without += score.without
        total.ungated = {"all": sum(total.ungated.values()) + sum(score.ungated.values())}
        total.changed += score.changed
    return total


def _lists(scores: Mapping[Class, Score], *, misses: bool) -> dict[str, list[str]]:
    changed = [f"{' '.join(key)} {line}"[:400] for key, score in scores.items() for line in score.changed]
    missed = [_miss(key, *reason) for key, score in scores.items() for reason in score.missed.items()]
    return {**({"changed by metering": changed} if changed else {}), **({"misses": missed} if misses else {})}


def _miss(key: Class, reason: str, runs: Sequence[str]) -> str:
    return f"{len(runs):5} x {' '.join(key)}: {reason} ({', '.join(runs[:2])}{', ...' if runs[2:] else ''})"


def _write(options: argparse.Namespace, scores: Mapping[Class, Score], faults: Mapping[str, Any]) -> None:
    table = {" ".join(key): {**vars(score), "percentage": score.percentage} for key, score in scores.items()}
    result = {"style": options.style, "variants": options.variants, "classes": table, "faults": faults}
    options.json.write_text(json.dumps(result, indent=1))


def _below(scores: Mapping[Class, Score], required: float) -> bool:
    """Whether a required class, whole or streamed, is below the percentage."""
    return any(score.percentage < required for key, score in scores.items() if key[:2] in REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
