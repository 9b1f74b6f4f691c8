"""A multi-tenant application with three SDKs and an agentic chain: who spent what?

    python examples/multi_tenant_app.py                 # against a server on this machine, in a temporary ledger
    python examples/multi_tenant_app.py spend.ledger    # the same, and the ledger stays

The application itself is `spanledger/testing/demo_app.py`: two decorators and a `with` say who its calls are for.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import spanledger
from spanledger.testing.demo import run_application


def main(path: Path) -> None:
    """Runs it, and asks three questions of its ledger."""
    run = run_application(path)
    ledger = spanledger.Ledger(path)
    print(ledger.cost(by=["customer", "team"], where="environment = 'demo'"))
    print(ledger.sql("SELECT usage_source, cost_status, count(*) AS charges FROM charges GROUP BY ALL ORDER BY ALL"))
    print(ledger.trace(run.workflow_id))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(*sys.argv[1:2] or (folder, "demo.ledger")))
