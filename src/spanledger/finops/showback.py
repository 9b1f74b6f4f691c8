"""Showback and chargeback: the same lines as a memo for owners, and as a balanced journal for the books."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spanledger.errors import PlanError
from spanledger.finops._exact import to_decimal, to_femto
from spanledger.finops._views import View, grouped

if TYPE_CHECKING:
    from spanledger.finops.statements import Statement

ONE_COLUMN = ("direct", "shared", "correction")
"""Kinds that need no name of their own beside the source's."""


def column_of(source: str, kind: str) -> str:
    """What a source of cost is called at the head of a column: `gateway`, `ptu: idle`."""
    return source if kind in ONE_COLUMN or kind == source else f"{source}: {kind}"


def showback(statement: Statement, levels: Sequence[str]) -> View:
    """One row an owner, one column a source of cost, then `total`."""
    rows = grouped(statement.lines, [*levels, "source", "kind"], ["amount"])
    columns = sorted({(row["kind"] != "direct", row["source"], row["kind"]) for row in rows})
    owners: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[level] for level in levels)
        blank = {column_of(source, kind): statement.nothing for _, source, kind in columns}
        owner = owners.setdefault(key, {**dict(zip(levels, key, strict=True)), **blank, "total": statement.nothing})
        owner[column_of(row["source"], row["kind"])] += row["amount"]
        owner["total"] += row["amount"]
    rows = sorted(owners.values(), key=lambda owner: -owner["total"])
    return View.of(rows, total="total", columns=(*levels, "total"))


@dataclass(frozen=True)
class Journal:
    """A balanced journal: `entries` has `account`, `owner`, `method`, `debit`, `credit`; `total` is either side.

    A source that came to less than nothing (a credit) is debited, and its owners credited.
    """

    period: str
    currency: str
    entries: View
    total: Decimal

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits."""
        return self.entries.sum("debit") == self.entries.sum("credit")

    def to_csv(self) -> str:
        """The entries as comma-separated text."""
        return self.entries.to_csv()

    def _repr_html_(self) -> str:
        return self.entries.to_html()


def chargeback(statement: Statement, levels: Sequence[str], invoice: Decimal | str | None) -> Journal:
    """Credits each source of cost and debits its owners at `levels`."""
    if invoice is not None:
        _tie(statement, invoice)
    rows = grouped(statement.lines, ["source", "kind", "method", *levels], ["amount"])
    entries: list[dict[str, Any]] = []
    for source in grouped(statement.lines, ["source", "kind", "method"], ["amount"]):
        name = column_of(source["source"], source["kind"])
        entries.append(_entry(f"pool:{name}", "", source["method"], -source["amount"]))
        mine = [row for row in rows if all(row[key] == source[key] for key in ("source", "kind", "method"))]
        entries += [
            _entry(f"expense:{name}", " / ".join(row[level] for level in levels), row["method"], row["amount"])
            for row in mine
            if row["amount"]
        ]
    view = View.of(entries, columns=("account", "owner", "method", "debit", "credit"))
    return Journal(statement.period.label, statement.currency, view, view.sum("debit"))


def _entry(account: str, owner: str, method: str, amount: Decimal) -> dict[str, Any]:
    nothing = amount - amount
    return {
        "account": account,
        "owner": owner,
        "method": method,
        "debit": amount if amount > 0 else nothing,
        "credit": -amount if amount < 0 else nothing,
    }


def _tie(statement: Statement, invoice: Decimal | str) -> None:
    gap = to_femto(invoice) - to_femto(statement.total)
    if gap:
        what = f"is {statement.total} and the invoice {invoice}, {to_decimal(gap).normalize():f} apart"
        msg = f"chargeback: the statement {what}: add the difference as a pool (a true-up, a credit, tax)"
        raise PlanError(msg)


def to_text(statement: Statement) -> str:
    """The statement as plain text: head, owners at the top level, what is open, checks."""
    head = f"{statement.plan} {statement.version}, {statement.period.label}, {statement.currency} at {statement.basis}"
    return "\n".join([head, "", showback(statement, statement.hierarchy[:1]).to_text(), "", *notes(statement)])


def notes(statement: Statement) -> list[str]:
    """What a reader must know beside the table."""
    failed = [check.name for check in statement.checks if not check.ok]
    found = [f"total {statement.total}, of which unallocated {statement.unallocated}"]
    found += [f"idle {statement.idle} of commitments"] * bool(statement.commitments)
    unpriced = sum(row["unpriced"] for row in grouped(statement.lines, [], ["unpriced"]))
    found += [f"{unpriced} charges have no known cost, or a lower bound only"] * bool(unpriced)
    return [*found, f"checks: {len(statement.checks)} tie" if not failed else f"CHECKS THAT FAIL: {', '.join(failed)}"]


def to_html(statement: Statement) -> str:
    """The statement for a notebook; everything in it escaped."""
    title = html.escape(f"{statement.plan} {statement.version}: {statement.period.label}, {statement.currency}")
    lines = "".join(f"<li>{html.escape(note)}</li>" for note in notes(statement))
    return f"<h4>{title}</h4>{showback(statement, statement.hierarchy).to_html()}<ul>{lines}</ul>"
