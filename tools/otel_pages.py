"""Writes what is made from the tables of names and metrics: the reference page, a Grafana dashboard, alert rules.

`python tools/otel_pages.py` writes them, `--check` fails where they are not up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from spanledger._settings import SETTINGS
from spanledger.sinks._metric_names import ATTRIBUTES, DEFAULT_METRICS, METRICS, Metric
from spanledger.sinks._metric_names import PROFILES as METRIC_PROFILES
from spanledger.sinks._metrics import DEFAULT_METRIC_TAGS
from spanledger.sinks._otel_names import (
    AROUND,
    COMPARED,
    DEFAULT_PROFILES,
    END,
    PROFILES,
    START,
    TAG_PREFIX,
    TAGS,
    VERSION,
    Name,
)
from spanledger.sinks.otel import DEFAULT_SPAN_TAGS

ROOT: Final = Path(__file__).parent.parent
SUFFIXES: Final = {"s": "_seconds"}


def series(name: str) -> str:
    """What Prometheus calls a metric of the table: the exporter's rules for dots, units and counters."""
    metric = next(metric for metric in METRICS if metric.name == name)
    flat = metric.name.replace(".", "_") + SUFFIXES.get(metric.unit, "")
    return f"{flat}_total" if metric.kind == "counter" else flat


COST: Final = series("spanledger.cost")
CHARGES: Final = series("spanledger.charges")
INPUT: Final = series("gen_ai.client.inference.usage.input_tokens")
OUTPUT: Final = series("gen_ai.client.inference.usage.output_tokens")
CACHED: Final = series("gen_ai.client.inference.usage.cache_read.input_tokens")
SECONDS: Final = series("gen_ai.client.inference.duration")
FIRST: Final = series("gen_ai.client.inference.time_to_first_chunk")
MODEL: Final = ATTRIBUTES["request_model"].replace(".", "_")
STATUS: Final = ATTRIBUTES["cost_status"].replace(".", "_")
SOURCE: Final = ATTRIBUTES["usage_source"].replace(".", "_")
ERROR: Final = ATTRIBUTES["error_type"].replace(".", "_")


class Panel(NamedTuple):
    """One panel of the dashboard."""

    title: str
    expression: str
    legend: str
    unit: str
    kind: str = "timeseries"


TEAM: Final = 'team=~"$team"'

PANELS: Final = (
    Panel("Spent", f"sum(increase({COST}{{{TEAM}}}[$__range]))", "", "currencyUSD", "stat"),
    Panel("Calls", f"sum(increase({CHARGES}{{{TEAM}}}[$__range]))", "", "short", "stat"),
    Panel(
        "Charges without an exact cost",
        f'sum(increase({CHARGES}{{{TEAM},{STATUS}!~"exact|not_billed"}}[$__range])) '
        f"/ sum(increase({CHARGES}{{{TEAM}}}[$__range]))",
        "",
        "percentunit",
        "stat",
    ),
    Panel("Input that the cache served", f"sum(rate({CACHED}[$__range])) / sum(rate({INPUT}[$__range]))", "", "percentunit", "stat"),
    Panel("Cost an hour, by team", f"sum by (team) (rate({COST}{{{TEAM}}}[$__rate_interval])) * 3600", "{{team}}", "currencyUSD"),
    Panel("Cost an hour, by model", f"sum by ({MODEL}) (rate({COST}{{{TEAM}}}[$__rate_interval])) * 3600", f"{{{{{MODEL}}}}}", "currencyUSD"),
    Panel("Cost by feature", f"sort_desc(sum by (feature) (increase({COST}{{{TEAM}}}[$__range])))", "{{feature}}", "currencyUSD", "bargauge"),
    Panel("Input tokens a second, by model", f"sum by ({MODEL}) (rate({INPUT}{{{TEAM}}}[$__rate_interval]))", f"{{{{{MODEL}}}}}", "short"),
    Panel("Output tokens a second, by model", f"sum by ({MODEL}) (rate({OUTPUT}{{{TEAM}}}[$__rate_interval]))", f"{{{{{MODEL}}}}}", "short"),
    Panel("Duration, 95th percentile", f"histogram_quantile(0.95, sum by (le, {MODEL}) (rate({SECONDS}_bucket[$__rate_interval])))", f"{{{{{MODEL}}}}}", "s"),
    Panel("Time to first chunk, 95th percentile", f"histogram_quantile(0.95, sum by (le, {MODEL}) (rate({FIRST}_bucket[$__rate_interval])))", f"{{{{{MODEL}}}}}", "s"),
    Panel("Calls that failed, by error", f'sum by ({ERROR}) (rate({SECONDS}_count{{{ERROR}!=""}}[$__rate_interval]))', f"{{{{{ERROR}}}}}", "reqps"),
)  # fmt: skip


