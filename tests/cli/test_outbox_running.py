"""The outbox and topics beside a running application, with a real broker that comes and goes."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import main
from edgeapp.service.control.client import ask
from edgeapp.uplink.outbox import FRESH_S
from tests.pipelines.device import Running
from tests.servers.mosquitto import Mosquitto, wait_until

pytestmark = pytest.mark.slow

SystemProgram = Callable[[str, str], str]
Capture = pytest.CaptureFixture[str]

SENDING = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000, block_s: 0.05}
  features: {transform: features}
  trend: {output: mqtt, from: features}
  alarm: {output: mqtt, from: features, class: critical, every_s: 1}
"""
JUDGING = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000, block_s: 0.1}
  second: {transform: window, length_s: 0.5}
  health:
    transform: machine_health
    group: 2
    mounting: rigid
    for_s: 0
    speed_topic: plant/pump7/rpm
    speed_field: rpm
    speed_max_age_s: 600
  events: {output: jsonl, file: events.jsonl}
"""


@pytest.fixture
def broker(system_program: SystemProgram, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that is not started."""
    folder = tmp_path / "broker"
    folder.mkdir()
    made = Mosquitto(system_program("mosquitto", "mosquitto"), folder)
    yield made
    made.stop()


def uplink(tmp_path: Path) -> dict[str, Any]:
    """What the running process says of its uplink."""
    for frame in ask(tmp_path / "data", "status", {"window_s": 0}):
        said: dict[str, Any] = frame.facts["uplink"]
        return said
    raise AssertionError


def until(tmp_path: Path, true: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Wait for the uplink to get there; nothing else is asked meanwhile."""
    wait_until((tmp_path / "data" / "control.sock").exists, "the socket is there")
    seen: list[dict[str, Any]] = []

    def look() -> bool:
        seen[:] = [uplink(tmp_path)]
        return true(seen[0])

    wait_until(look, what)
    return seen[0]


def outbox(capsys: Capture, tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    """`edgeapp outbox ... --json`."""
    assert main(["outbox", *arguments, "--json", "--device", str(tmp_path / "device.yaml")]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_waits_is_seen_removed_and_sent_while_the_application_runs(
    broker: Mosquitto, tmp_path: Path, capsys: Capture
) -> None:
    """The broker is down, comes up, goes away; whatever happened is in the counts at the end."""
    (tmp_path / "p.yaml").write_text(SENDING)
    with Running(tmp_path, tmp_path / "p.yaml", port=broker.port) as app:
        down = until(tmp_path, lambda now: now["outbox_committed_messages"] >= 40, "it is written")
        assert (down["connected"], down["sent_messages"]) == (False, 0)
        assert "no broker listens on that port" in down["problem"]
        assert down["outbox_oldest_s"] > 0
        assert down["outbox_written_bytes"] > 0

        [status] = outbox(capsys, tmp_path, "status")
        assert status["running"]
        assert status["classes"]["normal"]["messages"] >= 30
        [oldest] = outbox(capsys, tmp_path, "peek", "--class", "normal", "--oldest", "1")
        assert oldest["topic"] == "pump/trend"
        [purged] = outbox(capsys, tmp_path, "purge", "--class", "normal", "--yes")
        assert purged["count"] >= 30
        newer = outbox(capsys, tmp_path, "peek", "--class", "normal", "--oldest", "1")
        assert all(row["body"]["seq"] > oldest["body"]["seq"] for row in newer)
        [kept] = outbox(capsys, tmp_path, "peek", "--class", "critical", "--oldest", "1")
        assert kept["topic"] == "pump/alarm"

        until(tmp_path, lambda now: now["outbox_oldest_s"] > FRESH_S, "some are no longer fresh")
        broker.start()
        up = until(
            tmp_path,
            lambda now: bool(now["replayed_messages"]) and not now["outbox_backlog_messages"],
            "what waited is sent",
        )
        assert up["connected"]
        broker.stop()
        until(tmp_path, lambda now: now["outbox_waiting_messages"] > 5, "messages wait again")
        code, summary = app.stop()
    assert code == 0
    end = summary["uplink"]
    assert end["dropped_messages"] == {"purged": purged["count"]}
    assert end["outbox_waiting_messages"] > 5
    assert end["offered_messages"] == (
        end["sent_messages"] + purged["count"] + end["outbox_waiting_messages"]
    )
    [status] = outbox(capsys, tmp_path, "status")
    assert not status["running"]
    left = sum(one["messages"] for one in status["classes"].values())
    assert left == end["outbox_waiting_messages"]


def test_a_machine_is_judged_by_the_speed_that_somebody_publishes(
    broker: Mosquitto, system_program: SystemProgram, tmp_path: Path
) -> None:
    """Also where nothing else of the pipeline needs a broker; before the first one nothing is said."""
    publish = system_program("mosquitto_pub", "mosquitto-clients")
    (tmp_path / "p.yaml").write_text(JUDGING)
    events = tmp_path / "data" / "pump" / "events.jsonl"
    broker.start()
    with Running(tmp_path, tmp_path / "p.yaml", port=broker.port) as app:
        until(tmp_path, lambda now: bool(now["connected"]), "it is connected")
        tell = [publish, "-p", str(broker.port), "-t", "plant/pump7/rpm", "-m"]

        def judged() -> bool:
            subprocess.run([*tell, '{"rpm": 1480}'], check=True)  # nobody hears it at first
            return events.exists() and b"\n" in events.read_bytes()

        wait_until(judged, "an event")
        subprocess.run([*tell, "fast"], check=True)
        wait_until(lambda: "speed cannot be read" in app.log(), "it is logged")
        code, _ = app.stop()
    assert code == 0
    first = json.loads(events.read_text().splitlines()[0])
    assert (first["kind"], first["phase"]) == ("zone", "new")
    assert first["facts"]["speed_rpm"] == 1480
