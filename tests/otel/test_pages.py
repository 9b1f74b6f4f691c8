"""What is generated from the tables is up to date, and Prometheus takes the rules."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = runpy.run_path(str(ROOT / "tools" / "otel_pages.py"))["FILES"]
PROMTOOL = which("promtool") or os.path.join(os.environ.get("SPANLEDGER_BACKENDS", ""), "prometheus/usr/bin/promtool")  # noqa: PTH118 -- may be empty


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


@pytest.mark.skipif(not os.access(PROMTOOL, os.X_OK), reason="promtool is not installed (Debian's package prometheus)")
def test_promtool_takes_the_rules():
    rules = ROOT / "deploy" / "prometheus" / "spanledger.rules.yml"
    done = subprocess.run([PROMTOOL, "check", "rules", str(rules)], capture_output=True, text=True, check=True)
    assert "5 rules found" in done.stdout
