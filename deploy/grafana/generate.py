# ruff: noqa: INP001 - a script, in no package
"""Writes edgeapp.json, a dashboard for Grafana 9 or later: run `.venv/bin/python deploy/grafana/generate.py`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("edgeapp.json")

_WIDE = 24
_OF = 'instance=~"$instance"'
_IN = f'{_OF},pipeline=~"$pipeline"'


class Panel(NamedTuple):
    """A panel: what it is called, what it asks, in which unit, and how wide it is of 24."""

    title: str
    asks: tuple[tuple[str, str], ...]
    """Expression and legend."""
    unit: str = "short"
    width: int = 12
    kind: str = "timeseries"
    about: str = ""
    stacked: bool = False


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "At a glance",
        (
            Panel(
                "Health",
                ((f"edgeapp_health{{{_OF}}} == 1", "{{instance}}: {{health}}"),),
                width=6,
                kind="stat",
            ),
            Panel(
                "Pipelines",
                ((f"edgeapp_pipeline_state{{{_IN}}} == 1", "{{pipeline}}: {{state}}"),),
                width=6,
                kind="stat",
            ),
            Panel(
                "Silent sources",
                ((f"sum(edgeapp_source_silent{{{_IN}}}) or vector(0)", "silent"),),
                width=4,
                kind="stat",
            ),
            Panel("Up", ((f"edgeapp_uptime_seconds{{{_OF}}}", "{{instance}}"),), "s", 4, "stat"),
            Panel(
                "Version",
                ((f"edgeapp_build_info{{{_OF}}}", "{{instance}}: {{version}}"),),
                width=4,
                kind="stat",
            ),
        ),
    ),
    (
        "Answers",
        (
            Panel(
                "Answers of models",
                (
                    (
                        f'rate(edgeapp_stage_answered_packets_total{{{_IN},kind="model"}}[$__rate_interval])',
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
                "cps",
            ),
            Panel(
                "Packets of sources",
                (
                    (
                        f'rate(edgeapp_stage_answered_packets_total{{{_IN},kind="source"}}[$__rate_interval])',
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
                "cps",
            ),
            Panel(
                "Age once answered, p50",
                (
                    (
                        f"histogram_quantile(0.5, rate(edgeapp_stage_age_seconds_bucket{{{_IN}}}[$__rate_interval]))",
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
                "s",
                about="From capture to the answer of a model, an action or an output.",
            ),
            Panel(
                "Age once answered, p99",
                (
                    (
                        f"histogram_quantile(0.99, rate(edgeapp_stage_age_seconds_bucket{{{_IN}}}[$__rate_interval]))",
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "Losses by reason",
                (
                    (
                        f"sum by (pipeline, stage, reason) (rate(edgeapp_stage_dropped_packets_total{{{_IN}}}[$__rate_interval])) > 0",
                        "{{pipeline}}/{{stage}}: {{reason}}",
                    ),
                    (
                        f"rate(edgeapp_source_lost_packets_total{{{_IN}}}[$__rate_interval]) > 0",
                        "{{pipeline}}/{{stage}}: lost before it came in",
                    ),
                ),
                "cps",
                stacked=True,
            ),
            Panel(
                "Faults",
                (
                    (
                        f"increase(edgeapp_stage_faults_total{{{_IN}}}[$__rate_interval]) > 0",
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
            ),
            Panel(
                "Time that stages take",
                (
                    (
                        f"rate(edgeapp_stage_busy_seconds_total{{{_IN}}}[$__rate_interval])",
                        "{{pipeline}}/{{stage}}",
                    ),
                ),
                "percentunit",
                stacked=True,
            ),
            Panel(
                "How long sources have given nothing",
                ((f"edgeapp_source_quiet_seconds{{{_IN}}}", "{{pipeline}}/{{stage}}"),),
                "s",
            ),
        ),
    ),
    (
        "Heat, power and load",
        (
            Panel(
                "Temperature of the die, and its forecast",
                (
                    (f"edgeapp_governor_die_celsius{{{_OF}}}", "{{instance}} now"),
                    (
                        f"edgeapp_governor_forecast_celsius{{{_OF}}}",
                        "{{instance}} in {{ahead}}",
                    ),
                ),
                "celsius",
            ),
            Panel(
                "Rung",
                ((f"edgeapp_model_rung{{{_IN}}}", "{{pipeline}}/{{stage}}"),),
                about="Which model of the ladder answers: 0 is the best.",
            ),
            Panel(
                "One packet of so many is answered",
                ((f"edgeapp_model_divisor{{{_IN}}}", "{{pipeline}}/{{stage}}"),),
                about="0: none.",
            ),
            Panel(
                "Cores",
                (
                    (f"edgeapp_governor_allowed_cores{{{_OF}}}", "{{instance}} allowed"),
                    (f"edgeapp_governor_chosen_cores{{{_OF}}}", "{{instance}} chosen"),
                    (
                        f"rate(process_cpu_seconds_total{{{_OF}}}[$__rate_interval])",
                        "{{instance}} used",
                    ),
                ),
            ),
            Panel(
                "Level",
                ((f"edgeapp_governor_level{{{_OF}}} == 1", "{{instance}}: {{level}}"),),
            ),
            Panel(
                "What is found wrong",
                ((f"edgeapp_governor_detector{{{_OF}}}", "{{instance}}: {{detector}}"),),
            ),
        ),
    ),
    (
        "Messages",
        (
            Panel(
                "Messages",
                (
                    (
                        f"rate(edgeapp_uplink_offered_messages_total{{{_OF}}}[$__rate_interval])",
                        "{{instance}} made",
                    ),
                    (
                        f"rate(edgeapp_uplink_sent_messages_total{{{_OF}}}[$__rate_interval])",
                        "{{instance}} acknowledged",
                    ),
                    (
                        f"sum by (instance, reason) (rate(edgeapp_uplink_dropped_messages_total{{{_OF}}}[$__rate_interval])) > 0",
                        "{{instance}} dropped: {{reason}}",
                    ),
                ),
                "cps",
            ),
            Panel(
                "Outbox",
                (
                    (f"edgeapp_outbox_waiting_messages{{{_OF}}}", "{{instance}} waiting"),
                    (f"edgeapp_outbox_dead_messages{{{_OF}}}", "{{instance}} refused for good"),
                ),
            ),
            Panel(
                "Age of the oldest message",
                ((f"edgeapp_outbox_oldest_seconds{{{_OF}}}", "{{instance}}"),),
                "s",
            ),
            Panel(
                "Broker connected",
                ((f"edgeapp_uplink_connected{{{_OF}}}", "{{instance}}"),),
            ),
            Panel(
                "Written to the disk",
                (
                    (
                        f"rate(edgeapp_outbox_written_bytes_total{{{_OF}}}[$__rate_interval])",
                        "{{instance}}",
                    ),
                ),
                "Bps",
            ),
            Panel("Disk free", ((f"edgeapp_disk_free_bytes{{{_OF}}}", "{{instance}}"),), "bytes"),
        ),
    ),
    (
        "Process",
        (
            Panel(
                "Resident memory",
                ((f"process_resident_memory_bytes{{{_OF}}}", "{{instance}}"),),
                "bytes",
                8,
            ),
            Panel(
                "Threads and open files",
                (
                    (f"edgeapp_process_threads{{{_OF}}}", "{{instance}} threads"),
                    (f"process_open_fds{{{_OF}}}", "{{instance}} files"),
                ),
                width=8,
            ),
            Panel(
                "Clock synchronised",
                ((f"edgeapp_clock_synchronized{{{_OF}}}", "{{instance}}"),),
                width=8,
            ),
        ),
    ),
)

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """The whole dashboard."""
    return {
        "title": "edgeapp",
        "uid": "edgeapp",
        "description": "Devices that run edgeapp. Generated by generate.py; do not edit.",
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["edgeapp"],
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _variable("instance", "label_values(edgeapp_build_info, instance)"),
                _variable(
                    "pipeline",
                    'label_values(edgeapp_pipeline_state{instance=~"$instance"}, pipeline)',
                ),
            ]
        },
        "panels": list(_panels()),
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS:
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": _WIDE, "h": 1},
            }
        )
        y += 1
        x, height = 0, 0
        for panel in panels:
            if x + panel.width > _WIDE:
                x, y = 0, y + height
            height = 4 if panel.kind == "stat" else 8
            found.append(
                _panel(panel, len(found) + 1, {"x": x, "y": y, "w": panel.width, "h": height})
            )
            x += panel.width
        y += height
    return found


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    stat = panel.kind == "stat"
    named = {"textMode": "name"} if len(panel.asks[0][1].split(":")) > 1 else {}
    defaults: dict[str, Any] = {"unit": panel.unit}
    if not stat:
        defaults["custom"] = {
            "fillOpacity": 10,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, **named} if stat else {},
        "targets": [
            {
                "refId": chr(ord("A") + place_),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": stat,
                "range": not stat,
            }
            for place_, (expression, legend) in enumerate(panel.asks)
        ],
    }


def text() -> str:
    """The text of the file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
