"""Each alert fires when it should, and does not when it need not: by Prometheus' own test of rules."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

RULES = Path("deploy/prometheus/edgeapp.rules.yml")
Find = Callable[[str, str], str]
Series = Mapping[str, str]


class Case(NamedTuple):
    """When an alert fires: series by their notation in tests of rules, one value a minute."""

    fires: Series
    silent: Series
    after_min: int


def one(metric: str, bad: str, good: str, after_min: int, labels: str = "") -> Case:
    """A case of one series."""
    name = f'{metric}{{job="edgeapp",instance="porch"{labels}}}'
    return Case({name: bad}, {name: good}, after_min)


STAGE = ',pipeline="porch",stage="detect"'
KIND = f'{STAGE},kind="model"'


def of(metric: str, labels: str = "") -> str:
    return f'{metric}{{job="edgeapp",instance="porch"{labels}}}'


CASES: dict[str, Case] = {
    "EdgeappDown": one("up", "1x5 0x30", "1x5 0 1x30", 15),
    "EdgeappSafeMode": one("edgeapp_health", "1x30", "0x30", 5, ',health="safe"'),
    "EdgeappRestarts": one(
        "edgeapp_uptime_seconds", "900 20 80 20 80 20 80x30", "0+60x10 20+60x40", 12
    ),
    "EdgeappClockUnsynchronized": one("edgeapp_clock_synchronized", "0x100", "0x30 1x70", 70),
    "EdgeappDiskLow": Case(
        {of("edgeapp_disk_free_bytes"): "900e6x30", of("edgeapp_disk_size_bytes"): "32e9x30"},
        {of("edgeapp_disk_free_bytes"): "2e9x30", of("edgeapp_disk_size_bytes"): "32e9x30"},
        15,
    ),
    "EdgeappFileDescriptors": Case(
        {of("process_open_fds"): "900x30", of("process_max_fds"): "1024x30"},
        {of("process_open_fds"): "80x30", of("process_max_fds"): "1024x30"},
        15,
    ),
    "EdgeappPipelineFailed": one(
        "edgeapp_pipeline_state",
        "0 1 0 1 0 0 1 0 0 0 1 0 0 0 1 0",  # opened again in between
        "0 0 1 0x30",
        10,
        ',pipeline="porch",state="failed"',
    ),
    "EdgeappPipelineStuck": one(
        "edgeapp_pipeline_state", "0 1x20", "0x20", 5, ',pipeline="porch",state="stuck"'
    ),
    "EdgeappFaults": one("edgeapp_stage_faults_total", "0+1x30", "0x5 1x5 2x20", 20, KIND),
    "EdgeappSourceSilent": one(
        "edgeapp_source_silent", "0 0 1x20", "0 0 1 0x20", 8, ',pipeline="porch",stage="camera"'
    ),
    "EdgeappLosses": Case(
        {
            of("edgeapp_stage_dropped_packets_total", f'{KIND},reason="late"'): "0+20x40",
            of("edgeapp_stage_answered_packets_total", KIND): "0+900x40",
        },
        {
            of("edgeapp_stage_dropped_packets_total", f'{KIND},reason="late"'): "0+2x40",
            of("edgeapp_stage_dropped_packets_total", f'{KIND},reason="full"'): "0+900x40",
            of("edgeapp_stage_answered_packets_total", KIND): "0+900x40",
        },
        30,
    ),
    "EdgeappSourceLosses": Case(
        {
            of("edgeapp_source_lost_packets_total", STAGE): "0+20x40",
            of("edgeapp_stage_answered_packets_total", f'{STAGE},kind="source"'): "0+900x40",
        },
        {
            of("edgeapp_source_lost_packets_total", STAGE): "0+2x40",
            of("edgeapp_stage_answered_packets_total", f'{STAGE},kind="source"'): "0+900x40",
        },
        30,
    ),
    "EdgeappHot": one("edgeapp_governor_level", "1x30", "1x5 0x30", 20, ',level="serious"'),
    "EdgeappAtTheFloor": Case(
        {
            of("edgeapp_model_rung", STAGE): "2x60",
            of("edgeapp_model_rungs", STAGE): "3x60",
            of("edgeapp_model_pinned", STAGE): "0x60",
        },
        {  # there is only one model
            of("edgeapp_model_rung", STAGE): "0x60",
            of("edgeapp_model_rungs", STAGE): "1x60",
            of("edgeapp_model_pinned", STAGE): "0x60",
        },
        45,
    ),
    "EdgeappUndervoltage": one(
        "edgeapp_governor_detector", "0 1x20", "0x20", 5, ',detector="undervoltage"'
    ),
    "EdgeappUngoverned": one(
        "edgeapp_governor_binding", "1x20", "1 1 0x20", 10, ',binding="fault"'
    ),
    "EdgeappBrokerAway": one("edgeapp_uplink_connected", "0x40", "0x5 1 0x10 1x30", 20),
    "EdgeappOutboxGrowing": one(
        "edgeapp_outbox_waiting_messages", "2000+60x120", "60000-60x120", 100
    ),
    "EdgeappOutboxOld": one("edgeapp_outbox_oldest_seconds", "30000+60x30", "10+60x30", 20),
    "EdgeappOutboxInMemory": one("edgeapp_outbox_problem", "1x20", "1 1 0x20", 10),
    "EdgeappMessagesDropped": one(
        "edgeapp_uplink_dropped_messages_total", "0x5 7x30", "7x30", 20, ',reason="full"'
    ),
}


@pytest.fixture(scope="module")
def promtool(system_program: Find) -> str:
    return system_program("promtool", "prometheus")


def alerts(repo: Path) -> dict[str, dict[str, Any]]:
    said = yaml.safe_load((repo / RULES).read_text(encoding="utf-8"))
    return {
        rule["alert"]: rule
        for group in said["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def trial(alert: str, series: Series, after_min: int, *, fires: bool) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{after_min}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


def run(promtool: str, repo: Path, folder: Path, tests: list[dict[str, Any]]) -> str:
    """What promtool says against the tests; empty: all hold."""
    file = folder / "test.yml"
    rules = str(repo / RULES)
    file.write_text(
        yaml.safe_dump({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests})
    )
    ended = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def test_promtool_takes_the_rules_and_the_configuration(promtool: str, repo: Path) -> None:
    for kind, file in (("rules", RULES.name), ("config", "prometheus.yml")):
        ended = subprocess.run(
            [promtool, "check", kind, file],
            cwd=repo / RULES.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


def test_each_alert_has_a_case_and_a_word_on_what_to_do(repo: Path) -> None:
    page = (repo / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert set(alerts(repo)) == set(CASES)
    for name, rule in alerts(repo).items():
        assert f"| `{name}` |" in page
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert "$labels.instance" in rule["annotations"]["summary"]


@pytest.mark.slow
def test_each_alert_fires(promtool: str, repo: Path, tmp_path: Path) -> None:
    tests = [trial(name, c.fires, c.after_min, fires=True) for name, c in CASES.items()]
    assert run(promtool, repo, tmp_path, tests) == ""


@pytest.mark.slow
def test_none_fires_without_need(promtool: str, repo: Path, tmp_path: Path) -> None:
    tests = [trial(name, c.silent, c.after_min, fires=False) for name, c in CASES.items()]
    assert run(promtool, repo, tmp_path, tests) == ""


def test_a_test_of_rules_can_fail(promtool: str, repo: Path, tmp_path: Path) -> None:
    case = CASES["EdgeappDown"]
    tests = [trial("EdgeappDown", case.silent, case.after_min, fires=True)]
    assert "FAILED" in run(promtool, repo, tmp_path, tests)