class Alert(NamedTuple):
    """One alert rule."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    remedy: str


ALERTS: Final = (
    Alert(
        "SpanledgerChargesLost",
        f"increase({series('spanledger.lost')}[15m]) > 0",
        "0m",
        "critical",
        "{{ $value }} charges reached no ledger",
        "Run `spanledger doctor` on the host: the ledger's directory cannot be written.",
    ),
    Alert(
        "SpanledgerFaults",
        f"increase({series('spanledger.faults')}[15m]) > 0",
        "0m",
        "warning",
        "{{ $value }} faults inside spanledger were kept from the application",
        "Run `spanledger doctor`: it names each place and its latest message.",
    ),
    Alert(
        "SpanledgerUnpricedCharges",
        f'sum(rate({CHARGES}{{{STATUS}=~"unknown|partial"}}[1h])) / sum(rate({CHARGES}[1h])) > 0.05',
        "15m",
        "warning",
        "{{ $value | humanizePercentage }} of charges have no complete price",
        "Ask the ledger for `cost_reason`, and add a price for what it names.",
    ),
    Alert(
        "SpanledgerEstimatedUsage",
        f'sum(rate({CHARGES}{{{SOURCE}=~"estimated|partial"}}[1h])) / sum(rate({CHARGES}[1h])) > 0.2',
        "30m",
        "info",
        "{{ $value | humanizePercentage }} of charges rest on usage that no provider has reported in full",
        "Streams are broken off or do not report usage: set `stream_options.include_usage`.",
    ),
    Alert(
        "SpanledgerSpendSurge",
        f"sum by (team) (rate({COST}[1h])) > 3 * sum by (team) (rate({COST}[1d] offset 1h)) "
        f"and sum by (team) (rate({COST}[1h])) * 3600 > 1",
        "10m",
        "warning",
        "{{ $labels.team }} spends {{ $value | humanize }} dollars a second, three times its day's average",
        "Ask the ledger which feature, customer and model it is.",
    ),
)  # fmt: skip


def dashboard() -> str:
    """The Grafana dashboard as JSON, for import or provisioning."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = [_panel(number, panel, source) for number, panel in enumerate(PANELS)]
    made = {
        "title": "LLM cost (spanledger)",
        "uid": "spanledger",
        "tags": ["spanledger", "llm", "finops"],
        "schemaVersion": 39,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "team",
                    "type": "query",
                    "datasource": source,
                    "query": f"label_values({COST}, team)",
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "refresh": 2,
                },
            ]
        },
        "panels": panels,
    }
    return json.dumps(made, indent=2) + "\n"


def _panel(number: int, panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    small = panel.kind == "stat"
    stats = sum(one.kind == "stat" for one in PANELS)
    place = number if small else number - stats
    across = 4 if small else 2
    width, height = 24 // across, 4 if small else 8
    row = 0 if small else 4
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": {"x": place % across * width, "y": row + place // across * height, "w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": source,
                "expr": panel.expression,
                "legendFormat": panel.legend or "__auto",
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
            }
        ],
    }


def rules() -> str:
    """The alert rules as YAML, for `rule_files`."""
    lines = [
        "# Made by tools/otel_pages.py from the table of metrics.",
        "groups:",
        "  - name: spanledger",
        "    rules:",
    ]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expression)}",
            f"        for: {alert.lasting}",
            f"        labels: {{severity: {alert.severity}}}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          description: {json.dumps(alert.remedy)}",
        ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The reference page of OpenTelemetry names."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# OpenTelemetry: attributes and metrics"
    yield ""
    yield "Made from the tables in `spanledger.sinks._otel_names` and `spanledger.sinks._metric_names` by"
    yield f"`tools/otel_pages.py`. Version of the names: {VERSION}, compared on that day with"
    yield ", ".join(f"{package} {version}" for package, version in COMPARED.items()) + "."
    yield ""
    yield "## Attributes of a call's span"
    yield ""
    yield 'A profile is a set of names; `profiles=[...]` or `SPANLEDGER_PROFILES` chooses. Names "at the start" are there when'
    yield "the span begins, so that a sampler sees them."
    yield ""
    yield from _table(("Attribute", "Value", "Profile", "By default"), _names())
    yield ""
    yield f"Every other tag is `{TAG_PREFIX}` and its name."
    yield ""
    yield "## Attributes of a workflow's or a tool's span"
    yield ""
    yield "The spans of `workflow` and `tool` have these, the tags of `span_tags`, and `error.type`. Usage and cost are on the"
    yield "spans of the calls inside only, so that no backend adds them up twice."
    yield ""
    yield from _table(("Attribute", "Value", "Profile", "By default"), (_row(name, "") for name in AROUND))
    yield ""
    yield "## Metrics"
    yield ""
    yield from _table(("Metric", "In Prometheus", "Kind", "Unit", "By", "Profile", "What it is"), _metrics())
    yield ""
    yield "`tags` are those of the setting `metric_tags`: `team`, `feature` and `environment` by default."


