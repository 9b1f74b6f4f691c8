"""Whether every line of a ledger can be read: torn and corrupt lines by segment, and what processes reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from spanledger.errors import LedgerError
from spanledger.ledger._files import Files, Lines, count_lines, scan
from spanledger.ledger._locks import held
from spanledger.ledger._period import Period
from spanledger.ledger._rolled import PREFIX, in_period, statements


class Health(NamedTuple):
    """The state of a ledger's files. `reports` are the faults and losses that processes wrote down, by segment.

    `rolled` says of days that were rolled up how much they were and what is forgotten of them.
    """

    segments: Mapping[str, Lines]
    sealed: int
    reports: Mapping[str, Mapping[str, Any]]
    rolled: tuple[str, ...] = ()

    @property
    def charges(self) -> int:
        """The readable charges in open segments."""
        return sum(lines.charges for lines in self.segments.values())

    @property
    def corrupt(self) -> int:
        """The lines that are no charge."""
        return sum(lines.corrupt for lines in self.segments.values())

    @property
    def torn(self) -> int:
        """The last lines that their process did not finish: the charge was not acknowledged."""
        return sum(lines.torn for lines in self.segments.values())

    @property
    def lost(self) -> int:
        """The charges that processes could not keep, as far as they could say so."""
        return sum(int(report.get("lost") or 0) for report in self.reports.values())

    @property
    def ok(self) -> bool:
        """Whether nothing was lost and every finished line is a charge."""
        return not self.corrupt and not self.lost

    def __str__(self) -> str:
        return "\n".join(self._told())

    def _told(self) -> Iterator[str]:
        yield f"{self.charges} charges in {len(self.segments)} open segments, {self.sealed} sealed files"
        for name, lines in self.segments.items():
            if lines.corrupt or lines.torn:
                yield f"{name}: {lines.corrupt} corrupt lines skipped, {lines.torn} torn last line"
        for name, report in self.reports.items():
            yield f"{name}: lost {report.get('lost', 0)} charges, faults {report.get('faults', {})}"
        yield from self.rolled


def health(root: Path) -> Health:
    """Reads every open segment of the ledger at `root` and counts."""
    files = scan(root)
    segments = {segment.path.name: _lines(segment.path) for segment in files.open}
    return Health(segments, len(files.sealed), _reports(root), tuple(_rolled(files)))


def _lines(path: Path) -> Lines:
    """How a segment reads; a last line that is not finished is no fault while a living process writes the segment."""
    lines = count_lines(path)
    if not lines.torn:
        return lines
    with held(path) as mine:
        return lines if mine else lines._replace(torn=0)


def _rolled(files: Files) -> list[str]:
    """What is known of rolled-up days. The engine that reads their footers is loaded only where there are any."""
    sums = [file for file in files.sealed if file.path.name.startswith(PREFIX)]
    if not sums:
        return []
    from spanledger.ledger.engines.duckdb import DuckDB, in_force

    database = DuckDB()
    try:
        files = in_force(database, Files((), tuple(sums)))
        return statements(in_period(files, database.facts(file.path for file in files.sealed), Period()))
    except LedgerError as error:
        return [str(error)]


def _reports(root: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: report for path in sorted(root.glob("health/*.json")) if (report := _read(path))}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        report = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None
