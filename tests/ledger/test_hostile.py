"""Sealed files that were damaged or forged, wherever in them: a result, or an error that names the file."""

from __future__ import annotations

import random
import shutil
from datetime import date

import orjson
import pyarrow.parquet as pq
import pytest

from spanledger import Ledger
from spanledger.errors import LedgerError
from spanledger.ledger._compact import compact
from spanledger.ledger._forget import forget
from spanledger.ledger._retain import Plan, retain
from spanledger.ledger._seal import seal
from spanledger.ledger._thrift import read_struct, write_struct
from spanledger.ledger._verify import verify

LATER = date(2027, 1, 1)
READING = {
    "cost": lambda ledger: ledger.cost("day,team,unit"),
    "charges": lambda ledger: ledger.charges(columns=["extra", "tag:plan", "costs", "list_cost"], rolled="skip").rows(),
    "sql": lambda ledger: ledger.sql("SELECT * FROM charges", rolled="include").rows(),
    "rolled": lambda ledger: ledger.rolled(),
}
KEEPING = {
    "forget": lambda ledger: forget(ledger.path, "customer", "acme"),
    "compact": lambda ledger: compact(ledger.path, LATER),
    "retain": lambda ledger: retain(ledger.path, Plan(LATER, ())),
}


@pytest.fixture
def sound(ledger, write_segment, row):
    """Two days, the first of them rolled up, the second of two files."""
    for _ in range(2):
        days = [f"2026-01-0{day}T10:00:00Z" for day in (1, 2) for _ in range(10)]
        write_segment([row(started_at=day, customer="acme", tags={"plan": "pro"}) for day in days])
    seal(ledger.path)
    assert len(retain(ledger.path, Plan(date(2026, 1, 2), ("team",))).days) == 1
    return ledger


def overwritten(content, chance):
    for _ in range(chance.randint(1, 30)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return content


def with_another_footer(content, chance):
    start = len(content) - int.from_bytes(content[-8:-4], "little") - 8
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(start, len(content))] = chance.randrange(256)
    return content


def with_other_places(content, chance):
    """Columns that the footer says lie where others do, or nowhere; its end stays where it is."""
    size = int.from_bytes(content[-8:-4], "little")
    footer = read_struct(bytes(content[-8 - size : -8]))
    for group in footer[4].value.each:
        columns = [column[3].value for column in group[1].value.each]
        for column in chance.sample(columns, 8):
            column[9] = column[9]._replace(value=chance.choice([*places(columns), -1, 0, 2**62]))
    forged = write_struct(footer)
    return content[: -8 - size] + forged + len(forged).to_bytes(4, "little") + b"PAR1"


def places(columns):
    return [column[9].value for column in columns]


def cut(content, chance):
    return content[: chance.randrange(len(content))]


def spliced(content, chance):
    start, end = sorted(chance.randrange(len(content)) for _ in range(2))
    return content[:start] + chance.randbytes(20) + content[end:]


def refusal(ask, ledger):
    """What a question is refused with, empty where it is not."""
    try:
        ask(ledger)
    except LedgerError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", [overwritten, with_another_footer, with_other_places, cut, spliced])
def test_a_damaged_file_gives_a_result_or_an_error_that_names_it(sound, damage, tmp_path):
    chance = random.Random(5)  # noqa: S311 -- reproducible damage
    refused = []
    for number, whole in enumerate(sorted(sound.path.glob("charges/*/*.parquet"))):
        copy = Ledger(shutil.copytree(sound.path, tmp_path / f"copy-{number}.ledger"))
        path = copy.path / whole.relative_to(sound.path)
        path.write_bytes(damage(bytearray(whole.read_bytes()), chance))
        told = [told for ask in (*READING.values(), *KEEPING.values()) if (told := refusal(ask, copy))]
        assert [one for one in told if path.name not in one] == []
        refused += told
        assert verify(copy.path).rows >= 0
    assert refused


def forge(path, **said):
    """Rewrites a file with another footer."""
    footer = {**pq.read_metadata(path).metadata, **{name.encode(): value for name, value in said.items()}}
    pq.write_table(pq.read_table(path).replace_schema_metadata(footer), path)


@pytest.mark.parametrize(
    "said",
    [
        {"tags": orjson.dumps({"plan": "(SELECT content FROM read_text('/etc/hostname'))"})},
        {"tags": orjson.dumps({"plan": "1 AS x; DROP VIEW charges; --"})},
        {"tags": orjson.dumps({"plan": 'tag_"'})},
        {"tags": b"7"},
        {"alike": b"charge_id"},
        {"replaces": b".."},
        {"replaces": b"a.parquet/../b"},
    ],
)
def test_what_a_forged_footer_says_is_never_run(sound, said):
    (path, *_) = sound.path.glob("charges/date=2026-01-02/*.parquet")
    forge(path, **said)
    for ask in (lambda ledger: ledger.cost("plan", since="2026-01-02"), *KEEPING.values()):
        with pytest.raises(LedgerError, match=rf"{path.name}: its footer says .* which is no such name"):
            ask(Ledger(sound.path))
    assert verify(sound.path).problems
