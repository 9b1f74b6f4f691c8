"""From a call to its price: finds the plan for its names and context, compiles it once, and remembers misses too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from spanledger._types import Priced, Quantity, Usage
from spanledger.prices._book import HOME, Platform, Row, index, load_platform
from spanledger.prices._calculate import Plan, compile_plan, evaluate, quick, without_plain
from spanledger.prices._context import dimensions
from spanledger.prices._identity import OPAQUE, ROUTER, arn_region, geography, platform_of, resolve
from spanledger.prices._layers import Contract, Layers

LARGEST_CACHE: Final = 4096
MOST_PERIODS: Final = 64
"""How many plans of one key are kept, the latest: a price by the hour has several a day."""
CAPACITY: Final = frozenset({"ptu_hours", "model_unit_hours", "hosting_hours"})
"""Units that are the price of provisioned capacity itself."""

Names = tuple[str, str | None, str | None]
"""The provider, the model that the response names, the model that the request names."""
Key = tuple[Names, tuple[tuple[str, str], ...]]


class Ingredients(NamedTuple):
    """What a call's price is made of. `model` is `None` where nobody knows it."""

    book: Platform
    model: str | None
    rows: tuple[Row, ...]
    dims: Mapping[str, str]
    provisioned: bool


class Engine:
    """Prices usages by one book. Safe to share between threads: the worst of a race is a plan compiled twice."""

    def __init__(self, layers: Layers | None = None, home: Path = HOME) -> None:
        self.layers = layers or Layers()
        self.home = home
        self._plans: dict[Key, list[Plan]] = {}
        self._by_contract: dict[int, tuple[Contract, Engine]] = {}
        self._platforms: dict[str, Platform] = {}
        self._version: str | None = None

    def under(self, *contracts: Contract) -> Engine:
        """An engine of the same book and layers, with these contracts over them."""
        layers = self.layers.copy()
        layers.contracts.extend(contracts)
        return self._over(layers)

    def changed(self) -> None:
        """Forgets all plans: a layer has changed."""
        self._plans.clear()
        self._by_contract.clear()

    @property
    def version(self) -> str:
        """The version of the book."""
        if self._version is None:
            self._version = str(index(self.home)["version"])
        return self._version

    def platform(self, name: str) -> Platform:
        """A platform of the book, decoded at its first use."""
        found = self._platforms.get(name)
        if found is None:
            found = self._platforms[name] = load_platform(name, self.home)
        return found

    def rate(self, usage: Usage, names: Names, context: Mapping[str, str], at_ns: int) -> Priced:
        """See `spanledger.prices.rate`."""
        priced = self._rate(usage, names, context, at_ns)
        return self._contracted(priced, usage, names, context, at_ns) if self.layers.contracts else priced

    def _rate(self, usage: Usage, names: Names, context: Mapping[str, str], at_ns: int) -> Priced:
        if not usage.usable:
            return Priced("unknown", reason=usage.flaw)
        plan = self._plan((names, tuple(context.items())), context, at_ns)
        if plan.reason is not None:
            return Priced("unknown", reason=plan.reason, price_ref=f"book {self.version}")
        priced = quick(plan, usage.units)
        if priced is not None and not usage.flaw:
            return priced
        if plan.provisioned and CAPACITY.isdisjoint(usage.units):
            return _provisioned(plan, usage, self.version)
        if plan.routed:
            usage = usage._replace(units={**usage.units, "router_tokens": usage.input_tokens or 0})
        if any("@" in unit for unit in usage.units):
            return self._in_parts(usage, names, context, at_ns)._replace(billed_model=plan.model)
        return evaluate(plan, usage, self.version)

    def _contracted(self, priced: Priced, usage: Usage, names: Names, context: Mapping[str, str], at_ns: int) -> Priced:
        """List cost stays; contracted and effective cost are what the first contract that holds makes of it."""
        platform, model = platform_of(names[0]), priced.billed_model
        account = self._known(platform, names[2], context).get("account")
        for contract in self.layers.contracts:
            if contract.holds(platform, model, account, at_ns):
                committed = self._committed(contract)._rate(usage, names, context, at_ns) if contract.rows else priced
                return contract.applied(priced, committed)
        return priced

    def _committed(self, contract: Contract) -> Engine:
        """An engine that knows the contract's rates, kept by the very contract: several may have one name."""
        found = self._by_contract.get(id(contract))
        if found is None:
            layers = self.layers.copy()
            layers.contracts.clear()
            for row in contract.rows:
                layers.add_row(row)
            found = self._by_contract[id(contract)] = (contract, self._over(layers))
        return found[1]

    def _over(self, layers: Layers) -> Engine:
        """An engine of the same book under other layers."""
        engine = Engine(layers, self.home)
        engine._platforms = self._platforms
        return engine

    def _plan(self, key: Key, context: Mapping[str, str], at_ns: int) -> Plan:
        plans = self._plans.get(key)
        if plans is None:
            if len(self._plans) >= LARGEST_CACHE:
                self._plans.clear()
            plans = self._plans[key] = []
        for plan in plans:
            if plan.start <= at_ns < plan.end:
                return plan
        plan = self._compile(key[0], context, at_ns)
        plans.insert(0, plan)
        del plans[MOST_PERIODS:]
        return plan

    def _compile(self, names: Names, context: Mapping[str, str], at_ns: int) -> Plan:
        found = self.ingredients(names, context)
        if found.model is None:
            if found.provisioned:
                return Plan(names[1] or names[2], provisioned=True)
            return Plan(None, reason=_unknown(found.book.name, names[1], names[2]))
        plan = compile_plan(found.model, found.rows, found.book, found.dims, at_ns)
        routed = found.book.name == "azure" and bool(ROUTER.match(names[2] or ""))
        if found.provisioned or routed:
            return without_plain(plan)._replace(provisioned=found.provisioned, routed=routed)
        return plan

    def ingredients(self, names: Names, context: Mapping[str, str]) -> Ingredients:
        """What a call's price is made of: the billed model, its rows in every layer, and the dimensions of the call."""
        provider, response, request = names
        book = self.platform(platform_of(provider))
        context = self._known(book.name, request, context)
        response, request = self._named(response), self._named(request)
        model = self.model_of(book, response, request)
        dims = dimensions(book.name, self._with_region(context, request), self._geography(book.name, response, request))
        provisioned = dims.pop("provisioned", None) is not None
        yours = self.layers.rows.get(book.name, {}).get(model or "", ())
        rows = (*book.rows.get("*", ()), *book.rows.get(model or "", ()), *yours)
        return Ingredients(book, model, rows, dims, provisioned)

    def model_of(self, book: Platform, response: str | None, request: str | None) -> str | None:
        """The billed model: what the response names, else what the request names, where a layer or book knows it."""
        yours = self.layers.names.get(book.name)
        for name in (response, request):
            found = (yours and resolve(yours, name)) or resolve(book.names, name)
            if found:
                return found
        return None

    def _named(self, model: str | None) -> str | None:
        """The model behind a deployment's or profile's name, where the user said which it is."""
        return self.layers.aliases.get(model, model) if model else model

    def _geography(self, platform: str, response: str | None, request: str | None) -> str | None:
        """Bedrock's geography is in the id that was asked for; the response has often lost it."""
        return (geography(request) or geography(response)) if platform == "aws" else None

    def _with_region(self, context: Mapping[str, str], request: str | None) -> Mapping[str, str]:
        region = arn_region(request)
        return {"region": region, **context} if region else context

    def _known(self, platform: str, request: str | None, context: Mapping[str, str]) -> Mapping[str, str]:
        """What the call says, over what the user said of its name, over what the user said of its platform."""
        facts = self.layers.facts
        if not facts:
            return context
        return {**facts.get(f"{platform}/", {}), **facts.get(request or "", {}), **context}

    def _in_parts(self, usage: Usage, names: Names, context: Mapping[str, str], at_ns: int) -> Priced:
        """Prices each part of a response at the model that served it (`unit@model`), and adds them up."""
        parts: dict[str, dict[str, Quantity]] = {}
        for unit, quantity in usage.units.items():
            name, _, model = unit.partition("@")
            parts.setdefault(model, {})[name] = quantity
        priced = {}
        for model, units in parts.items():
            part = Usage(units, None if model else usage.flaw)
            priced[model] = self.rate(part, (names[0], model, None) if model else names, context, at_ns)
        return _summed(priced)


