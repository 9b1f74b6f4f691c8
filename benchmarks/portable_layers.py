"""Which layer carries our questions to other engines: plain SQL of a dialect each, sqlglot, or Ibis.

    make .engines/.done && .engines/bin/python -m pip install 'ibis-framework>=12'
    .engines/bin/python benchmarks/portable_layers.py            # and --releases to ask PyPI when each was released

Each question is one whose answer is known in Python's integers and decimals. Every layer writes it for every engine,
the engine answers, and `exact`, `differs` or `fails` is what came. Import time is processor time of a new process less
that of an empty one, the least of seven. Size is that of the files of a package and of what it needs beyond `ledger`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent.parent))

import ibis
import orjson
import sqlglot
from tests.ledger.conftest import make_row
from tests.ledger.engines._servers import postgres, postgres_programs

from spanledger import Ledger
from spanledger.ledger._files import scan
from spanledger.ledger._load import load
from spanledger.ledger._relation import Relation, portable
from spanledger.ledger._seal import seal
from spanledger.ledger._translate import over, translated

LARGE: Final = 9_007_199_254_740_995
"""A whole number that a float of 64 bits has not, and half of which it has not either."""
AMOUNT: Final = Decimal("79228162514264337593.543950336")
SUM: Final = Decimal("79228162514264337593.543950336000001")

CHARGES = ibis.table(
    {
        "charge_id": "string",
        "team": "string",
        "customer": "string",
        "started_at": "timestamp",
        "list_cost": "decimal(38, 15)",
        "input_tokens": "int64",
        "costs": "map<string, decimal(38, 15)>",
    },
    name="charges",
)


class Question(NamedTuple):
    """One question as SQL of DuckDB's and as an expression of Ibis, with its answer."""

    sql: str
    expression: Any
    answer: Any


