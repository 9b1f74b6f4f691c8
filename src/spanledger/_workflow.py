"""`workflow`: an agentic chain as one run, with one id, one trace and a cost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from spanledger import _ids
from spanledger._around import Around, current, opened
from spanledger._tags import scope, within
from spanledger._units import money_text


class Run:
    """One run of a workflow: its id, its trace, and what the calls inside have cost so far.

    A workflow inside another is a step of it: calls carry the outer one's `workflow` and `workflow_id`, and the path of
    steps in the tag `step`. Where OpenTelemetry has no trace, the run makes one, so that its calls are found together.
    """

    def __init__(self, name: str, parent: Run | None = None, context: Context | None = None) -> None:
        self.name = name
        self.parent = parent
        self.step: str | None = None
        if parent:
            self.step = f"{parent.step}/{name}" if parent.step else name
        self.workflow: str = parent.workflow if parent else name
        self.workflow_id: str = parent.workflow_id if parent else _ids.uuid7()
        self.span = opened({"operation": "invoke_workflow", "name": name}, context)
        own, here = self.span.get_span_context(), trace.get_current_span(context).get_span_context()
        traced = own.is_valid and own.span_id != here.span_id
        self.trace_id: str = f"{own.trace_id:032x}" if own.is_valid else parent.trace_id if parent else _ids.trace_id()
        self.span_id: str = f"{own.span_id:016x}" if traced else _ids.span_id()
        self._amounts: list[int | None] = []

    @classmethod
    def elsewhere(cls, name: str, workflow_id: str, trace_id: str, span_id: str, step: str | None = None) -> Run:
        """One that another process began: calls here belong to it, and what they cost is counted here alone."""
        run = cls.__new__(cls)
        run.name = run.workflow = name
        run.parent = None
        run.step = step
        run.workflow_id, run.trace_id, run.span_id = workflow_id, trace_id, span_id
        run.span = trace.INVALID_SPAN
        run._amounts = []
        return run

    def add(self, femtos: int | None) -> None:
        """Counts one charge, here and in every enclosing run; `None` is one without a price."""
        run: Run | None = self
        while run is not None:
            run._amounts.append(femtos)
            run = run.parent

    def amend(self, before: int | None, femtos: int | None) -> None:
        """Counts a charge that takes the place of one which was counted before."""
        run: Run | None = self
        while run is not None:
            with suppress(ValueError):
                run._amounts.remove(before)
            run._amounts.append(femtos)
            run = run.parent

    @property
    def cost(self) -> Decimal:
        """The list cost of the charges so far, in US dollars, without those that `unpriced` counts."""
        return Decimal(money_text(sum(amount for amount in list(self._amounts) if amount is not None)))

    @property
    def charges(self) -> int:
        """How many charges were booked."""
        return len(self._amounts)

    @property
    def unpriced(self) -> int:
        """How many of them have no price in US dollars."""
        return sum(amount is None for amount in list(self._amounts))

    def __repr__(self) -> str:
        counted = f"charges={self.charges}, unpriced={self.unpriced}, cost={self.cost}"
        return f"Run({self.name!r}, workflow_id={self.workflow_id!r}, {counted})"


class workflow(Around[Run]):  # noqa: N801 -- read as a verb, as `tag` is
    """Groups the calls made inside under one workflow id and one trace, and knows what they cost.

    A context manager that gives the `Run`, and a decorator of any kind of function. Tags are as in `tag`.
    """

    def __init__(self, name: str, **tags: Any) -> None:
        super().__init__({"operation": "invoke_workflow", "name": name}, tags)

    def _enter(self, tags: Mapping[str, str]) -> tuple[Context, Span, Run]:
        run = Run(self._row["name"], scope().run, within(tags) if tags else None)
        tags = {**tags, "step": run.step} if run.step else tags
        return current(run.span, within(tags, run)), run.span, run
