"""When Home Assistant is told, when it is told again, and how it is all taken back."""

import asyncio
import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import Features
from edgeapp.config.device import DeviceConfig, MqttConfig, read_device
from edgeapp.core.clock import NS, FakeClock
from edgeapp.plan.load import load
from edgeapp.runtime.app import App
from edgeapp.runtime.kit import FaultBudget, Kit, Life
from edgeapp.service.discovery import announce as announcing
from edgeapp.service.discovery.announce import Announcer, announce, hardware
from edgeapp.service.discovery.memory import FILE, Memory, read_memory
from edgeapp.service.discovery.payload import discover
from edgeapp.testing import RecordingUplink
from edgeapp.testing.scripted import packets
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.connection import OnMessage, Received
from edgeapp.uplink.outbox import OutboxStatistics
from edgeapp.uplink.sender import UplinkStatistics

TOPIC = "homeassistant/device/edgeapp-porch-1/config"
PUMP = """
name: pump
stages:
  bear: {source: bearing}
  numbers: {transform: features}
  odd: {transform: anomaly}
  tell: {output: mqtt, from: numbers}
  trend: {output: mqtt, from: odd}
"""


class Broker:
    """An uplink that notes what it is told, and what the broker would then keep."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.said: list[tuple[str, bytes]] = []
        self.kept: dict[str, bytes] = {}
        self.handlers: dict[str, OnMessage] = {}
        self.since_ns: int | None = clock.now_ns()

    def hold_raw(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload))
        self.kept[topic] = payload

    def let_go(self, topic: str) -> None:
        self.said.append((topic, b""))
        self.kept.pop(topic, None)

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        self.handlers[topic_filter] = handler

    def statistics(self) -> UplinkStatistics:
        since_ns = self.since_ns
        none = OutboxStatistics.__new__(OutboxStatistics)
        return UplinkStatistics(none, since_ns is not None, since_ns or 0, "5", "")

    def born(self, payload: bytes = b"online") -> None:
        self.handlers["homeassistant/status"](Received("homeassistant/status", payload, False))

    def components(self, topic: str = TOPIC) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kept[topic])["cmps"]
        return found


class Device:
    """A device that is started again and again, with its data directory and its broker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.broker = Broker(self.clock)
        self.log = LogBook()
        mqtt = MqttConfig(
            "broker", 1883, None, None, None, 30, "edgeapp", frozenset(), "homeassistant"
        )
        self.config = DeviceConfig("porch-1", folder / "data", None, mqtt)
        self.app: App = self._app(PUMP)

    def _app(self, pipeline: str) -> App:
        (self.folder / "device.yaml").write_text("device: test")
        file = self.folder / "a.yaml"
        file.write_text(pipeline)
        device = read_device(self.folder / "device.yaml")
        kit = Kit(
            clock=self.clock,
            uplink=RecordingUplink(),
            pool=None,
            log=self.log,
            data_dir=self.folder,
            seed=0,
        )
        return App(load([file], device=device), kit)

    def start(self, pipeline: str = PUMP, **mqtt: Any) -> Announcer:
        """As after a restart; `mqtt`: what the device file says otherwise now."""
        assert self.config.mqtt is not None
        if mqtt:
            self.config = replace(self.config, mqtt=replace(self.config.mqtt, **mqtt))
        self.app = self._app(pipeline)
        announcer = Announcer(self.app, self.broker, self.config, chance=random.Random(1))
        asyncio.run(announcer.start())
        return announcer

    def later(self, announcer: Announcer, seconds: float) -> None:
        """Look as often as it does in so many seconds."""

        async def story() -> None:
            for _ in range(round(seconds / announcing.LOOK_S)):
                self.clock.advance(announcing.LOOK_S)
                await announcer.look()

        asyncio.run(story())

    def memory(self) -> Memory:
        return read_memory(self.config.data_dir)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_the_device_is_announced_once_in_one_message(device: Device) -> None:
    announcer = device.start()
    device.later(announcer, 60)
    assert [topic for topic, _ in device.broker.said] == [TOPIC]
    assert "pump.trend.score" in device.broker.components()
    assert device.memory().topic == TOPIC


