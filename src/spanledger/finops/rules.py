"""Virtual tags: ordered, dated rules that say who owns a charge, applied when a ledger is read and never written back.

A rule applies where its dates and its conditions hold **and** its result is known: a mapping that lacks the key, or a
template with a part that is missing, passes the charge on to the next rule. The first rule that applies wins; where
none does, the tag has its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

from spanledger import _toml
from spanledger.errors import PlanError
from spanledger.finops import _sql
from spanledger.finops._conditions import Facts, Field, Fields, When, derived, read_when
from spanledger.finops._reading import Section, csv_rows

_PART: Final = re.compile(r"\{([^{}]+)\}")


class Result(Protocol):
    """What a rule gives: text, or `None` where it cannot say."""

    def sql(self) -> str:
        """As an expression, NULL where it cannot say."""

    def value(self, facts: Facts) -> str | None:
        """For one charge."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Always the same text."""

    text: str

    def sql(self) -> str:
        """The text."""
        return _sql.literal(self.text)

    def value(self, facts: Facts) -> str | None:  # noqa: ARG002 - the protocol has it
        """The text."""
        return self.text


@dataclass(frozen=True, slots=True)
class Copied:
    """The value of a column, a tag or an earlier virtual tag."""

    field: Field

    def sql(self) -> str:
        """The field."""
        return self.field.sql

    def value(self, facts: Facts) -> str | None:
        """The field's value."""
        found: str | None = self.field.read(facts)
        return found


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a table says of a field's value; `None` where the table lacks it."""

    by: Field
    table: Mapping[str, str]

    def sql(self) -> str:
        """As one CASE."""
        return _sql.mapped(self.by.sql, self.table)

    def value(self, facts: Facts) -> str | None:
        """What the table has."""
        value = self.by.read(facts)
        return None if value is None else self.table.get(value)


