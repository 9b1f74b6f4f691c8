"""The tools as modules, and the shared data where it is."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from spanledger import prices

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_layers():
    yield
    prices.reset()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of shared data beside the repository."""
    found = Path(os.environ.get("SPANLEDGER_SHARED") or ROOT.parent / "shared")
    if not (found / "data" / "pricing" / "golden.jsonl").exists():
        pytest.skip(f"no pricing data in {found}: set SPANLEDGER_SHARED")
    return found


@pytest.fixture(scope="session")
def tools():
    """Imports a module of `tools/`."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield import_module
    sys.path.remove(str(ROOT / "tools"))
