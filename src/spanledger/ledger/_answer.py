"""The rows of an answer: few as Python values, for Arrow takes a fifth of a second to load, and many as Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

PLAIN_KINDS: Final = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL")
"""The types that `Few` can hold and bring to Arrow, as DuckDB names them."""


class Few(NamedTuple):
    """Rows as tuples of Python values; `kinds` are the types of the columns as DuckDB names them."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: list[tuple[Any, ...]]

    def select(self, names: Sequence[str]) -> Few:
        """The same rows with only these columns."""
        places = [self.names.index(name) for name in names]
        chosen = [tuple(row[place] for place in places) for row in self.values]
        return Few(tuple(names), tuple(self.kinds[place] for place in places), chosen)

    def first(self, most: int | None) -> Few:
        """The first rows."""
        return self._replace(values=self.values[:most])

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries, moments in UTC."""
        return [dict(zip(self.names, map(_in_utc, row), strict=True)) for row in self.values]

    def column(self, name: str) -> list[Any]:
        """The values of one column, moments in UTC."""
        place = self.names.index(name)
        return [_in_utc(row[place]) for row in self.values]

    def size(self) -> int:
        """How many rows."""
        return len(self.values)

    def numeric(self) -> list[bool]:
        """Whether each column is a number."""
        return [kind.startswith(("DECIMAL", "BIGINT", "DOUBLE")) for kind in self.kinds]

    def arrow(self) -> pa.Table:
        """As Arrow, in the types that DuckDB would have given."""
        import pyarrow as pa

        types = [_arrow_type(kind) for kind in self.kinds]
        columns = [pa.array(self.column(name), kind) for name, kind in zip(self.names, types, strict=True)]
        return pa.table(columns, pa.schema(list(zip(self.names, types, strict=True))))


class Many:
    """Rows as an Arrow table, moments in UTC."""

    def __init__(self, table: pa.Table) -> None:
        import pyarrow as pa

        utc = [
            field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
            for field in table.schema
        ]  # which they are: engines keep them without a zone
        self._table = table.cast(pa.schema(utc))
        self.names: tuple[str, ...] = tuple(table.column_names)

    def select(self, names: Sequence[str]) -> Many:
        """The same rows with only these columns."""
        return Many(self._table.select(list(names)))

    def first(self, most: int | None) -> Many:
        """The first rows."""
        return Many(self._table.slice(0, most))

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries; maps are dictionaries too."""
        maps = [field.name for field in self._table.schema if str(field.type).startswith("map<")]
        rows: list[dict[str, Any]] = self._table.to_pylist()
        for row in rows:
            row.update({name: dict(row[name]) for name in maps if row[name] is not None})
        return rows

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        values: list[Any] = self._table[name].to_pylist()
        return values

    def size(self) -> int:
        """How many rows."""
        return int(self._table.num_rows)

    def numeric(self) -> list[bool]:
        """Whether each column is a number."""
        numbers = ("decimal", "int", "uint", "double", "float")
        return [str(field.type).startswith(numbers) for field in self._table.schema]

    def arrow(self) -> pa.Table:
        """The table."""
        return self._table


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa

    if kind.startswith("DECIMAL"):
        precision, scale = kind[len("DECIMAL(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", "UTC"),
    }[kind]
