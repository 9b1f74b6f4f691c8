"""What a question to the ledger answers: rows that convert to Arrow, pandas and polars, and a table to look at."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from spanledger.errors import MissingExtraError
from spanledger.ledger._answer import Few, Many

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

MONEY: Final = frozenset({"list_cost", "contracted_cost", "effective_cost", "provider_cost", "unit_cost", "cost"})
_SHOWN: Final = 50
_PLACES: Final = Decimal("0.000001")


class Result:
    """The rows of an answer, in order. Money is `Decimal`, moments are aware in UTC, `None` is not known.

    `total` names the column whose share of the sum is shown beside each row, if any. `notes` are sentences on what the
    answer is made of, shown below it.
    """

    def __init__(self, table: pa.Table | Few, total: str | None = None, notes: Sequence[str] = ()) -> None:
        self._answer: Few | Many = table if isinstance(table, Few) else Many(table)
        self._total = total
        self.notes = tuple(notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return self._answer.names

    def select(self, columns: Sequence[str]) -> Result:
        """The same rows with only these columns."""
        return self._of(self._answer.select(columns))

    def values(self, column: str) -> list[Any]:
        """The values of one column, in order."""
        return self._answer.column(column)

    def to_arrow(self) -> pa.Table:
        """The Arrow table: money is `decimal128(38, 15)`, moments are `timestamp[us, UTC]`."""
        if isinstance(self._answer, Few):
            self._answer = Many(self._answer.arrow())
        return self._answer.arrow()

    def to_pandas(self) -> pd.DataFrame:
        """A pandas frame with Arrow-backed columns, so that money stays exact."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError(error.name or "pandas", "pandas") from error
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def to_polars(self) -> pl.DataFrame:
        """A polars frame; money is `Decimal`, a map is a list of `key`, `value` structs."""
        try:
            import polars as pl
        except ImportError as error:
            raise MissingExtraError(error.name or "polars", "polars") from error
        frame = pl.from_arrow(self.to_arrow())
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries; maps are dictionaries too."""
        return self._answer.rows()

    def to_csv(self) -> str:
        """Comma-separated text with a header, every amount in full; unknown is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_exact(value) for value in row.values()] for row in self.rows())
        return out.getvalue()

    def to_json(self) -> str:
        """A JSON array of the rows; amounts are text, so that no reader makes floats of them."""
        import orjson

        rows = [{name: plain(value) for name, value in row.items()} for row in self.rows()]
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()

    def to_text(self, most: int | None = None) -> str:
        """A table in plain text, money rounded to six places for the eye; `most` rows, all by default."""
        head, lines, numeric = self._shown(most)
        widths = [max(len(cell) for cell in column) for column in zip(head, *lines, strict=True)]

        def line(cells: Sequence[str]) -> str:
            aligned = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, numeric, strict=True)
            )
            return "  ".join(aligned).rstrip()

        rule = "  ".join("-" * width for width in widths)
        return "\n".join([line(head), rule, *map(line, lines), *self._rest(most)])

    def to_html(self, most: int | None = None) -> str:
        """An HTML table, everything in it escaped."""
        head, lines, numeric = self._shown(most)
        aligns = ["right" if right else "left" for right in numeric]

        def row(cells: Sequence[str], tag: str) -> str:
            styled = (
                f'<{tag} style="text-align:{align}">{html.escape(cell)}</{tag}>'
                for cell, align in zip(cells, aligns, strict=True)
            )
            return f"<tr>{''.join(styled)}</tr>"

        body = "".join(row(cells, "td") for cells in lines)
        rest = "".join(f"<p>{html.escape(text)}</p>" for text in self._rest(most))
        return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>{rest}"

    def __len__(self) -> int:
        return self._answer.size()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __repr__(self) -> str:
        return self.to_text(_SHOWN)

    def _repr_html_(self) -> str:
        return self.to_html(_SHOWN)

    def _rest(self, most: int | None) -> list[str]:
        cut = [] if most is None or len(self) <= most else [f"... {len(self) - most} more of {len(self)} rows"]
        return [*cut, *self.notes]

    def _shown(self, most: int | None) -> tuple[list[str], list[list[str]], list[bool]]:
        rows = self._answer.first(most).rows()
        head = list(self.columns)
        lines = [[cell(name, row[name]) for name in head] for row in rows]
        numeric = self._answer.numeric()
        if self._total and self._total in head:
            _add_shares(lines, [row[self._total] for row in rows], self._sum(self._total))
            head, numeric = [*head, "share"], [*numeric, True]
        return head, lines, numeric

    def _sum(self, column: str) -> Decimal:
        return sum((value for value in self.values(column) if value is not None), Decimal())

    def _of(self, answer: Few | Many) -> Result:
        return Result(answer if isinstance(answer, Few) else answer.arrow(), self._total, self.notes)


def _add_shares(lines: list[list[str]], amounts: Sequence[Decimal | None], total: Decimal) -> None:
    for line, amount in zip(lines, amounts, strict=True):
        line.append("" if amount is None or not total else f"{100 * amount / total:.1f}%")


def cell(name: str, value: Any) -> str:
    """A value for the eye, on one line."""
    if value is None:
        return ""
    if name in MONEY:
        return money_cell(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping):
        return visible(", ".join(f"{key}={_exact(part)}" for key, part in value.items()))
    return visible(_exact(value))


def visible(text: str) -> str:
    """Text on one line, with what would move a terminal's cursor or colour it written out as an escape."""
    text = " ".join(text.split())
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def money_cell(amount: Decimal) -> str:
    rounded = amount.quantize(_PLACES)
    if amount and not rounded:
        return "<0.000001" if amount > 0 else ">-0.000001"
    return f"{rounded:,}"


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping | list):
        import orjson

        return orjson.dumps(plain(value)).decode()
    return value.isoformat() if isinstance(value, date) else str(value)


def plain(value: Any) -> Any:
    """A value as JSON has it, amounts as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return _exact(value) if isinstance(value, Decimal | datetime | date) else value