def test_it_is_said_again_when_home_assistant_starts_each_device_at_its_own_time(
    device: Device,
) -> None:
    announcer = device.start()
    said = device.broker.said
    device.broker.born(b"offline")
    device.later(announcer, 30)
    assert len(said) == 1
    device.broker.born()
    device.broker.born()
    assert len(said) == 1  # not at once: a hundred devices would answer together
    device.later(announcer, announcing.JITTER_S + announcing.LOOK_S)
    assert len(said) == 2
    assert said[0] == said[1]
    device.later(announcer, 60)
    assert len(said) == 2


def test_the_answers_to_a_start_are_spread_over_the_jitter(tmp_path: Path) -> None:
    delays = set()
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        one = Device(tmp_path / str(seed))
        announcer = Announcer(one.app, one.broker, one.config, chance=random.Random(seed))
        asyncio.run(announcer.start())
        one.broker.born()
        assert announcer._due_ns is not None
        delays.add(announcer._due_ns - one.clock.now_ns())
    assert len(delays) == 20
    assert all(0 <= delay <= announcing.JITTER_S * NS for delay in delays)
    assert max(delays) - min(delays) > announcing.JITTER_S * NS / 2


def test_what_vanished_is_removed_in_one_update_and_then_left_out(device: Device) -> None:
    device.later(device.start(), 4)
    announcer = device.start(PUMP.replace("  trend: {output: mqtt, from: odd}\n", ""))
    assert device.broker.components()["pump.trend.score"] == {"p": "sensor"}
    device.later(announcer, announcing.REMOVED_S - 10)
    assert "pump.trend.score" in device.broker.components()
    device.later(announcer, 20)
    assert "pump.trend.score" not in device.broker.components()
    assert device.memory().vanished == {}


def test_a_removal_is_said_until_a_connection_has_held_for_long_enough(
    device: Device,
) -> None:
    """Over restarts, too."""
    device.start()
    device.broker.since_ns = None
    shorter = PUMP.replace("  trend: {output: mqtt, from: odd}\n", "")
    device.later(device.start(shorter), 2 * announcing.REMOVED_S)
    announcer = device.start(shorter)
    assert device.broker.components()["pump.trend.score"] == {"p": "sensor"}
    device.broker.since_ns = device.clock.now_ns()
    device.later(announcer, announcing.REMOVED_S + 4)
    assert "pump.trend.score" not in device.broker.components()


def test_what_comes_back_is_not_removed(device: Device) -> None:
    device.start()
    device.start(PUMP.replace("  trend: {output: mqtt, from: odd}\n", ""))
    announcer = device.start()
    assert "unique_id" in device.broker.components()["pump.trend.score"]
    device.later(announcer, announcing.REMOVED_S + 4)
    assert "unique_id" in device.broker.components()["pump.trend.score"]


def test_a_device_that_says_it_no_more_is_taken_back(device: Device) -> None:
    device.start()
    announcer = device.start(home_assistant=None)
    assert device.broker.kept == {}
    assert device.broker.said[-1] == (TOPIC, b"")
    assert device.memory().gone == [TOPIC]  # until that is sure to have come through
    device.later(announcer, announcing.EMPTIED_S + 4)
    assert not announcer.has_work
    assert device.memory().gone == []
    assert device.memory().topic is None


def test_a_topic_is_emptied_until_a_connection_has_held(device: Device) -> None:
    device.start()
    device.broker.since_ns = None
    device.later(device.start(home_assistant=None), 100)
    said = len(device.broker.said)
    announcer = device.start(home_assistant=None)  # it was off, and never connected
    assert device.broker.said[said:] == [(TOPIC, b"")]
    device.broker.since_ns = device.clock.now_ns()
    device.later(announcer, announcing.EMPTIED_S + 4)
    assert device.memory().gone == []


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"prefix": "home"}, "homeassistant/device/home-porch-1/config"),
        ({"home_assistant": "ha"}, "ha/device/edgeapp-porch-1/config"),
    ],
)
def test_a_device_under_another_name_is_not_announced_twice(
    device: Device, change: dict[str, Any], topic: str
) -> None:
    device.start()
    device.start(**change)
    assert list(device.broker.kept) == [topic]


