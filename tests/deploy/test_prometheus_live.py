"""Every rule and every panel is asked of a real Prometheus that watches a real device."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("prometheus_client", reason="the extra 'metrics' is not installed")

from edgeapp.service.monitoring.metrics import METRICS
from tests.servers.mosquitto import Mosquitto, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RULES = Path("deploy/prometheus/edgeapp.rules.yml")
DASHBOARD = Path("deploy/grafana/edgeapp.json")
BUILT_IN = {"up": {"job", "instance"}}
OF_SCRAPE = {"job", "instance"}
_NAME = re.compile(r"\b(?:edgeapp|process)[a-z0-9_:]*|\bup\b")
_SELECTOR = re.compile(r"\b(\w[\w:]*)\{([^}]*)\}")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")

Find = Callable[[str, str], str]


def rules(repo: Path) -> list[dict[str, Any]]:
    said = yaml.safe_load((repo / RULES).read_text(encoding="utf-8"))
    return [rule for group in said["groups"] for rule in group["rules"]]


def panels(repo: Path) -> list[tuple[str, str]]:
    """Title and expression of each question of the dashboard, for everything there is."""
    said = json.loads((repo / DASHBOARD).read_text(encoding="utf-8"))
    variables = {"$__rate_interval": "10s", "$instance": ".*", "$pipeline": ".*"}
    found = []
    for panel in said["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            found.append((panel["title"], expression))
    return found


def series_of(name: str) -> str:
    """The metric that a series belongs to."""
    return re.sub(r"_(bucket|sum|count)$", "", name) if name not in METRICS else name


def names_in(expression: str) -> set[str]:
    bare = re.sub(r'"[^"]*"', '""', expression)
    return {name for name in _NAME.findall(bare) if not name.endswith(":")}


def labels_of(name: str) -> set[str]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    more = {"le"} if name.endswith("_bucket") else set()
    return {*METRICS[series_of(name)].labels, *OF_SCRAPE, *more}


# -- what can be told from the files -----------------------------------------------------------


def test_the_dashboard_is_what_its_script_writes(repo: Path) -> None:
    script = repo / "deploy" / "grafana" / "generate.py"
    told = subprocess.run(
        [sys.executable, "-c", "import generate; print(generate.text(), end='')"],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == (repo / DASHBOARD).read_text(encoding="utf-8")


def test_every_expression_names_only_what_there_is(repo: Path) -> None:
    recorded = {rule["record"] for rule in rules(repo) if "record" in rule}
    asked = [(rule.get("alert", rule.get("record")), rule["expr"]) for rule in rules(repo)]
    for title, expression in [*asked, *panels(repo)]:
        names = names_in(expression) - recorded
        assert names, title
        known = set().union(*(labels_of(name) for name in names))
        for name, selector in _SELECTOR.findall(expression):
            assert set(_LABEL.findall(selector)) <= labels_of(name), title
        for grouped in _GROUPED.findall(expression):
            assert {label.strip() for label in grouped.split(",")} <= known, title


def test_panels_do_not_overlap_and_fit(repo: Path) -> None:
    said = json.loads((repo / DASHBOARD).read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in said["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in said["panels"]]
    assert len(ids) == len(set(ids))


# -- what a running device says ----------------------------------------------------------------


@contextmanager
def running(command: list[str], folder: Path, name: str, **environment: str) -> Iterator[None]:
    """A process that is ended in the end; its output goes into a file."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment}
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


