"""A machine watched by its sensor, in a whole pipeline: what the device lost is told."""

import asyncio
import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.plan.load import load
from edgeapp.runtime.pipeline import Pipeline
from tests.pipelines.device import REPO
from tests.runtime.rig import Rig
from tests.sources.iio_tree import XYZ, IioTree, xyz

RATE_HZ = 2560
SCALE = 0.001
PIPELINE = """
name: pump
stages:
  sensor: {{source: vibration, device: 'iio:adxl345', root: {root}, rate_hz: 2560}}
  second: {{transform: window, length_s: 1.0, hop_s: 0.5}}
  health: {{transform: machine_health, group: 2, mounting: rigid, for_s: 1, clear_s: 1}}
  note: {{action: log}}
"""


def shaking(number: int, mm_s: float) -> bytes:
    """Sample `number` of 50 Hz at this velocity."""
    peak = mm_s / 1000 * 2 * math.pi * 50 * math.sqrt(2)
    value = peak * math.sin(2 * math.pi * 50 * number / RATE_HZ)
    return xyz(round(value / SCALE), round(number * 1e9 / RATE_HZ))


def test_an_overrun_and_an_alarm_arrive_and_every_packet_is_accounted_for(tmp_path: Path) -> None:
    """Two quiet seconds, an overrun of exactly 1000 samples, then four seconds of zone D."""
    file = tmp_path / "pump.yaml"
    file.write_text(PIPELINE.format(root=tmp_path))
    calm = [shaking(n, 1.0) for n in range(2 * RATE_HZ)]
    wild = [shaking(n, 6.0) for n in range(2 * RATE_HZ + 1000, 6 * RATE_HZ + 1000)]
    rig = Rig(tmp_path / "data")

    async def until_alarm(_: Pipeline, stop: asyncio.Event) -> None:
        for _try in range(1200):
            await asyncio.sleep(0.05)
            if any(event.get("kind") == "alarm" for event in told(rig)):
                break
        stop.set()

    with IioTree(tmp_path) as tree:
        tree.buffered(XYZ, rate_hz=RATE_HZ)
        tree.put("in_accel_scale", SCALE)
        feeder = threading.Thread(target=tree.pour, args=(b"".join(calm + wild),), daemon=True)
        feeder.start()
        [plan] = load([file], device=DeviceConfig("d", tmp_path / "data", None, None))
        outcome, status = rig.run(plan, until_alarm)
        assert tree.get("buffer/enable") == "0"
    feeder.join()

    assert outcome.ending == "stopped", [outcome.why, rig.log.events]
    assert status.unaccounted() == []
    sensor = status.stages[0]
    assert sensor.lost == -(-1000 // 128)
    assert sensor.taken == sensor.emitted
    (lost,) = [facts for _, event, facts in rig.log.events if event == "sensor lost samples"]
    assert lost["samples"] == 1000
    phases = [(event["kind"], event["phase"]) for event in told(rig)]
    assert phases == [
        ("zone", "new"),
        ("zone", "end"),
        ("zone", "new"),
        ("alarm", "new"),
        ("zone", "end"),
        ("alarm", "end"),
    ]
    assert list((tmp_path / "data").rglob("alarms/000001.npy"))


def told(rig: Rig) -> list[dict[str, Any]]:
    """The facts of the events that the action logged."""
    return [facts for _, _, facts in rig.log.events if "phase" in facts]


def test_status_of_a_source_that_lost_nothing_says_so(tmp_path: Path) -> None:
    file = tmp_path / "made_up.yaml"
    file.write_text(
        "name: p\nstages:\n  s: {source: bearing, duration_s: 1, speed: fast}\n  l: {action: log}\n"
    )
    [plan] = load([file], device=DeviceConfig("d", tmp_path / "data", None, None))
    _, status = Rig(tmp_path / "data").run(plan)
    assert [stage.lost for stage in status.stages] == [0, 0]


@pytest.mark.slow
def test_the_example_judges_the_pump_well_and_hears_its_bearing_all_the_same(
    tmp_path: Path,
) -> None:
    """Early damage of a bearing does not move the zone: what learned the pump's sound tells it."""
    [plan] = load(
        [REPO / "pipelines/predictive_maintenance.yaml"],
        sets=["bearing.duration_s=30", "bearing.speed=fast"],
        device=DeviceConfig("d", tmp_path, None, None),
    )
    rig = Rig(tmp_path)
    outcome, status = rig.run(plan)
    assert outcome.ending == "finished"
    assert status.unaccounted() == []
    told = [(message.topic, json.loads(message.body)) for message in rig.uplink.messages]
    zones = [body for topic, body in told if topic.endswith("/zone")]
    assert [(zone["phase"], zone["facts"]["zone"]) for zone in zones] == [
        ("new", "A"),
        ("end", "A"),
    ]
    assert {zone["facts"]["standard"] for zone in zones} == {"ISO 20816-3:2022"}
    warnings = [body for topic, body in told if topic.endswith("/warn")]
    assert len(warnings) >= 5  # one a second
    assert min(body["seq"] for body in warnings) * 0.05 > 16