def test_a_renamed_device_is_not_announced_twice(device: Device) -> None:
    device.start()
    device.config = replace(device.config, device="gate")
    device.start()
    assert list(device.broker.kept) == ["homeassistant/device/edgeapp-gate/config"]
    device.config = replace(device.config, device="porch-1")
    announcer = device.start()
    device.later(announcer, announcing.EMPTIED_S + 4)
    assert list(device.broker.kept) == [TOPIC]


def test_names_that_only_packets_tell_are_learned_and_remembered(device: Device) -> None:
    announcer = device.start()
    assert "pump.tell.value.x.rms" not in device.broker.components()
    [pipeline] = device.app.pipelines
    slot = pipeline._slot(pipeline.plan.stages["numbers"], Life(FaultBudget(device.clock)))
    value = Features(np.array([1.0, 2.0]), ("x.rms", "x.crest"), ("m/s²", "1"))
    [slot.last] = packets([value])
    pipeline.slots = {"numbers": slot}
    device.later(announcer, 10)
    rms = device.broker.components()["pump.tell.value.x.rms"]
    assert rms["unit_of_measurement"] == "m/s²"
    assert "unit_of_measurement" not in device.broker.components()["pump.tell.value.x.crest"]
    assert len(device.broker.said) == 2

    device.start()
    assert "pump.tell.value.x.rms" in device.broker.components()
    device.start(PUMP.replace("tell:", "told:"))
    assert device.broker.components()["pump.tell.value.x.rms"] == {"p": "sensor"}


def test_another_plan_is_announced_and_the_same_is_not(device: Device) -> None:
    announcer = device.start()
    [pipeline] = device.app.pipelines
    pipeline.plan = replace(pipeline.plan, about="the same but for a word")
    device.later(announcer, 4)
    assert len(device.broker.said) == 1
    pipeline.plan = pipeline.plan.without({"trend"})
    device.later(announcer, 4)
    assert len(device.broker.said) == 2
    assert device.broker.components()["pump.trend.score"] == {"p": "sensor"}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"topic": 3}', b"\xff", b'{"told": [1]}'])
def test_a_damaged_memory_is_told_and_replaced(device: Device, text: bytes) -> None:
    device.config.data_dir.mkdir()
    (device.config.data_dir / FILE).write_bytes(text)
    device.start()
    assert device.log.said("warning") == ["what Home Assistant was told is not known any more"]
    assert device.memory().topic == TOPIC


def test_a_disk_that_cannot_be_written_is_told_and_ends_nothing(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: Path, _memory: Memory) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(announcing, "write_memory", full)
    device.later(device.start(), 60)
    assert device.log.said("warning") == ["what Home Assistant was told cannot be kept"]
    assert TOPIC in device.broker.kept


def test_the_file_is_replaced_whole_and_only_when_something_changed(device: Device) -> None:
    announcer = device.start()
    file = device.config.data_dir / FILE
    before = file.stat().st_ino
    device.later(announcer, 20)
    assert file.stat().st_ino == before
    assert [path.name for path in device.config.data_dir.iterdir()] == [FILE]


def test_what_does_not_fit_is_logged_once(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "discover", partial(discover, max_bytes=3_000))
    announcer = device.start()
    device.broker.born()
    device.later(announcer, 60)
    assert device.log.said("warning") == ["not all fits into what Home Assistant is told"]
    assert len(device.broker.kept[TOPIC]) <= 3_000
    assert len(device.broker.said) == 2


def test_announcing_ends_where_there_is_nothing_to_announce(device: Device) -> None:
    async def never(_seconds: float) -> None:
        raise AssertionError("there is nothing to wait for")

    assert device.config.mqtt is not None
    for mqtt in (None, replace(device.config.mqtt, home_assistant=None)):
        config = replace(device.config, mqtt=mqtt)
        asyncio.run(announce(device.app, device.broker, config, sleep=never))
    assert device.broker.said == []


def test_announcing_goes_on_until_it_is_cancelled(device: Device) -> None:
    class Enough(Exception):
        pass

    looks = 0

    async def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        device.clock.advance(seconds)
        if looks > 5:
            raise Enough

    with pytest.raises(Enough):
        asyncio.run(announce(device.app, device.broker, device.config, sleep=sleep))
    assert TOPIC in device.broker.kept


def test_the_board_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.5\0")
    assert hardware(tmp_path / "model") == "Raspberry Pi 4 Model B Rev 1.5"
    assert hardware(tmp_path / "none")
