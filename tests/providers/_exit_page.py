"""The page of the documentation that says what each call books however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from spanledger._types import Charge

DOCS = "SPANLEDGER_DOCS"
"""The documentation, where its page is to be made anew."""


class Page:
    """The page of the documentation that says what each call books, cell by cell; every cell is held to its charge."""

    HEAD = """# What a call books, however it ends

Each way to call x each way for it to end, with the real SDKs against a server on loopback that plays the fault. A cell
is the one charge: its `status`, its `usage_source` with the tokens of input + output where there is a usage, and its
`cost_status`. The server reports 100 + 40 at the end of an answer; a stream that ends early has sent three words. Made
by `SPANLEDGER_DOCS=docs pytest tests/providers/test_exits.py`; a test fails where a cell is not what happens.

A provider bills what it made, whoever hung up. An error event in the place of an answer is a refusal, as a status of
400 is. Once an answer has begun, but no text has come, nobody knows whether the prompt is billed. The usage of a stream
that ended early is *partial*: what was reported by then, and for the rest an estimate of the text that was sent and
seen; so is that of a whole answer that came and could not be read. Its cost is a lower bound. `(none)` is a stream
whose request never went out.

*Raw* is `with_raw_response`, parsed or never parsed; what is *read* is read under `with_streaming_response`.
"""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: dict[tuple[str, str], str] = {}
        self.written = path.read_text() if path.exists() else ""

    def check(self, shape: str, exit_: str, charges: list[Charge]) -> None:
        cell = self.cells[shape, exit_] = "; ".join(map(_cell, charges)) or "(none)"
        if not os.environ.get(DOCS):
            assert self.known[shape, exit_] == cell

    @cached_property
    def known(self) -> Mapping[tuple[str, str], str]:
        """The cells of the page as it stands."""
        rows = [[part.strip() for part in line.split("|")[1:-1]] for line in self.written.splitlines() if "|" in line]
        tables: dict[tuple[str, str], str] = {}
        names: list[str] = []
        for shape, *cells in rows:
            if shape == "shape":
                names = cells
            elif cells and set(cells[0]) != {"-"}:
                tables.update({(shape, name): cell for name, cell in zip(names, cells, strict=True) if cell})
        return tables

    def write(self, shapes: Mapping[str, bool], exits: Iterable[str]) -> None:
        """Of these shapes, each with whether it streams, and these exits, in their order."""
        parts = [self.HEAD]
        for title, streams in (("Whole answers", False), ("Streams", True)):
            rows = [name for name, streamed in shapes.items() if streamed is streams]
            columns = [exit_ for exit_ in exits if any((row, exit_) in self.cells for row in rows)]
            parts += [f"## {title}\n", self._table(rows, columns)]
        self.path.write_text("\n".join(parts))

    def _table(self, rows: Iterable[str], columns: list[str]) -> str:
        lines = [f"| shape | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        lines += [f"| {row} | {' | '.join(self.cells.get((row, name), '') for name in columns)} |" for row in rows]
        return "\n".join(lines) + "\n"


def _cell(charge: Charge) -> str:
    usage = f"{charge.usage_source} {charge.input_tokens} + {charge.output_tokens}" if charge.usage_source else None
    return " · ".join(part for part in (charge.status, usage, charge.cost_status) if part)
