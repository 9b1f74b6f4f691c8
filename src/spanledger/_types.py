"""What capture produces and finance reads: `Usage`, `Priced`, `Charge`. All are immutable.

The class body of `Charge` is the one table of ledger columns: the JSON, Arrow and SQL forms, the FOCUS map and the
reference page are generated from it. Its names are a promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from spanledger._schema import (
    Column,
    Flag,
    Instant,
    Integer,
    Millis,
    Money,
    MoneyMap,
    QuantityMap,
    Text,
    TextList,
    TextMap,
    columns_of,
)
from spanledger._units import inclusive

Quantity = int | Decimal
Row = dict[str, Any]

SCHEMA_VERSION: Final = 1


class Usage(NamedTuple):
    """What one response was billed for, in disjoint units: no token is counted in two of them.

    `units` maps a unit of `spanledger._units.UNITS` to its quantity; `unit@model` is a part that another model served.
    The parts sum to the provider's own totals. Where they do not, `flaw` says how, and nothing is clamped; where a
    part is negative or no number, `usable` is false and the row has no price.
    """

    units: Mapping[str, Quantity]
    flaw: str | None = None
    usable: bool = True

    @property
    def input_tokens(self) -> int | None:
        """All tokens sent, cached and written ones included."""
        return inclusive(self.units, "input")

    @property
    def output_tokens(self) -> int | None:
        """All tokens received, reasoning included."""
        return inclusive(self.units, "output")

    @property
    def cache_read_tokens(self) -> int | None:
        """The part of the input that the cache served."""
        return inclusive(self.units, "cache_read")

    @property
    def cache_write_tokens(self) -> int | None:
        """The part of the input that was written to the cache, for whatever lifetime."""
        return inclusive(self.units, "cache_write")

    @property
    def reasoning_tokens(self) -> int | None:
        """The part of the output that is reasoning."""
        return inclusive(self.units, "reasoning")


class Priced(NamedTuple):
    """A usage at its price. Amounts are integers of 1e-15 of the currency's unit; `None` is not known, never zero.

    `status` is `exact`, `estimated`, `partial` (some unit has no price: the amount is a lower bound), `unknown` (no
    amount) or `not_billed` (an amount of zero that is certain). `reason` says why, wherever it is not `exact`.
    `price_ref` names the price rows and the version of the book that they came from.
    """

    status: str
    list_cost: int | None = None
    costs: Mapping[str, int] | None = None
    reason: str | None = None
    price_ref: str | None = None
    billed_model: str | None = None
    contracted_cost: int | None = None
    effective_cost: int | None = None
    currency: str = "USD"


class Charge:
    """One billed provider response: who caused it, what it used, what it cost. Made from a stored row, immutable."""

    __slots__ = ("row", "server_port")
    row: Row
    server_port: int | None

    charge_id = Text("identity", "UUIDv7 of this row.", required=True, focus="x_ChargeId")
    call_id = Text("identity", "The SDK call: rows of billed retries share it.")
    response_id = Text("identity", "The provider's own id of the response.")
    corrects = Text("identity", "The `charge_id` that this row corrects; both have the same `started_at`.")
    started_at = Instant("identity", "When the call began.", required=True, focus="ChargePeriodStart")
    charge_count = Integer("identity", "How many charges this row is, where its day was rolled up: else one.")
    duration_ms = Millis("identity", "From the call to the end of its body.")
    time_to_first_chunk_ms = Millis("identity", "From the call to the first event of a stream.")

    provider_name = Text("what", "Who served it, in OpenTelemetry's words: `openai`, `aws.bedrock`, ...", required=True)
    operation = Text("what", "`chat`, `embeddings`, `generate_content`, ...", required=True)
    request_model = Text("what", "The model that the application named.")
    response_model = Text("what", "The model that the provider says it used.")
    billed_model = Text("what", "The model whose price applies.", focus="x_ModelId")
    server_address = Text("what", "The host that was called.")
    service_tier = Text("what", "The tier that served it: `default`, `flex`, `priority`, ...")
    region = Text("what", "The provider's region, where one is known.", focus="RegionId")
    stream = Flag("what", "Whether the response was streamed.")
    status = Text("what", "`ok`, `error` or `aborted`.", required=True)
    error_type = Text("what", "The class of the error, or the provider's own name of it.")
    finish_reasons = TextList("what", "Why the model stopped.")

    team = Text("who", "The team that owns the cost.", focus="Tags")
    feature = Text("who", "The product feature that caused it.", focus="Tags")
    customer = Text("who", "The customer it was done for.", focus="Tags")
    environment = Text("who", "`prod`, `staging`, ...", focus="Tags")
    user_id = Text("who", "The end user.")
    session_id = Text("who", "The conversation or session.")
    tags = TextMap("who", "Every other tag.", focus="Tags")

    trace_id = Text("where", "The trace, 32 hexadecimal digits.")
    span_id = Text("where", "The span of this call, 16 hexadecimal digits.")
    parent_span_id = Text("where", "The span that the call was made in.")
    workflow = Text("where", "The agentic chain that it belongs to.")
    workflow_id = Text("where", "One run of that chain.")
    service_name = Text("where", "The service, as OpenTelemetry names it.")
    release = Text("where", "The release of the service.")

    input_tokens = Integer("usage", "All tokens sent, cached ones included.")
    output_tokens = Integer("usage", "All tokens received, reasoning included.")
    cache_read_tokens = Integer("usage", "The part of the input that the cache served.")
    cache_write_tokens = Integer("usage", "The part of the input that was written to the cache.")
    reasoning_tokens = Integer("usage", "The part of the output that is reasoning.")
    usage = QuantityMap("usage", "Every disjoint unit and its quantity.", focus="ConsumedQuantity")
    usage_source = Text("usage", "`reported`, `request` (counted from what was sent), `partial` or `estimated`.")

    currency = Text("money", "ISO 4217.", focus="BillingCurrency")
    list_cost = Money("money", "At the public price.", focus="ListCost")
    contracted_cost = Money("money", "At the negotiated price.", focus="ContractedCost")
    effective_cost = Money("money", "After discounts and amortised commitments.", focus="EffectiveCost")
    costs = MoneyMap("money", "The list cost of each unit.")
    cost_status = Text("money", "`exact`, `estimated`, `partial`, `unknown` or `not_billed`.", required=True)
    cost_reason = Text("money", "Why the status is not `exact`.")
    cost_source = Text("money", "`provider` where the response stated a cost of its own.")
    provider_cost = Money("money", "The cost that the provider itself stated in the response.")
    price_ref = Text("money", "The price rows and the version of the book.", focus="SkuPriceId")
    price_context = TextMap("money", "What decided the price besides the model: tier, region, batch, ...")

    def __init__(self, row: Row, server_port: int | None = None) -> None:
        """`server_port` is known while the process runs; it is no column."""
        object.__setattr__(self, "row", row)
        object.__setattr__(self, "server_port", server_port)

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"a charge is immutable: cannot set {name}"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[type[Charge], tuple[Row, int | None]]:
        """A copy, or one in another process, is made of the row."""
        return Charge, (self.row, self.server_port)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Charge) and self.row == other.row

    def __hash__(self) -> int:
        return hash(self.row["charge_id"])

    def __repr__(self) -> str:
        shown = ("provider_name", "billed_model", "input_tokens", "output_tokens", "list_cost", "cost_status")
        return f"Charge({', '.join(f'{name}={self.row.get(name)!r}' for name in shown)})"


COLUMNS: Final[tuple[Column[Any], ...]] = tuple(columns_of(Charge))
"""Every column of the ledger, in the order in which engines show them."""

OWNERS: Final = ("team", "feature", "customer", "environment", "user_id", "session_id")
"""The tags that have a column of their own."""


class Sink(Protocol):
    """Takes every charge, in the thread that made the call. What it raises is counted and goes no further."""

    def book(self, charge: Charge) -> None:
        """Keeps one charge."""

    def flush(self) -> None:
        """Gives away what is still held."""


class SpanHandle(Protocol):
    """The span of one call in flight."""

    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None

    def enter(self) -> Any:
        """Makes the span current; returns a token for `leave`."""

    def leave(self, token: Any) -> None:
        """Makes the former span current again."""

    def adopt_current(self) -> None:
        """Looks whether the SDK has opened a span of its own, to annotate that one instead."""

    def end(self, charges: list[Charge], error: BaseException | None) -> None:
        """Writes what is known and ends the span."""


class Spans(Protocol):
    """Opens a span for each call, or finds that somebody else's will do."""

    def begin(self, row: Row, *, native: bool = False, port: int | None = None) -> SpanHandle | None:
        """`row` is the charge so far: operation, provider, request model, server, tags. `native`: the SDK opens one."""
