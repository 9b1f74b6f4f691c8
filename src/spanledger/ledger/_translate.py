"""SQL in DuckDB's dialect for an engine that speaks another one, by `sqlglot`: read as a tree, mended, written again.

What the engines write differently is sqlglot's business; what it knows of no ledger (maps that are JSON, integers of
128 bits, moments to the microsecond) each dialect mends in its `mended`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spanledger.errors import LedgerError, MissingExtraError

if TYPE_CHECKING:
    from sqlglot import exp

    from spanledger.ledger._relation import Relation
    from spanledger.ledger._sql import Dialect

_WITH: Final = re.compile(r"\s*WITH(\s+RECURSIVE)?\s", re.IGNORECASE)


def translated(query: str, params: Sequence[Any], relation: Relation, dialect: Dialect) -> str:
    """The query over `relation` for the engine of `dialect`, which then has its parameters.

    Raises `LedgerError` where the text is no SQL of DuckDB's, `MissingExtraError` without sqlglot.
    """
    return over(relation, _written(query, params, dialect))


def over(relation: Relation, query: str) -> str:
    """A query of the engine's own with `charges` and `history` before it."""
    found = _WITH.match(query)
    recursive = " RECURSIVE" if found and found[1] else ""
    rest = f", {query[found.end() :]}" if found else f" {query}"
    views = ", ".join(f"{name} AS ({rows})" for name, rows in relation.named().items())
    return f"WITH{recursive} {views}{rest}"


def _written(query: str, params: Sequence[Any], dialect: Dialect) -> str:
    try:
        import sqlglot
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlglot", "translate") from error
    try:
        tree = sqlglot.parse_one(query, read="duckdb")
    except sqlglot.ParseError as error:
        msg = f"sql: {error}"
        raise LedgerError(msg) from error
    _bind(tree, params, dialect)
    text: str = dialect.mended(tree).sql(dialect=dialect.sqlglot)
    return text


def _bind(tree: exp.Expression, params: Sequence[Any], dialect: Dialect) -> None:
    """Puts the engine's own placeholders where `$1`, `$2` stand."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.Placeholder)):
        number = str(node.this)
        if not number.isdecimal() or not 0 < int(number) <= len(params):
            msg = f"sql: there is no value for ${node.this or ''}: write $1, $2, ... and give as many"
            raise LedgerError(msg)
        node.replace(exp.Var(this=dialect.bind(params[int(number) - 1])))


def retyped(tree: exp.Expression, types: Mapping[str, str], dialect: str) -> exp.Expression:
    """The tree with other types: `types` maps sqlglot's name of one to what the dialect calls it."""
    from sqlglot import exp

    for kind in list(tree.find_all(exp.DataType)):
        if found := types.get(kind.this.name):
            kind.replace(exp.DataType.build(found, dialect=dialect))
    return tree


def of_known(tree: exp.Expression) -> exp.Expression:
    """The tree with every `arg_min` and `arg_max` over known values only, as DuckDB takes them."""
    from sqlglot import exp

    for one in list(tree.find_all(exp.ArgMin, exp.ArgMax)):
        known = exp.Not(this=exp.Is(this=one.this.copy(), expression=exp.Null()))
        if isinstance(one.parent, exp.Filter):
            one.parent.expression.set("this", exp.and_(one.parent.expression.this, known))
        else:
            one.replace(exp.Filter(this=one.copy(), expression=exp.Where(this=known)))
    return tree


def failing(tree: exp.Expression, template: str, dialect: str) -> exp.Expression:
    """The tree with what the engine has for DuckDB's `error(MESSAGE)`: `template`, with `{}` for the message."""
    import sqlglot
    from sqlglot import exp

    for call in list(tree.find_all(exp.Anonymous)):
        if call.name.lower() == "error":
            message = call.expressions[0].sql(dialect=dialect)
            call.replace(sqlglot.parse_one(template.format(message), read=dialect))
    return tree