@dataclass(frozen=True, slots=True)
class Template:
    """Text with fields in braces; `None` where a field is missing."""

    texts: tuple[str, ...]
    fields: tuple[Field, ...]

    def sql(self) -> str:
        """A concatenation, which is NULL where a part is."""
        parts = [_sql.literal(self.texts[0])]
        for field, text in zip(self.fields, self.texts[1:], strict=True):
            parts += [field.sql, _sql.literal(text)]
        return f"({' || '.join(parts)})"

    def value(self, facts: Facts) -> str | None:
        """The text with every field filled in."""
        values = [field.read(facts) for field in self.fields]
        if None in values:
            return None
        return self.texts[0] + "".join(v + text for v, text in zip(values, self.texts[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a virtual tag, valid from `start` until before `until`."""

    tag: str
    name: str
    when: When
    result: Result
    start: date | None = None
    until: date | None = None
    version: str = "1"
    review_by: date | None = None
    note: str = ""

    @property
    def identity(self) -> str:
        """`team/by service@2026-11-01`: what a statement stores of the rule."""
        since = self.start.isoformat() if self.start else f"v{self.version}"
        return f"{self.tag}/{self.name}@{since}"

    def sql(self) -> str:
        """Whether the rule applies."""
        parts = [self.when.sql()]
        parts += [_sql.within(self.start, self.until)] * bool(self.start or self.until)
        parts += [f"{self.result.sql()} IS NOT NULL"] * (not isinstance(self.result, Literal))
        return " AND ".join(f"({part})" for part in parts)

    def value(self, facts: Facts) -> str | None:
        """The result for one charge, `None` where it does not apply; without a moment, the latest version does."""
        if not self._in_force(facts) or not self.when.holds(facts):
            return None
        return self.result.value(facts)

    def _in_force(self, facts: Facts) -> bool:
        if self.start is None and self.until is None:
            return True
        started = facts.get("started_at")
        if started is None:
            return self.until is None
        day = datetime.fromisoformat(started.replace("Z", "+00:00")).astimezone(timezone.utc).date()
        return (self.start is None or self.start <= day) and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class VirtualTag:
    """An owner that rules decide, such as `team` or `cost_centre`."""

    name: str
    rules: tuple[Rule, ...]
    default: str
    note: str = ""

    def sql(self) -> str:
        """The owner, as one CASE."""
        return self._case(((rule.sql(), rule.result.sql()) for rule in self.rules), _sql.literal(self.default))

    def winner_sql(self) -> str:
        """The number of the rule that wins, from 0; -1 where it is the default."""
        return self._case(((rule.sql(), str(number)) for number, rule in enumerate(self.rules)), "-1")

    @staticmethod
    def _case(branches: Iterable[tuple[str, str]], default: str) -> str:
        whens = " ".join(f"WHEN {condition} THEN {value}" for condition, value in branches)
        return f"CASE {whens} ELSE {default} END" if whens else default

    def value(self, facts: Facts) -> str:
        """The owner of one charge."""
        return next((found for rule in self.rules if (found := rule.value(facts)) is not None), self.default)


@dataclass(frozen=True, slots=True)
class Rules:
    """The virtual tags of a plan, in order: a tag may look at those before it."""

    tags: tuple[VirtualTag, ...] = ()
    file: str = "rules"

    @classmethod
    def load(cls, path: str | Path) -> Rules:
        """The `[tags]` of a TOML file."""
        file = Path(path)
        return cls.from_dict(_toml.load(file, PlanError), file=file.name, folder=file.parent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, file: str = "rules", folder: Path = Path()) -> Rules:
        """The same from Python: `{"tags": {"team": {"default": ..., "rules": [...]}}}`."""
        return read_rules(Section(file, "", {"tags": data.get("tags", {})}), Fields(), folder)

    def resolve(self, row: Mapping[str, Any], known: Mapping[str, str] | None = None) -> dict[str, str]:
        """Every virtual tag of one charge, given as its stored row; those in `known` stand as they are."""
        facts, known = dict(row), known or {}
        for tag in self.tags:
            facts[derived(tag.name)] = known.get(tag.name) or tag.value(facts)
        return {tag.name: facts[derived(tag.name)] for tag in self.tags}

    def sql(self, source: str) -> str:
        """`source` with one column more for each virtual tag; a layer each, since a tag may look at those before it."""
        for tag in self.tags:
            source = f"(SELECT *, {tag.sql()} AS {_sql.name(derived(tag.name))} FROM {source})"
        return source


def read_rules(plan: Section, fields: Fields, folder: Path) -> Rules:
    """The `[tags]` of a plan; `fields` learns each tag for what comes after it."""
    found = plan.take("tags", dict, "tables [tags.NAME]", {})
    tags = []
    for name, data in found.items():
        tags.append(_read_tag(name, plan.inner(f"tag {name!r}", data), fields, folder))
        fields.add(name)
    return Rules(tuple(tags), plan.file)


def _read_tag(name: str, section: Section, fields: Fields, folder: Path) -> VirtualTag:
    default, note = section.text("default"), section.text("note", "")
    rules = tuple(_read_rule(name, rule, fields, folder) for rule in section.sections("rules", "rule"))
    section.done()
    _refuse_overlap(section, rules)
    return VirtualTag(name, rules, default, note)


def _read_rule(tag: str, section: Section, fields: Fields, folder: Path) -> Rule:
    rule = Rule(
        tag=tag,
        name=section.text("name"),
        when=read_when(section, fields),
        result=_read_result(section, fields, folder),
        start=section.day("from"),
        until=section.day("until"),
        version=str(section.take("version", (int, str), "a version", "1")),
        review_by=section.day("review_by"),
        note=section.text("note", ""),
    )
    section.done()
    if rule.start and rule.until and rule.until <= rule.start:
        raise section.error("until", f"is {rule.until}, not after from = {rule.start}")
    return rule


def _read_result(section: Section, fields: Fields, folder: Path) -> Result:
    kinds = [kind for kind in ("value", "copy", "map", "template") if section.has(kind)]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds) or 'no result'}"
        raise section.error("", f"{what}: a rule takes one of value, copy, map (with by) or template")
    if kinds == ["value"]:
        return Literal(section.text("value"))
    if kinds == ["copy"]:
        return Copied(_text_field(section, fields, "copy", section.text("copy")))
    if kinds == ["map"]:
        by = _text_field(section, fields, "by", section.text("by"))
        return Mapped(by, _read_map(section, folder))
    return _read_template(section, fields)


def _text_field(section: Section, fields: Fields, where: str, name: str) -> Field:
    field = fields.find(section, where, name)
    if field.kind != "text":
        raise section.error(where, f"is {name!r}, which is {field.kind}: an owner comes from text")
    return field


def _read_template(section: Section, fields: Fields) -> Template:
    pieces = _PART.split(section.text("template"))
    names = pieces[1::2]
    if not names:
        raise section.error("template", "has no {field}: write a fixed owner as value")
    return Template(tuple(pieces[::2]), tuple(_text_field(section, fields, "template", name) for name in names))


def _read_map(section: Section, folder: Path) -> dict[str, str]:
    found = section.take("map", (dict, str), "a table, or the name of a CSV file with two columns")
    table = _csv_map(section, folder / found) if isinstance(found, str) else found
    if not table or not all(isinstance(value, str) for value in table.values()):
        raise section.error("map", "takes a table of text to text, not empty")
    return dict(table)


def _csv_map(section: Section, path: Path) -> dict[str, str]:
    rows = [list(row.values()) for row in csv_rows(path, lambda what: section.error("map", f"{path.name!r} {what}"))]
    bad = next((number for number, row in enumerate(rows, 2) if len(row) < 2 or row[1] is None), None)  # noqa: PLR2004 - key and owner
    if bad:
        raise section.error("map", f"{path.name!r} has no second column in line {bad}")
    return {row[0]: row[1] for row in rows}


def _refuse_overlap(section: Section, rules: tuple[Rule, ...]) -> None:
    """Versions of one rule share its name and follow each other; two at once would be a matter of luck."""
    for name in {rule.name for rule in rules}:
        versions = sorted((r for r in rules if r.name == name), key=lambda rule: rule.start or date.min)
        for before, after in pairwise(versions):
            if before.until is None or after.start is None or after.start < before.until:
                what = f"has two versions at once (version {before.version} and {after.version})"
                raise section.error(f"rule {name!r}", f"{what}: set until and from, or give them two names")
