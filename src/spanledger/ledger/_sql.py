"""Questions as SQL: sums and rows rendered for one dialect, every value bound as a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from spanledger.ledger._condition import render_field
from spanledger.ledger._fields import UNIT, Field
from spanledger.ledger._rolled import WEIGHT

if TYPE_CHECKING:
    from sqlglot import exp

MEASURES: Final = {
    "charges": "count(*)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "list_cost": "sum(list_cost)",
    "contracted_cost": "sum(contracted_cost)",
    "effective_cost": "sum(effective_cost)",
    "unpriced": "sum(CASE WHEN list_cost IS NULL OR cost_status = 'partial' THEN 1 ELSE 0 END)",
}
"""What `cost()` sums. `unpriced` counts the charges whose cost is unknown or only a lower bound."""

WEIGHTED: Final = {
    **MEASURES,
    "charges": f"sum({WEIGHT})",
    "unpriced": f"sum(CASE WHEN list_cost IS NULL OR cost_status = 'partial' THEN {WEIGHT} ELSE 0 END)",
}
"""The same where some rows are the sums of several charges."""

UNIT_MEASURES: Final = {
    "charges": "count(*)",
    "quantity": "sum(quantity)",
    "list_cost": "sum(unit_cost)",
    "unpriced": "sum(CASE WHEN unit_cost IS NULL THEN 1 ELSE 0 END)",
}
"""What `cost(by="unit")` sums."""

UNIT_WEIGHTED: Final = {
    **UNIT_MEASURES,
    "charges": f"sum({WEIGHT})",
    "unpriced": f"sum(CASE WHEN unit_cost IS NULL THEN {WEIGHT} ELSE 0 END)",
}

_COUNTS: Final = frozenset({"charges", "input_tokens", "output_tokens", "unpriced"})


class Dialect:
    """How one engine writes what engines write differently; this one is DuckDB's. `params` gathers the bound values."""

    sqlglot: ClassVar[str] = "duckdb"
    """The name that sqlglot has for it."""

    def __init__(self) -> None:
        self.params: list[Any] = []

    def mended(self, tree: exp.Expression) -> exp.Expression:
        """SQL of DuckDB's as a tree, with what sqlglot does not know of this engine put right."""
        return tree

    def bind(self, value: Any) -> str:
        """A placeholder for `value`."""
        self.params.append(value)
        return f"${len(self.params)}"

    def name(self, identifier: str) -> str:
        """An identifier, quoted."""
        escaped = identifier.replace('"', '""')
        return f'"{escaped}"'

    def pattern(self, value: str) -> str:
        """What `like` compares with: a backslash stands for itself, so it is doubled where it escapes."""
        return value

    def lookup(self, column: str, key: str) -> str:
        """The value of `key` in a map column, NULL where it is absent."""
        return f"{column}[{self.bind(key)}]"

    def truncated(self, column: str, part: str) -> str:
        """The instant cut to its period: a date, a timestamp for `hour`."""
        return f"CAST(date_trunc('{part}', {column}) AS {'TIMESTAMP' if part == 'hour' else 'DATE'})"

    def count(self, expression: str) -> str:
        """A whole number of 64 bits."""
        return f"CAST({expression} AS BIGINT)"

    def money(self, expression: str) -> str:
        """An exact amount with the ledger's 15 places."""
        return f"CAST({expression} AS DECIMAL(38, 15))"

    def quantity(self, expression: str) -> str:
        """An exact quantity with 9 places."""
        return f"CAST({expression} AS DECIMAL(38, 9))"

    def by_unit(self, source: str) -> str:
        """`source` with one row for each unit of each charge: `unit`, its `quantity` and `unit_cost`."""
        keys = "list_distinct(list_concat(map_keys(coalesce(usage, MAP {})), map_keys(coalesce(costs, MAP {}))))"
        inner = f"SELECT *, unnest({keys}) AS unit FROM {source}"
        return f"(SELECT *, usage[unit] AS quantity, costs[unit] AS unit_cost FROM ({inner})) AS by_unit"


class Source(NamedTuple):
    """Rows to sum; `currency` is that of all of them, where it is known: then no row need be asked for its own."""

    rows: str
    currency: str | None = None


