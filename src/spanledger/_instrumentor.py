"""Zero code: `opentelemetry-instrument python app.py` finds `spanledger` among its entry points.

Settings come from the environment. Switch it off with `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=spanledger`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from spanledger import _faults
from spanledger._config import instrument, uninstrument
from spanledger.errors import ConfigurationError


class Instrumentor:
    """What OpenTelemetry's agent loads. It has the methods of a `BaseInstrumentor` and needs none of its packages."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: SDKs are hooked when they are imported, and only then."""
        return ()

    def instrument(self, **_: Any) -> None:
        """Meters this process. Never raises: an error here would keep the agent from loading its other parts."""
        try:
            instrument()
        except ConfigurationError as error:
            _faults.log.error("spanledger is not active: %s", error)
        except Exception as error:  # noqa: BLE001 -- as the docstring says
            _faults.record("start", error)

    def uninstrument(self, **_: Any) -> None:
        """Stops metering."""
        uninstrument()
