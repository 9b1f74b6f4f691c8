"""Tables of a statement to look at and to take away: as the ledger's answers, with amounts at their own scale."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanledger.finops._exact import to_decimal, to_femto
from spanledger.ledger import Result

if TYPE_CHECKING:
    import pyarrow as pa


LONG_SCALE: Final = 6


class View(Result):
    """Rows of a statement. Money is `Decimal` at the scale that it was rounded to."""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], total: str | None = None, columns: Sequence[str] = ()) -> View:
        """A view of rows, all of which have the same columns; amounts keep their scale.

        `columns` are the names where there is no row to tell them.
        """
        import pyarrow as pa

        names = list(rows[0]) if rows else columns
        return cls(pa.table({name: _column([row[name] for row in rows]) for name in names}), total)

    def sum(self, column: str) -> Decimal:
        """The exact sum of a column of money."""
        import pyarrow.compute as pc

        found = pc.sum(self.to_arrow()[column]).as_py()
        return Decimal(0 if found is None else found)

    def to_csv(self) -> str:
        """Comma-separated text with a header, amounts at their scale; unknown is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_text(value) for value in row.values()] for row in self.rows())
        return out.getvalue()

    def _shown(self, most: int | None) -> tuple[list[str], list[list[str]], list[bool]]:
        head, lines, numeric = super()._shown(most)
        money = [name for name in self.columns if str(self.to_arrow().schema.field(name).type).startswith("decimal")]
        rows = self.to_arrow().slice(0, most).select(money).to_pylist()
        for line, row in zip(lines, rows, strict=True):
            for name, amount in row.items():
                line[head.index(name)] = _for_the_eye(amount)
        return head, lines, numeric


def _for_the_eye(amount: Decimal | None) -> str:
    """A published amount at its scale; one with many places without those that are zero, of which two stay."""
    if amount is None:
        return ""
    text = f"{amount:,f}"
    whole, _, places = text.partition(".")
    return text if len(places) <= LONG_SCALE else f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _column(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    scales = [_scale(value) for value in values if isinstance(value, Decimal)]
    return pa.array(values, pa.decimal128(38, max(scales))) if scales else pa.array(values)


def _scale(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None else str(value)


def grouped(view: Result, keys: Sequence[str], sums: Sequence[str]) -> list[dict[str, Any]]:
    """Sums of columns by keys, in order of the keys; none where there are no rows."""
    table = view.to_arrow()
    if not table.num_rows:
        return []
    found = table.group_by(list(keys)).aggregate([(name, "sum") for name in sums])
    order = found.sort_by([(key, "ascending") for key in keys]) if keys else found
    return [
        {**{key: row[key] for key in keys}, **{name: row[f"{name}_sum"] for name in sums}} for row in order.to_pylist()
    ]


def total_of(amounts: Sequence[Decimal]) -> Decimal:
    """An exact sum, which `sum` is not beyond 28 digits."""
    return to_decimal(sum(to_femto(amount) for amount in amounts))
