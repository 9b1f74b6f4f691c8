"""Prometheus' own checker takes the alert rules, and every expression of the dashboard as a rule."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
VARIABLES = {"$__range": "1d", "$__rate_interval": "5m", "$team": ".*"}


def check(promtool, file):
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"(\d+) rules found", done.stdout)[1])


def test_it_takes_the_alert_rules(promtool):
    assert check(promtool, DEPLOY / "prometheus" / "spanledger.rules.yml") == 5


def test_it_takes_every_expression_of_the_dashboard(promtool, tmp_path):
    panels = json.loads((DEPLOY / "grafana" / "spanledger.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    for name, value in VARIABLES.items():
        expressions = [expression.replace(name, value) for expression in expressions]
    assert not [expression for expression in expressions if "$" in expression]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    assert check(promtool, file) == len(panels) == 12


def test_it_refuses_what_is_no_expression(promtool, tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "wrong", "rules": [{"record": "a:b", "expr": "sum(("}]}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
