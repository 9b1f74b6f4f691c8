"""Prices of your own over the book: one line of Python, or a TOML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from spanledger import _toml
from spanledger.errors import ConfigurationError
from spanledger.prices._book import Row
from spanledger.prices._engine import ENGINE
from spanledger.prices._identity import platform_of
from spanledger.prices._layers import Contract, Layers, contract_of, facts_of, row_of

Day = date | str | None
Rate = str | int | Decimal


class Loaded(NamedTuple):
    """What a file has added, so that it can be taken away again once the file has changed."""

    content: dict[str, Any]
    rows: list[tuple[Row, tuple[str, ...]]]
    contracts: list[Contract]
    invoices: list[Contract]
    named: list[tuple[str, str | None, dict[str, str]]]
    assumed: list[tuple[str, dict[str, str]]]


_loaded: dict[Path, Loaded] = {}
_used: list[Path] = []
"""The file that is configured, at most one."""

SECTIONS = ("price", "contract", "invoice", "models", "assume")


def add(  # noqa: PLR0913 - a keyword for each part of a price row
    model: str,
    *,
    provider: str,
    names: Iterable[str] = (),
    when: Mapping[str, str] | None = None,
    above: int = 0,
    valid_from: Day = None,
    valid_to: Day = None,
    **rates: Rate,
) -> None:
    """Adds a price row: `add("gpt-7", provider="openai", input="3", output="12")`.

    Rates are per million tokens or characters, per thousand calls, else per one unit, as text. `when` restricts the row
    to dimensions such as `{"tier": "flex"}`, `above` to requests of more input tokens. Raises `ConfigurationError`.
    """
    fields = {"model": model, "provider": provider, "names": names, "when": when or {}, "above": above, "rates": rates}
    ENGINE.layers.add_row(*row_of({**fields, "valid_from": valid_from, "valid_to": valid_to}, f"price of {model}"))
    ENGINE.changed()


def contract(name: str, **terms: Any) -> Contract:
    """Adds a contract: `contract("2026", provider="anthropic", discount="0.12", valid_from="2026-09-01")`.

    Terms are `provider`, `models`, `discount`, `rates`, `excludes`, `account`, `valid_from`, `valid_to`. List cost
    stays what it is; contracted and effective cost follow the contract. Raises `ConfigurationError`.
    """
    made = contract_of({"name": name, **terms}, f"contract {name}")
    ENGINE.layers.contracts.append(made)
    ENGINE.changed()
    return made


def invoice(name: str, **terms: Any) -> Contract:
    """Adds what an invoice has billed: terms as of a contract, which win over every contract of those days.

    `invoice("INV-7", provider="openai", models=["gpt-5"], rates={"input": "1.1"}, valid_from="2026-10-01",
    valid_to="2026-11-01")`. Price again with `Ledger.reprice` to have the charges of those days follow it.
    """
    made = contract_of({"name": name, **terms}, f"invoice {name}")
    ENGINE.layers.contracts.insert(0, made)
    ENGINE.changed()
    return made


def alias(name: str, model: str | None = None, **facts: str) -> None:
    """Says which model is behind an Azure deployment, a Bedrock application profile or any other name, and how it runs.

    `facts` are `deployment_type`, `region`, `commitment` and `account`, for what a response does not say of itself.
    """
    if model is not None:
        ENGINE.layers.aliases[name] = model
    ENGINE.layers.facts[name] = facts_of(facts, f"alias {name}")
    ENGINE.changed()


def assume(provider: str, **facts: str) -> None:
    """Says how all calls of a provider run that do not say otherwise: `assume("azure", deployment_type="Standard")`."""
    ENGINE.layers.facts[f"{platform_of(provider)}/"] = facts_of(facts, f"provider {provider}")
    ENGINE.changed()


def load(path: str | Path) -> None:
    """Adds the `[[price]]`, `[[contract]]` and `[[invoice]]` tables of a TOML file, its `[models]` and `[assume.P]`.

    A file that was added already is not added again: where it has changed, what it said before is taken away. Raises
    `ConfigurationError`, which names the file, the table and the field; then nothing changes.
    """
    file = Path(path)
    now = _news(file)
    if now is not None:
        _exchange((file,), file, now)


def use(path: str | Path | None) -> None:
    """Adds a file in the place of the one that was used before. Raises as `load` does; then nothing changes."""
    new = None if path is None else Path(path)
    now = None if new is None else _news(new)
    gone = [file for file in _used if file != new]
    if new is not None and now is not None:
        gone.append(new)
    _used[:] = [] if new is None else [new]
    _exchange(gone, new, now)


def _news(file: Path) -> Loaded | None:
    """What a file says, checked; `None` where that is in force already."""
    content = _toml.load(file, ConfigurationError)
    before = _loaded.get(file)
    return None if before is not None and before.content == content else _read(file, content)


def _exchange(gone: Iterable[Path], file: Path | None, now: Loaded | None) -> None:
    for old in gone:
        if old in _loaded:
            _take_away(_loaded.pop(old))
    if file is not None and now is not None:
        _put(now)
        _loaded[file] = now
    ENGINE.changed()


def _read(file: Path, content: dict[str, Any]) -> Loaded:
    """What a file says, checked."""
    unknown = content.keys() - set(SECTIONS)
    if unknown:
        msg = f"{file}: no such table: {', '.join(sorted(unknown))}; use {', '.join(SECTIONS)}"
        raise ConfigurationError(msg)
    assumed = content.get("assume", {}).items()
    return Loaded(
        content,
        [row_of(table, f"{file}: price {n}") for n, table in enumerate(content.get("price", ()), 1)],
        [contract_of(table, f"{file}: contract {n}") for n, table in enumerate(content.get("contract", ()), 1)],
        [contract_of(table, f"{file}: invoice {n}") for n, table in enumerate(content.get("invoice", ()), 1)],
        [_named(file, name, value) for name, value in content.get("models", {}).items()],
        [(provider, facts_of(facts, f"{file}: assume.{provider}")) for provider, facts in assumed],
    )


def _put(loaded: Loaded) -> None:
    for row, names in loaded.rows:
        ENGINE.layers.add_row(row, names)
    ENGINE.layers.contracts[:0] = loaded.invoices
    ENGINE.layers.contracts.extend(loaded.contracts)
    for name, model, facts in loaded.named:
        alias(name, model, **facts)
    for provider, facts in loaded.assumed:
        assume(provider, **facts)


def _take_away(loaded: Loaded) -> None:
    layers = ENGINE.layers
    layers.remove((row for row, _ in loaded.rows), (*loaded.invoices, *loaded.contracts))
    for name, _, _ in loaded.named:
        layers.aliases.pop(name, None)
        layers.facts.pop(name, None)
    for provider, _ in loaded.assumed:
        layers.facts.pop(f"{platform_of(provider)}/", None)


def _named(file: Path, name: str, value: Any) -> tuple[str, str | None, dict[str, str]]:
    """A name in `[models]`: the model behind it, or a table with `model` and facts."""
    if isinstance(value, str):
        return name, value, {}
    left = dict(value)
    model = left.pop("model", None)
    return name, model, facts_of(left, f"{file}: models.{name}")


def reset() -> None:
    """Takes away all that was added."""
    ENGINE.layers = Layers()
    _loaded.clear()
    _used.clear()
    ENGINE.changed()
