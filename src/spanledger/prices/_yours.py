"""Prices of your own over the book: one line of Python, or a TOML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from spanledger import _toml
from spanledger.errors import ConfigurationError
from spanledger.prices._engine import ENGINE
from spanledger.prices._identity import platform_of
from spanledger.prices._layers import Contract, Layers, contract_of, facts_of, row_of

Day = date | str | None
Rate = str | int | Decimal
_loaded: dict[Path, dict[str, Any]] = {}
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

    A file that was added already, and is as it was, is not added again. Raises `ConfigurationError`, which names the
    file, the table and the field; then nothing is added.
    """
    file = Path(path)
    content = _toml.load(file, ConfigurationError)
    if _loaded.get(file) == content:
        return
    unknown = content.keys() - set(SECTIONS)
    if unknown:
        msg = f"{file}: no such table: {', '.join(sorted(unknown))}; use {', '.join(SECTIONS)}"
        raise ConfigurationError(msg)
    rows = [row_of(table, f"{file}: price {n}") for n, table in enumerate(content.get("price", ()), 1)]
    contracts = [contract_of(table, f"{file}: contract {n}") for n, table in enumerate(content.get("contract", ()), 1)]
    invoices = [contract_of(table, f"{file}: invoice {n}") for n, table in enumerate(content.get("invoice", ()), 1)]
    named = [_named(file, name, value) for name, value in content.get("models", {}).items()]
    assumed = [
        (provider, facts_of(facts, f"{file}: assume.{provider}"))
        for provider, facts in content.get("assume", {}).items()
    ]
    for row, names in rows:
        ENGINE.layers.add_row(row, names)
    ENGINE.layers.contracts[:0] = invoices
    ENGINE.layers.contracts.extend(contracts)
    for name, model, facts in named:
        alias(name, model, **facts)
    for provider, facts in assumed:
        assume(provider, **facts)
    _loaded[file] = content
    ENGINE.changed()


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
    ENGINE.changed()