class Prometheus:
    """A real one, with our rules, that scrapes once a second."""

    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **query: str) -> Any:
        url = f"{self._at}/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it has just been started
                raise
            pytest.fail(f"{query}: {error.read().decode()}")

    def value(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def is_there(self) -> bool:
        try:
            return bool(self.value('up{job="edgeapp"} == 1'))
        except OSError:
            return False


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, repo: Path, system_program: Find
) -> Iterator[Prometheus]:
    """It watches both pipelines of the demo, which send to a real broker, for some seconds."""
    folder = tmp_path_factory.mktemp("watched")
    program = system_program("prometheus", "prometheus")
    broker = Mosquitto(system_program("mosquitto", "mosquitto"), folder)
    ours, its = free_port(), free_port()
    (folder / "edgeapp.yaml").write_text(
        f"device: porch-1\ndata_dir: data\nmetrics: {{port: {ours}}}\n"
        f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
    )
    (folder / "prometheus.yml").write_text(
        (repo / "deploy/prometheus/prometheus.yml")
        .read_text(encoding="utf-8")
        .replace("15s", "1s")
        .replace("edgeapp.rules.yml", str(repo / RULES))
        .replace("9464", str(ours))
    )
    pipelines = ("inspection_demo", "predictive_maintenance")
    files = [str(repo / "pipelines" / f"{name}.yaml") for name in pipelines]
    device = [sys.executable, "-m", "edgeapp", "run", *files, "--device", "edgeapp.yaml", "--plain"]
    server = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{its}",
    ]
    with (
        broker,
        running(device, folder, "device", PYTHONPATH=str(repo)),
        running(server, folder, "prometheus"),
    ):
        found = Prometheus(its)
        wait_until(found.is_there, "Prometheus scrapes the device", patience_s=90)
        enough = "min_over_time(edgeapp_uptime_seconds[15s]) > 0 and changes(edgeapp_uptime_seconds[1m]) > 12"
        wait_until(lambda: bool(found.value(enough)), "some scrapes", patience_s=90)
        wait_until(
            lambda: bool(found.value("edgeapp_governor_allowed_cores")),
            "the watchdog",
            patience_s=60,
        )
        yield found


def absent(prometheus: Prometheus, expression: str) -> set[str]:
    """What an expression names that this device does not say, as it has no thermometer."""
    return {name for name in names_in(expression) if not prometheus.value(name)}


def test_every_scrape_succeeds(prometheus: Prometheus) -> None:
    """But one that takes longer than its second, as it may on a busy machine."""

    def is_up() -> bool:
        [target] = prometheus.ask("targets")["activeTargets"]
        up = (target["health"], target["lastError"]) == ("up", "")
        return up and not prometheus.value('up{job="edgeapp"} == 0')

    wait_until(is_up, "a scrape that succeeds")
    stored = set(prometheus.ask("label/__name__/values"))
    ours = {series_of(name) for name in stored if name.startswith(("edgeapp_", "process_"))}
    assert ours <= set(METRICS)
    thermometer = {n for n in METRICS if n.endswith("_celsius")} | {
        "edgeapp_governor_headroom_ratio"
    }
    losses = {"edgeapp_stage_dropped_packets_total"}
    assert set(METRICS) - ours <= thermometer | losses


def test_every_panel_has_data_where_the_device_has_it(prometheus: Prometheus, repo: Path) -> None:
    for title, expression in panels(repo):
        found = prometheus.value(expression)
        seldom = expression.rstrip().endswith("> 0")  # such as losses: of those that there are
        if not found and not seldom:
            assert absent(prometheus, expression), f"{title}: {expression}"


def test_every_rule_is_evaluated(prometheus: Prometheus, repo: Path) -> None:
    for rule in rules(repo):
        prometheus.value(rule["expr"])
        if "record" in rule:
            found = prometheus.value(rule["record"])
            assert found or absent(prometheus, rule["expr"]), rule["record"]
    for group in prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]


def test_what_is_compared_in_an_alert_is_there(prometheus: Prometheus, repo: Path) -> None:
    """Every series that an alert names exists, with the labels by which it is chosen."""
    for rule in rules(repo):
        if "alert" not in rule:
            continue
        for name, selector in _SELECTOR.findall(rule["expr"]):
            if "!" in selector:  # what is left out need not be all there is
                continue
            chosen = prometheus.value(f"{name}{{{selector}}}")
            assert chosen or not prometheus.value(name), f"{rule['alert']}: {name}{{{selector}}}"


def test_a_healthy_device_raises_no_alarm(prometheus: Prometheus) -> None:
    firing = prometheus.value('ALERTS{alertstate="firing"}')
    assert {series["metric"]["alertname"] for series in firing} <= {"EdgeappClockUnsynchronized"}
    until_s = time.monotonic() + 3
    while time.monotonic() < until_s:
        assert prometheus.value('last_over_time(edgeapp_health{health="well"}[15s]) == 1')
        time.sleep(0.5)
