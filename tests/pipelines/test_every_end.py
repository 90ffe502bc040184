"""Whenever a pipeline is stopped, every event that it opened has been ended."""

import asyncio
import json
import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import MonotonicClock
from edgeapp.models.session import Pool
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import Kit
from edgeapp.testing import RecordingUplink
from edgeapp.testing.stage import LogBook

STOPS = 200
_FASTER = 20

BELT = """
name: belt
stages:
  camera: {source: conveyor, rate_hz: 15, seed: 7}
  detect:
    model: detector
    layout: yolox
    variants: [{file: MODELS/conveyor_96.onnx}]
    labels: MODELS/conveyor_labels.txt
    min_score: 0.3
  follow: {transform: track}
  visits: {transform: sightings, update_s: 0.5}
  middle: {transform: zones, from: follow, anchor: centre, dwell_s: 0.5,
           zones: {middle: [[0.3, 0], [0.7, 0], [0.7, 1], [0.3, 1]]}}
  gate: {transform: lines, from: follow, anchor: centre, lines: {mid: [[0.5, 0], [0.5, 1]]}}
  tell: {output: mqtt, from: [visits, middle, gate], every_s: 1}
"""
ROOM = """
name: room
stages:
  room: {source: sounds, rate_hz: 16000, seed: 3, pause_s: 0.5}
  windows: {transform: window, length_samples: 15600, hop_samples: 3840}
  bands: {transform: logmel, preset: yamnet}
  listen:
    model: sound
    variants: [{file: MODELS/sounds_small.onnx}]
    labels: MODELS/sounds_labels.txt
  heard: {transform: episodes, enter: 0.5, update_s: 0.5}
  tell: {output: mqtt, from: heard}
"""
PUMP = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 12000, speed_rpm: 1797, unbalance: 3.0}
  second: {transform: window, length_s: 1.0, hop_s: 0.25}
  zones: {transform: machine_health, group: 2, mounting: rigid, speed_rpm: 1797}
  tell: {output: mqtt, from: zones}
"""


class Faster(MonotonicClock):
    """A device on which time goes faster, so that a short run sees much."""

    @staticmethod
    def now_ns() -> int:
        return _FASTER * MonotonicClock.now_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return super().wait(event, timeout_s / _FASTER)


def plans(repo: Path, folder: Path) -> tuple[Plan, ...]:
    files = []
    for number, text in enumerate((BELT, ROOM, PUMP)):
        file = folder / f"{number}.yaml"
        file.write_text(text.replace("MODELS", str(repo / "pipelines" / "models")))
        files.append(file)
    return load(files, device=DeviceConfig("here", folder, None, None))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_that_began_ends_at_200_random_stops(repo: Path, tmp_path: Path) -> None:
    """Tracks, zones, lines, sounds and alarms at once, on real threads with real models."""
    planned = plans(repo, tmp_path)
    clock = Faster()
    pool = Pool(clock)
    chance = random.Random(20261122)
    phases: Counter[tuple[str, str]] = Counter()
    for number in range(STOPS):
        uplink, log = RecordingUplink(), LogBook()
        kit = Kit(clock, uplink, pool, log, tmp_path / str(number), seed=number, drain_s=20.0)
        app = App(planned, kit)

        async def run(app: App, for_s: float) -> None:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(for_s, stop.set)
            await app.run(stop)

        asyncio.run(run(app, chance.uniform(0.02, 0.8)))
        opened: dict[str, str] = {}
        for message in uplink.messages:
            body = json.loads(message.body)
            phases[body["kind"], body["phase"]] += 1
            before = opened.get(body["event"])
            assert (before is None) == (body["phase"] == "new"), (number, body)
            assert before != "end", (number, body)
            opened[body["event"]] = body["phase"]
        left_open = [event for event, phase in opened.items() if phase != "end"]
        assert left_open == [], (number, log.events[-5:])
        assert [s for status in app.status() for s in status.unaccounted()] == []
    print(f"\n{STOPS} stops, events by kind and phase: {dict(sorted(phases.items()))}")
    for kind in ("track", "zone", "line", "sound", "alarm"):
        assert phases[kind, "new"] == phases[kind, "end"] > 0, kind