def cost(  # noqa: PLR0913 -- one question, its parts by name
    sources: Sequence[Source],
    by: Sequence[Field],
    clause: str,
    limit: int | None,
    dialect: Dialect,
    *,
    weighted: bool = False,
) -> str:
    """The question of `cost()`: sums of the measures for each combination of the dimensions and each currency.

    Each source is summed in the types that it has, and the sums are added. `weighted` is where rows may be sums of
    several charges.
    """
    measures = _measures(by, weighted=weighted)
    sums = [f"{_exact(name, sql, dialect)} AS {name}" for name, sql in measures.items()]
    keys = [f"{render_field(field, dialect)} AS {dialect.name(field.name)}" for field in by]
    parts = [_summed(source, by, keys, sums, f"WHERE {clause}", dialect) for source in sources]
    names = [*(field.name for field in by), *(() if _has_currency(by) else ("currency",))]
    sql = parts[0] if len(parts) == 1 else _added(parts, names, list(measures), dialect)
    order = ", ".join(_order(by, len(names) + 1 + list(measures).index("list_cost")))
    most = "" if limit is None else f" LIMIT {int(limit)}"
    return f"{sql} ORDER BY {order}{most}"


def _summed(  # noqa: PLR0913, PLR0917 -- the parts of one SELECT
    source: Source, by: Sequence[Field], keys: Sequence[str], sums: Sequence[str], clause: str, dialect: Dialect
) -> str:
    """The sums of one source."""
    rows = dialect.by_unit(source.rows) if UNIT in by else source.rows
    if _has_currency(by):
        return _grouped([*keys, *sums], f"{rows} {clause}", len(keys))
    if by and source.currency is not None:  # without a dimension, currencies are what makes groups
        return _grouped([*keys, f"{dialect.bind(source.currency)} AS currency", *sums], f"{rows} {clause}", len(keys))
    return _grouped([*keys, "coalesce(currency, 'USD') AS currency", *sums], f"{rows} {clause}", len(keys) + 1)


def _added(parts: Sequence[str], keys: Sequence[str], measures: Sequence[str], dialect: Dialect) -> str:
    """The sums of several sources together. Columns go by place: a tag may have the name of a measure."""
    places = [f"c{place}" for place in range(1, len(keys) + len(measures) + 1)]
    named = [f"{place} AS {dialect.name(key)}" for place, key in zip(places, keys, strict=False)]
    sums = zip(places[len(keys) :], measures, strict=True)
    added = [f"{_exact(name, f'sum({place})', dialect)} AS {name}" for place, name in sums]
    return _grouped([*named, *added], f"({' UNION ALL '.join(parts)}) AS parts({', '.join(places)})", len(keys))


def _grouped(columns: Sequence[str], rows: str, keys: int) -> str:
    groups = ", ".join(str(place) for place in range(1, keys + 1))
    return f"SELECT {', '.join(columns)} FROM {rows} GROUP BY {groups}"


def _has_currency(by: Sequence[Field]) -> bool:
    return any(field.name == "currency" for field in by)


def _measures(by: Sequence[Field], *, weighted: bool) -> Mapping[str, str]:
    plain, heavy = (UNIT_MEASURES, UNIT_WEIGHTED) if UNIT in by else (MEASURES, WEIGHTED)
    return heavy if weighted else plain


def _exact(name: str, sql: str, dialect: Dialect) -> str:
    if name in _COUNTS:
        return dialect.count(sql)
    return dialect.quantity(sql) if name == "quantity" else dialect.money(sql)


def _order(by: Sequence[Field], dearest: int) -> Iterator[str]:
    """By place, as engines differ in what a name means that is a column's and an answer's: time, else the dearest."""
    timed = [place for place, field in enumerate(by, 1) if field.part]
    yield from map(str, timed)
    if not timed:
        yield f"{dearest} DESC NULLS LAST"
    yield from (f"{place} NULLS LAST" for place in range(1, len(by) + 2) if place not in timed and place != dearest)


def charges(source: str, fields: Sequence[Field], clause: str, limit: int | None, dialect: Dialect) -> str:
    """The question of `charges()`: the rows in order of time, the latest `limit` of them."""
    columns = ", ".join(f"{render_field(field, dialect)} AS {dialect.name(field.name)}" for field in fields)
    rows = f"SELECT {columns}, started_at AS _at, charge_id AS _id FROM {source} WHERE {clause}"
    if limit is not None:
        rows = f"SELECT * FROM ({rows}) AS found ORDER BY _at DESC, _id DESC LIMIT {int(limit)}"
    names = ", ".join(dialect.name(field.name) for field in fields)
    return f"SELECT {names} FROM ({rows}) AS chosen ORDER BY _at, _id"


def tag_names(source: str) -> str:
    """The question for the keys of the map `tags`."""
    return f"SELECT DISTINCT unnest(map_keys(tags)) AS tag FROM {source} WHERE tags IS NOT NULL ORDER BY 1"
