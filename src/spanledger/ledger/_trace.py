"""One trace: its charges, and a tree of what each workflow, step and call in it cost."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from spanledger.ledger._result import Result, money_cell


class Node:
    """One part of a trace with everything below it. `list_cost` leaves out what `unpriced` charges cost."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: dict[str, Node] = {}
        self.charges = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.list_cost = Decimal()
        self.unpriced = 0

    def child(self, key: str, name: str | None = None) -> Node:
        """The part of that key, made where there is none."""
        return self.children.setdefault(key, Node(key if name is None else name))

    def add(self, row: dict[str, Any]) -> None:
        """Counts one charge."""
        self.charges += 1
        self.input_tokens += row["input_tokens"] or 0
        self.output_tokens += row["output_tokens"] or 0
        self.list_cost += row["list_cost"] or 0
        self.unpriced += row["list_cost"] is None or row["cost_status"] == "partial"

    def lines(self, lead: str = "", below: str = "") -> Iterator[tuple[str, Node]]:
        """Each part with its name behind the branches of the tree, from the top down."""
        yield lead + self.name, self
        last = len(self.children) - 1
        for place, child in enumerate(self.children.values()):
            here, next_below = ("└─ ", "   ") if place == last else ("├─ ", "│  ")
            yield from child.lines(below + here, below + next_below)


class Trace:
    """The charges of one trace or one run of a workflow, and the tree of their cost."""

    def __init__(self, key: str, charges: Result) -> None:
        self.id = key
        self.charges = charges
        self.tree = cost_tree(key, charges)

    @property
    def cost(self) -> Decimal:
        """The list cost of the whole; `unpriced` says how many charges it leaves out."""
        return self.tree.list_cost

    @property
    def unpriced(self) -> int:
        """How many charges have no known cost, or only a lower bound of one."""
        return self.tree.unpriced

    def to_text(self) -> str:
        """The tree in plain text."""
        rows = [(name, *_figures(node)) for name, node in self.tree.lines()]
        table = [("", "charges", "input", "output", "list cost"), *rows]
        widths = [max(len(row[place]) for row in table) for place in range(5)]
        return "\n".join(_line(row, widths) for row in table)

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.to_text())}</pre>"


def cost_tree(key: str, charges: Result) -> Node:
    """The tree: workflow, the steps of its path, then each call by its span."""
    top = Node(key)
    for row in charges.rows():
        for node in _path(top, row):
            node.add(row)
    return top


def _path(top: Node, row: dict[str, Any]) -> Iterator[Node]:
    yield top
    node = top
    step = (row["tags"] or {}).get("step") or ""
    for name in [row["workflow"], *step.split("/")]:
        if name:
            node = node.child(name)
            yield node
    model = row["billed_model"] or row["response_model"] or row["request_model"] or "unknown model"
    trouble = "" if row["status"] == "ok" else f" ({row['status']})"
    yield node.child(row["span_id"] or row["charge_id"], f"{row['operation']} {model}{trouble}")


def _figures(node: Node) -> tuple[str, str, str, str]:
    unpriced = f" + {node.unpriced} unpriced" if node.unpriced else ""
    return f"{node.charges}", f"{node.input_tokens}", f"{node.output_tokens}", money_cell(node.list_cost) + unpriced


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    figures = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *figures])