def settings_page() -> str:
    """The reference page of every setting."""
    return "\n".join(_settings_page()) + "\n"


def _settings_page() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "The keyword arguments of `configure` and `instrument`. What code gives beats the environment. Made from"
    yield "`spanledger._settings` by `tools/otel_pages.py`."
    yield ""
    yield from _table(("Setting", "Environment variable", "Default", "What it does"), _settings())
    yield ""
    yield "## What None stands for"
    yield ""
    yield "What each of these names brings is in"
    yield "[attributes and metrics](otel.md)."
    yield ""
    yield from _table(("Setting", "By default", "Others"), _choices())
    yield ""
    yield IN_THE_ENVIRONMENT


def _choices() -> Iterable[tuple[str, ...]]:
    for setting, known, default in (
        ("profiles", PROFILES, DEFAULT_PROFILES),
        ("metrics", METRIC_PROFILES, DEFAULT_METRICS),
        ("span_tags", DEFAULT_SPAN_TAGS, DEFAULT_SPAN_TAGS),
        ("metric_tags", DEFAULT_METRIC_TAGS, DEFAULT_METRIC_TAGS),
    ):
        others = [name for name in known if name not in default]
        yield f"`{setting}`", _listed(default), _listed(others) if setting in {"profiles", "metrics"} else "any tag"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


IN_THE_ENVIRONMENT: Final = """## In the environment

Names of a list have commas between them, pairs are `name=value` with commas between them, a switch is `1` or `0`. What cannot be
read is an error that names the variable and what it takes, where `instrument` is called; under OpenTelemetry's agent it is logged,
and the application runs unmetered. A variable that is empty is none. One whose name is misspelt is warned of, and `spanledger doctor`
lists every variable `SPANLEDGER_...` that is no setting.

```python
import os

import spanledger

os.environ["SPANLEDGER_TAGS"] = "team=growth,environment=prod"
os.environ["SPANLEDGER_SPAN_POLICY"] = "*=emit,anthropic=off"
os.environ["SPANLEDGER_METRIC_TOP"] = "customer=20"
os.environ["SPANLEDGER_THREADS"] = "1"
spanledger.instrument(ledger="spend.ledger")
print(spanledger.current_tags())
```

<!-- invisible-code-block: python
assert spanledger.current_tags() == {"team": "growth", "environment": "prod"}
for name in ("TAGS", "SPAN_POLICY", "METRIC_TOP", "THREADS"):
    del os.environ[f"SPANLEDGER_{name}"]
-->"""


Rows = Iterable[tuple[str, ...]]


def _table(head: tuple[str, ...], rows: Rows) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _row(name: Name, at: str) -> tuple[str, ...]:
    default = "yes" if name.profile in DEFAULT_PROFILES else "no"
    return (f"`{name.attribute}`", f"`{name.value}`{at}", name.profile, default)


def _names() -> Rows:
    yield from (_row(name, ", at the start") for name in START)
    yield from (_row(name, ", a tag") for name in TAGS)
    yield from (_row(name, "") for name in END)


def _metrics() -> Rows:
    def row(metric: Metric) -> tuple[str, ...]:
        by = ", ".join(f"`{ATTRIBUTES.get(name, name)}`" for name in metric.by)
        profile = metric.profile if metric.profile in DEFAULT_METRICS else f"{metric.profile} (off)"
        return (
            f"`{metric.name}`",
            f"`{series(metric.name)}`",
            metric.kind,
            f"`{metric.unit}`",
            by,
            profile,
            metric.description,
        )

    return (row(metric) for metric in METRICS)


def _settings() -> Rows:
    return (
        (f"`{one.name}`", f"`{one.variable}`" if one.variable else "", f"`{one.default!r}`", one.doc)
        for one in SETTINGS.values()
    )


FILES: Final = {
    "docs/reference/otel.md": page,
    "docs/reference/settings.md": settings_page,
    "deploy/grafana/spanledger.json": dashboard,
    "deploy/prometheus/spanledger.rules.yml": rules,
}


def main() -> int:
    """Writes every file, or with `--check` says which are not up to date."""
    stale = [name for name, make in FILES.items() if _text(name) != make()]
    if "--check" in sys.argv:
        print("\n".join(f"{name} is not up to date: run python tools/otel_pages.py" for name in stale))
        return bool(stale)
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(FILES[name]())
        print(f"wrote {name}")
    return 0


def _text(name: str) -> str:
    return (ROOT / name).read_text() if (ROOT / name).exists() else ""


if __name__ == "__main__":
    sys.exit(main())
