"""What is generated from the tables is up to date, and asks for what there is."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = runpy.run_path(str(ROOT / "tools" / "otel_pages.py"))["FILES"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_files_are_those_that_the_tables_make(name):
    assert (ROOT / name).read_text() == FILES[name](), "run python tools/otel_pages.py"


def test_the_dashboard_asks_for_metrics_of_the_table_only():
    panels = json.loads(FILES["deploy/grafana/spanledger.json"]())["panels"]
    page = FILES["docs/reference/otel.md"]()
    for panel in panels:
        for word in panel["targets"][0]["expr"].replace("{", " ").replace("[", " ").replace("(", " ").split():
            if word.startswith(("spanledger_", "gen_ai_client_")):
                assert f"`{word.removesuffix('_bucket').removesuffix('_count')}`" in page