def _unknown(platform: str, response: str | None, request: str | None) -> str:
    opaque = next((name for name in (response, request) if name and OPAQUE.match(name)), None)
    if opaque:
        return f"{opaque} hides its model: say which it is with spanledger.prices.alias"
    return f"no price for {response or request or 'a call that names no model'} on {platform}"


def _provisioned(plan: Plan, usage: Usage, version: str) -> Priced:
    """Reserved capacity is paid by the hour: this call added nothing to the bill."""
    costs = dict.fromkeys(usage.units, 0)
    reason = "served from provisioned capacity, which is billed by the hour"
    return Priced("not_billed", 0, costs, reason, f"book {version}", plan.model, 0, 0)


WORST: Final = ("not_billed", "exact", "estimated", "partial", "unknown")


def _summed(priced: Mapping[str, Priced]) -> Priced:
    """The sum of the parts: as certain as the least certain of them, and a lower bound where one has no price."""
    known = [part for part in priced.values() if part.list_cost is not None]
    status = max((part.status for part in priced.values()), key=WORST.index)
    if known and status == "unknown":
        status = "partial"
    costs = {
        f"{unit}@{model}" if model else unit: amount
        for model, part in priced.items()
        for unit, amount in (part.costs or {}).items()
    }
    return Priced(
        status,
        sum(part.list_cost or 0 for part in known) if known else None,
        costs if known else None,
        "; ".join(dict.fromkeys(part.reason for part in priced.values() if part.reason)) or None,
        "; ".join(dict.fromkeys(part.price_ref for part in priced.values() if part.price_ref)) or None,
        None,
        sum(part.contracted_cost or 0 for part in known) if known else None,
        sum(part.effective_cost or 0 for part in known) if known else None,
    )


ENGINE: Final = Engine()
"""The engine that capture uses."""