QUESTIONS: Final = {
    "sum of amounts": Question("SELECT sum(list_cost) AS a FROM charges", CHARGES.agg(a=CHARGES.list_cost.sum()), SUM),
    "sum of a map's entries": Question(
        "SELECT sum(costs['input']) AS a FROM charges",
        CHARGES.agg(a=CHARGES.costs["input"].sum()),
        Decimal("1E-15"),
    ),
    "twice a sum": Question(
        "SELECT sum(list_cost) * 2 AS a FROM charges WHERE list_cost < 1",
        CHARGES.filter(CHARGES.list_cost < 1).agg(a=CHARGES.list_cost.sum() * 2),
        Decimal("2E-15"),
    ),
    "whole quotient": Question(
        "SELECT max(input_tokens) // 2 AS a FROM charges", CHARGES.agg(a=CHARGES.input_tokens.max() // 2), LARGE // 2
    ),
    "first known customer": Question(
        "SELECT arg_min(customer, started_at) AS a FROM charges",
        CHARGES.agg(a=CHARGES.customer.argmin(CHARGES.started_at)),
        "acme",
    ),
    "128 bits": Question(
        "SELECT CAST(sum(input_tokens) AS HUGEINT) * 4611686018427387904 AS a FROM charges", None, LARGE * 2**62
    ),
}
IBIS: Final = {"clickhouse": "clickhouse", "spark": "pyspark", "postgresql": "postgres"}


def with_sqlglot_alone(question: Question, relation: Relation, engine: Any, _name: str) -> tuple[str, Any]:
    """As sqlglot writes it."""
    dialect = engine.dialect()
    return over(relation, sqlglot.transpile(question.sql, read="duckdb", write=dialect.sqlglot)[0]), []


def with_spanledger(question: Question, relation: Relation, engine: Any, _name: str) -> tuple[str, Any]:
    """As sqlglot writes it, mended by the dialect: what `Ledger.sql` does."""
    dialect = engine.dialect()
    return translated(question.sql, [], relation, dialect), dialect.params


def with_ibis(question: Question, relation: Relation, _engine: Any, name: str) -> tuple[str, Any]:
    """As Ibis writes the expression."""
    return over(relation, ibis.to_sql(question.expression, dialect=IBIS[name], pretty=False)), []


LAYERS: Final[dict[str, Callable[..., tuple[str, Any]]]] = {
    "sqlglot alone": with_sqlglot_alone,
    "sqlglot, mended": with_spanledger,
    "Ibis": with_ibis,
}


def ledger_at(root: Path) -> Ledger:
    """Two charges: one of a large amount and number, one of the smallest amount, whose customer is known."""
    rows = [
        make_row(list_cost=str(AMOUNT), input_tokens=LARGE, costs={}, started_at="2026-11-23T10:00:00Z"),
        make_row(list_cost="1E-15", input_tokens=0, costs={"input": "1E-15"}, customer="acme"),
    ]
    rows[1]["started_at"] = "2026-11-23T10:00:01Z"
    (root / "open").mkdir(parents=True)
    (root / "open" / "host-1-0.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    seal(root)
    return Ledger(root)


def outcome(layer: Callable[..., tuple[str, Any]], question: Question, ledger: Ledger, name: str) -> str:
    """Whether the engine of `ledger` gives the answer."""
    if layer is with_ibis and question.expression is None:
        return "cannot be said"
    engine: Any = ledger._reader.other
    try:
        relation = portable(engine.rows([file.path for file in scan(ledger.path).sealed]))
        found = engine.query(*layer(question, relation, engine, name)).to_pylist()[0]["a"]
    except Exception as error:  # noqa: BLE001 -- whatever it is, the layer has not carried the question
        return f"fails ({str(error).strip().splitlines()[-1][:60]})" if "-v" in sys.argv else "fails"
    return "exact" if found == question.answer else "differs"


def exactness(ledgers: dict[str, Ledger]) -> Iterator[str]:
    """The table of outcomes."""
    yield f"| question | layer | {' | '.join(ledgers)} |"
    yield f"|---|---|{'---|' * len(ledgers)}"
    for text, question in QUESTIONS.items():
        for name, layer in LAYERS.items():
            found = [outcome(layer, question, ledger, engine) for engine, ledger in ledgers.items()]
            yield f"| {text} | {name} | {' | '.join(found)} |"


def import_time(statement: str) -> float:
    """Processor seconds of a new process that runs it, the least of seven."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(7))


def size(name: str, without: frozenset[str]) -> int:
    """Bytes of a package and of what it needs, less the packages `without`."""
    return sum(
        path.stat().st_size
        for one in needed(name) - without
        for file in metadata.files(one) or ()
        if (path := Path(str(file.locate()))).exists()
    )


def needed(name: str, found: set[str] | None = None) -> set[str]:
    """A package and everything that it needs and that is installed."""
    from packaging.requirements import Requirement

    found = set() if found is None else found
    found.add(name.lower().replace("_", "-"))
    for text in metadata.requires(name) or ():
        one = Requirement(text)
        key = one.name.lower().replace("_", "-")
        if key not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            needed(key, found)
    return found


def releases(name: str) -> str:
    """How many releases of the last twelve months, and the last one, from PyPI."""
    with urlopen(f"https://pypi.org/pypi/{name}/json") as answer:
        every = json.load(answer)["releases"]
    dates = sorted(datetime.fromisoformat(files[0]["upload_time"]).date() for files in every.values() if files)
    year = [day for day in dates if day > datetime.now(timezone.utc).date() - timedelta(days=365)]
    return f"{len(year)} releases in twelve months, the last on {dates[-1]}"


USED: Final = {
    "sqlglot": "import sqlglot; sqlglot.transpile('SELECT 1', read='duckdb', write='postgres')",
    "ibis-framework": "import ibis; ibis.to_sql(ibis.table({'a': 'int64'}, name='t'), dialect='postgres')",
}
"""The least that one does with each layer."""


def weigh(*, ask_pypi: bool) -> None:
    """Prints what each layer costs before it has done anything."""
    nothing, held = import_time("pass"), frozenset(needed("duckdb") | needed("pyarrow"))
    for name, statement in (
        ("sqlglot", "import sqlglot; sqlglot.parse_one('SELECT 1')"),
        ("ibis-framework", "import ibis"),
    ):
        packages = len(needed(name) - held)
        print(f"{name} {metadata.version(name)}: imported in {import_time(statement) - nothing:.2f} s,", end=" ")
        print(f"{size(name, held) / 1e6:.1f} MB in {packages} packages", f"; {releases(name)}" if ask_pypi else "")


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", action="store_true", help="asks PyPI when each layer was released")
    parser.add_argument("-v", action="store_true", help="says why a question fails")
    weigh(ask_pypi=parser.parse_args().releases)
    with ExitStack() as running:
        root = Path(running.enter_context(tempfile.TemporaryDirectory())) / "spend.ledger"
        ledger_at(root)
        programs = postgres_programs()
        assert programs is not None
        address = running.enter_context(postgres(programs))
        load(root, address)
        engines = {"clickhouse": "clickhouse", "spark": "spark", "postgresql": address}
        for line in exactness({name: Ledger(root, engine) for name, engine in engines.items()}):
            print(line, flush=True)


if __name__ == "__main__":
    main()
