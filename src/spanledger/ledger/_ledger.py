"""`Ledger`: questions to a ledger directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanledger._types import COLUMNS
from spanledger.errors import LedgerError
from spanledger.ledger import _handling, _rolled, _sql
from spanledger.ledger._condition import Condition
from spanledger.ledger._damage import is_nameless
from spanledger.ledger._expression import fields_of, parse
from spanledger.ledger._fields import Field, dimensions, resolve, tags_of
from spanledger.ledger._files import Files
from spanledger.ledger._health import Health, health
from spanledger.ledger._overdue import Overdue
from spanledger.ledger._period import ALWAYS, Period, When, duration, period
from spanledger.ledger._reader import Reader, located
from spanledger.ledger._relation import EXTRA, Piece, Relation
from spanledger.ledger._result import Result
from spanledger.ledger._room import with_room
from spanledger.ledger._trace import Trace
from spanledger.ledger.engines import Engine, engine_of
from spanledger.ledger.engines.duckdb import MEMORY, DuckDB, Shape, every_row, in_force, is_out_of_memory

if TYPE_CHECKING:
    import pyarrow as pa

    from spanledger.finops import Statement
    from spanledger.finops.plan import GivenPlan
    from spanledger.ledger._retain import Retained


class Ledger:
    """A ledger directory to ask questions of, while any number of processes append to it.

    `where` is an expression such as `team = 'growth' and status in ('error', 'aborted')`, or a mapping of field to
    value, list of values or `None`. `since`, `until` (not included) and `last` (`30d`, `12h`) bound `started_at`, UTC.
    Answers show the current view: a charge that was written twice counts once, and a corrected one as corrected.
    `engine` is `duckdb`, or for the sealed half `clickhouse`, `spark`, an address of `spark://` or `postgresql://`, or
    an `Engine`: every question is asked there. `path` may be where a ledger was shipped to, `s3://...`: the days of a
    question are copied here before it is asked.
    `memory` is how much DuckDB may take before it goes on on disk, in the ledger: a part of what there is, or `2GB`.
    `sealing="off"`, or so in `SPANLEDGER_SEALING`, keeps questions from starting `spanledger seal`, at low priority,
    where they meet 64 MiB of closed segments.
    Raises `LedgerError` that names the field or file that is wrong, `MissingExtraError` without DuckDB.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        engine: str | Engine = "duckdb",
        memory: str = MEMORY,
        sealing: str | None = None,
    ) -> None:
        place = located(os.fspath(path))
        self.path = place.root
        self._engine = DuckDB(memory=memory)
        other = None if engine == "duckdb" else engine_of(engine) if isinstance(engine, str) else engine
        self._reader = Reader(place, self._engine, other, Overdue(place.root, "off" if place.source else sealing))

    def cost(  # noqa: PLR0913 -- one question, its parts by name
        self,
        by: str | Iterable[str] = (),
        *,
        since: When = None,
        until: When = None,
        last: str | timedelta | None = None,
        where: str | Mapping[str, Any] | None = None,
        limit: int | None = None,
        history: bool = False,
    ) -> Result:
        """What charges cost, summed by the dimensions `by`, the dearest first, or in order of time; the first `limit`.

        Dimensions are columns, `model`, `hour`, `day`, `week`, `month`, `unit`, and tags (`tag:NAME`). Columns: the
        dimensions, `charges`, `input_tokens`, `output_tokens`, `list_cost`, `contracted_cost`, `effective_cost`, and
        `unpriced`: how many charges have no known cost or only a lower bound. By `unit`: `charges`, `quantity`,
        `list_cost`, `unpriced`. A column `currency` comes with more than one currency: amounts of two are never added.
        """
        fields = dimensions(by, self.tags)
        condition = self._condition(where)
        within = period(since, until, last)

        def ask(relation: Relation) -> Result:
            dialect = self._reader.asked.dialect()
            clause = condition.clause(within, dialect)
            sources = [
                _sql.Source(f"({piece.history if history else piece.current}) AS charges", piece.currency)
                for piece in relation.pieces
            ]
            sql = _sql.cost(sources, fields, clause, limit, dialect, weighted=bool(relation.rolled))
            other = self._reader.other
            answer = (other.query if other else self._engine.answer)(sql, dialect.params)
            return _one_currency(Result(answer, "list_cost", _rolled.notes(relation.rolled)), fields)

        shape = Shape(tags=tags_of([*fields, *condition.fields.values()]), narrow=True)
        handling = _handling.refuse("history") if history else _handling.answer(fields, condition.fields.values())
        return self._reader.over_relation(ask, within, handling, shape)

    def charges(  # noqa: PLR0913 -- one question, its parts by name
        self,
        where: str | Mapping[str, Any] | None = None,
        *,
        since: When = None,
        until: When = None,
        last: str | timedelta | None = None,
        columns: Iterable[str] | None = None,
        limit: int | None = None,
        history: bool = False,
        rolled: str = "refuse",
    ) -> Result:
        """The charges themselves, in order of time. `columns` may name what `cost(by=)` may, and `extra`.

        `extra` has, as JSON, what a newer version of spanledger wrote and this one does not know. `limit` gives the
        latest so many. `history` gives every row that was ever written, corrected ones too. `rolled="skip"` leaves out
        days that were rolled up, which otherwise are refused.
        """
        names = [column.name for column in COLUMNS] if columns is None else [name.strip() for name in columns]
        fields = [EXTRA if name == "extra" else resolve(name, "columns", self.tags) for name in names]
        condition = self._condition(where)
        within = period(since, until, last)

        def ask(relation: Relation) -> Result:
            dialect = self._reader.asked.dialect()
            clause = condition.clause(within, dialect)
            source = relation.history if history else relation.current
            sql = _sql.charges(f"({source}) AS charges", fields, clause, limit, dialect)
            return Result(self._reader.asked.query(sql, dialect.params))

        handling = _handling.chosen(rolled, {"refuse": _handling.refuse("charges"), "skip": _handling.skip})
        shape = Shape("extra" in names, tags_of([*fields, *condition.fields.values()]))
        return self._reader.over_relation(ask, within, handling, shape)

    def trace(self, key: str) -> Trace:
        """The charges of one trace, or of one run of a workflow, and a tree of their cost. `key` is either's id.

        It is looked for on days that were not rolled up.
        """
        where = f"trace_id = {_quoted(key)} or workflow_id = {_quoted(key)}"
        moments = [row["started_at"] for row in self.charges(where, columns=["started_at"], rolled="skip")]
        if not moments:
            gone = "".join(f"; {note}" for note in self.health().rolled)
            msg = f"trace: no charge has trace_id or workflow_id {key!r}{gone}"
            raise LedgerError(msg)
        days = {"since": moments[0], "until": moments[-1] + timedelta(microseconds=1)}
        return Trace(key, self.charges(where, rolled="skip", **days))

    def sql(  # noqa: PLR0913 -- one question, its parts by name
        self,
        query: str,
        params: Sequence[Any] = (),
        *,
        since: When = None,
        until: When = None,
        tables: Mapping[str, pa.Table] | None = None,
        rolled: str = "refuse",
    ) -> Result:
        """The answer to SQL of your own, in DuckDB's dialect, over the relations `charges` and `history`.

        `charges` is the current view, `history` every row that was ever written. Bind values: `$1`, `$2`, ...
        `since` and `until` bound the days that are read; rows of those days the query must bound itself. Another engine
        is asked the same by way of sqlglot. Where Arrow `tables` are given the query is over those, by name, in DuckDB,
        and no charge is read.

        Days that were rolled up are refused. With `rolled="skip"` they are left out; with `"include"` the query knows
        that a row of theirs is `charge_count` charges at the midnight of their day: `charges` has only the columns that
        they kept then, and there is no `history`.
        """
        if tables is not None:
            return Result(with_room(self.path, self._engine, partial(self._engine.over, tables, query, params)))

        within = period(since, until)

        def ask(relation: Relation) -> Result:
            if relation.rolled:
                return self._over_sums(relation, within, query, params)
            return Result(self._reader.answered(relation, query, params))

        choices = {"refuse": _handling.refuse("sql"), "skip": _handling.skip, "include": _handling.include}
        return self._reader.over_relation(ask, within, _handling.chosen(rolled, choices))

    def retain(self, older_than: str | timedelta, *, by: str | Iterable[str] = (), drop: bool = False) -> Retained:
        """Replaces the charges of days that are wholly older than `older_than` (`400d`) by exact sums.

        Kept are day, model, status and price, and the dimensions `by`: columns of text and tags. Every quantity and
        cost is summed by these, with the number of charges; everything else is forgotten, and stated in the file, by
        `spanledger verify` and below answers. With `drop` nothing is kept but how many charges there were. A day that
        was rolled up can be rolled up further. Raises `LedgerError` where `by` names what is no dimension.
        """
        from spanledger.ledger import _retain

        names = (_rolled.kept_name(field) for field in dimensions(by, self.tags))
        kept = tuple(dict.fromkeys(name for name in names if name is not None))
        first = _retain.first_kept(duration(older_than, "older_than"))
        return _retain.retain(self.path, _retain.Plan(first, kept, drop))

    def rolled(self) -> Result:
        """The days that were rolled up, one row each, in order of time.

        Columns: `day`, `charges`, `rows`, `kept` (the dimensions beside day and model), `forgotten` (columns and tags),
        `superseded` (rows that were not in force), `first` and `last` (moments of charges), `at`, `dropped`.
        """

        def ask(files: Files) -> Result:
            files = in_force(self._engine, files)
            facts = self._engine.facts(file.path for file in files.sealed)
            return Result(_rolled.table(_rolled.in_period(files, facts, Period())))

        return self._reader.over_files(ask)

    def allocate(self, plan: GivenPlan, period: str | tuple[Any, Any]) -> Statement:
        """Who owns the cost of a period by a plan: `ledger.allocate("plan.toml", "2026-11")`.

        See `spanledger.finops.allocate`. Raises `PlanError` that names the file, the place and the field.
        """
        from spanledger.finops import allocate

        return allocate(self, plan, period)

    def reprice(
        self,
        *,
        as_of: date | str | None = None,
        book: str | Path | None = None,
        contract: Any = None,
        write: bool = True,
        **question: Any,
    ) -> Result:
        """Prices charges again and appends a correction for each whose price or status has changed.

        By the book and your layers as they are now, by a `book` in another directory, under one more `contract`, or at
        the prices `as_of` a day. `question` is `since`, `until`, `last` and `where`. Answers the difference in
        effective cost by model and cause. Doing it twice does nothing the second time; `write=False` only answers.
        """
        from spanledger import _rerating

        terms = _rerating.Terms(as_of=as_of, book=book, contract=_rerating.agreed(contract))
        return _rerating.reprice(self, question, terms, write=write)

    def what_if(
        self,
        *,
        model: str | None = None,
        provider_name: str | None = None,
        processing: str | None = None,
        cache_hit_rate: str | None = None,
        **question: Any,
    ) -> Result:
        """What charges would have cost under other choices, by model; nothing is written.

        `processing` is `standard`, `batch`, `flex`, `priority` or `fast`, `cache_hit_rate` a part of one as text.
        `question` is `since`, `until`, `last` and `where`. Token counts stay as they were.
        """
        from spanledger import _rerating

        choice = {"model": model, "provider_name": provider_name, "processing": processing}
        return _rerating.what_if(self, question, {**choice, "cache_hit_rate": cache_hit_rate})

    def tags(self) -> list[str]:
        """The names of the tags that charges carry besides the columns of their own."""

        def ask(files: Files) -> list[str]:
            files = in_force(self._engine, files)
            facts = self._engine.facts(file.path for file in files.sealed)
            told = {tag for known in facts.values() for tag in known.tags or ()}
            unread = files._replace(sealed=tuple(file for file in files.sealed if facts[file.path].tags is None))
            found = self._engine.rows(_sql.tag_names(f"({every_row(unread)})"))
            return sorted(told.union(tag for (tag,) in found))

        return self._reader.over_files(ask)

    def health(self) -> Health:
        """Torn and corrupt lines by segment, and what processes reported to have lost."""
        self._reader.files(ALWAYS)
        return health(self.path)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def _condition(self, where: str | Mapping[str, Any] | None) -> Condition:
        tree = parse(where)
        return Condition(tree, {name: resolve(name, "where", self.tags) for name in set(fields_of(tree))})

    def _over_sums(self, relation: Relation, within: Period, query: str, params: Sequence[Any]) -> Result:
        """The answer to SQL over a relation without the columns that rolled-up days do not have."""
        columns = ", ".join(_rolled.columns_of(relation.rolled))
        only = Piece(f"SELECT {columns} FROM ({relation.current}) AS kept", relation.history)
        kept = relation._replace(pieces=(only,))
        try:
            return Result(self._reader.answered(kept, query, params), notes=_rolled.notes(relation.rolled))
        except LedgerError as error:
            if is_nameless(error) or is_out_of_memory(error):
                raise
            raise _handling.explained(error, relation.rolled, within) from error


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _one_currency(costs: Result, by: Sequence[Field]) -> Result:
    """Without the column of the currency where there is only one and nobody asked for it."""
    asked = any(field.name == "currency" for field in by)
    if asked or len(set(costs.values("currency"))) > 1:
        return costs
    return costs.select([name for name in costs.columns if name != "currency"])
