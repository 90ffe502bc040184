"""How a device is, in one look: words at once, numbers now and then, and nothing secret."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgeapp.core import revealed
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.dial import Setting
from edgeapp.core.meters import Histogram, LastFault
from edgeapp.runtime.app import App
from edgeapp.runtime.status import PipelineStatus, StageStatus
from edgeapp.service.monitoring import health as module
from edgeapp.service.monitoring.health import MOST_REASONS, OTHER, Health, answering, losses_of
from edgeapp.service.monitoring.health_told import CHANGES, HealthTold
from edgeapp.testing import Fail, Pause, Script, Scripted
from tests.runtime.parts import BadEvery, Tap, numbers
from tests.runtime.rig import Rig, chain


def stage(id_: str = "detect", kind: Any = "model", **changes: Any) -> StageStatus:
    plain = StageStatus(
        id=id_,
        kind=kind,
        plugin=id_,
        reads=(),
        put=0,
        waiting=0,
        taken=0,
        done=0,
        emitted=0,
        dropped={},
        shed=0,
        faults=0,
        busy_ns=0,
        age=Histogram(),
        waiting_for=None,
        setting=Setting(0) if kind == "model" else None,
        variant="large" if kind == "model" else None,
        last=None,
    )
    return replace(plain, **changes)


class World:
    """An application that does what a test says."""

    def __init__(self, *stages: StageStatus, name: str = "porch") -> None:
        self.clock = FakeClock()
        self.status = PipelineStatus(name, "running", "", stages or (stage(),))
        plan = SimpleNamespace(name=name, sources=())
        self.pipeline: Any = SimpleNamespace(plan=plan)
        app: Any = SimpleNamespace(
            kit=SimpleNamespace(clock=self.clock),
            pipelines=[self.pipeline],
            status=lambda: (self.status,),
        )
        self.app = app
        self.health = Health(app)
        self.told = HealthTold(self.health, self.clock)
        self.sent: list[Any] = []

    def turn(self, seconds: float = 1.0, **changes: Any) -> None:
        """Let a second pass, and change the first stage."""
        self.clock.advance(seconds)
        if changes:
            first, *others = self.status.stages
            self.status = replace(self.status, stages=(replace(first, **changes), *others))
        for topic, notice in self.told.notices():
            assert topic == "health"
            if not self.sent or notice is not self.sent[-1]:
                self.sent.append(notice)

    def now(self) -> Any:
        return self.health.notice.pipelines[0]


def test_rates_and_ages_are_those_of_the_last_minute() -> None:
    world = World()
    ages = Histogram()
    for second in range(1, 121):
        for _ in range(4 if second > 60 else 1):
            ages.record(round((20 if second > 60 else 500) * 1e6))
        done = second if second <= 60 else 60 + 4 * (second - 60)
        world.turn(done=done, age=ages.copy())
    assert world.now().rate_hz == pytest.approx(4.0, rel=0.2)
    assert world.now().age_p50_ms == pytest.approx(20, rel=0.1)
    assert world.now().stage == "detect"


def test_a_loss_is_told_with_its_reason_since_the_start_and_of_the_last_minute() -> None:
    world = World()
    world.turn(dropped={"late": 3})
    world.turn(200)
    world.turn(70)
    world.turn(1, dropped={"late": 5, "full": 0}, lost=2)
    found = {(loss.reason, loss.packets, loss.last_min) for loss in world.now().losses}
    assert found == {("late", 5, 2), ("lost", 2, 2)}


def test_reasons_that_a_plugin_invents_are_bounded() -> None:
    made_up = {f"reason {n} " + "x" * 100: 1 for n in range(100)}
    found = losses_of(stage(dropped=made_up))
    assert len(found) <= MOST_REASONS + 1
    assert sum(found.values()) == 100
    assert found[OTHER] == 100 - MOST_REASONS
    assert max(map(len, found)) <= 40


def test_a_reloaded_pipeline_counts_anew() -> None:
    world = World()
    for second in range(1, 40):
        world.turn(done=100 * second)
    world.pipeline.plan = SimpleNamespace(name="porch", sources=())
    world.app.pipelines[0] = SimpleNamespace(plan=world.pipeline.plan)
    world.turn(done=0)
    world.turn(done=3)
    assert 0 <= world.now().rate_hz <= 3.1


def test_health_is_a_word_with_a_reason_and_since_when() -> None:
    world = World()
    world.turn(5)
    assert (world.health.notice.health, world.health.notice.since_s) == ("well", 5.0)
    world.status = replace(world.status, state="failed", why="stage 'detect' keeps raising")
    world.turn(1)
    world.turn(3)
    notice = world.health.notice
    assert (notice.health, notice.why, notice.since_s) == ("ill", "porch has failed", 3.0)
    world.status = replace(world.status, state="starting", why="")
    world.turn(1)
    words = [world.health.notice.health]
    world.status = replace(world.status, state="waiting", why="camera: unplugged")
    world.turn(1)
    words.append(world.health.notice.health)
    assert words == ["starting", "well"]  # a camera that is away is not ours to mend


def test_safe_mode_says_why() -> None:
    world = World()
    safe = Health(world.app, safe="six starts in a row did not get well")
    assert safe.notice.health == "safe"
    assert safe.notice.why == "six starts in a row did not get well"


def test_the_last_fault_is_told_without_what_is_secret() -> None:
    world = World()
    raised = LastFault(
        "OSError: rtsp://me:hunter2@camera/ password=hunter3\nin a second line " + "x" * 900,
        world.clock.now_ns(),
    )
    world.turn(7, faults=2, last_fault=raised)
    fault = world.now().last_fault
    assert (fault.stage, fault.ago_s, fault.count) == ("detect", 7.0, 2)
    assert "OSError: rtsp://***@camera/" in fault.said
    assert "hunter" not in str(world.health.facts())
    assert "\n" not in fault.said
    assert len(fault.said) <= 300


def test_a_secret_that_was_read_is_hidden_also_where_the_text_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a pipeline's reason, and by a plugin's reason for a drop."""
    monkeypatch.setattr(revealed, "_known", {})
    monkeypatch.setattr(revealed, "_pattern", None)
    revealed.remember("planted-secret-17")
    world = World()
    for length in range(1_180, 1_210):
        why = "it said " + "planted-secret-17 " * 80 + "x" * length + "planted-secret-17"
        world.status = replace(world.status, state="failed", why=why[-length - 17 :])
        world.turn(1, dropped={f"no planted-secret-17 {length}": 1})
        assert "secret-17" not in str(world.health.facts())
        world.status = replace(world.status, why=why)
        world.turn(1)
        assert "planted" not in str(world.health.facts())


def test_a_device_at_rest_says_nothing() -> None:
    """A rate that trembles, and ages that do, are no news."""
    world = World()
    done, ages = 0, Histogram()
    for second in range(300):
        done += 15 if second % 7 else 14
        ages.record(round((48 + second % 3) * 1e6))
        world.turn(1, done=done, age=ages.copy())
    early = len(world.sent)  # while the first minute fills
    assert early <= 4
    for second in range(300):
        done += 15 if second % 7 else 14
        ages.record(round((48 + second % 3) * 1e6))
        world.turn(1, done=done, age=ages.copy())
    assert len(world.sent) == early


def test_what_people_act_upon_is_told_at_once() -> None:
    world = World()
    world.turn()
    news: tuple[dict[str, Any], ...] = (
        {"dropped": {"late": 1}},
        {"setting": Setting(1), "variant": "small"},
        {"faults": 1, "last_fault": LastFault("ValueError: no", 0)},
    )
    for number, changes in enumerate(news):
        before = len(world.sent)
        world.turn(1, **changes)
        assert len(world.sent) == before + 1, number
    before = len(world.sent)
    world.turn(1, dropped={"late": 2})  # a number
    assert len(world.sent) == before
    world.turn(60)
    assert len(world.sent) == before + 1


def test_one_that_changes_all_the_time_is_bounded() -> None:
    world = World()
    for second in range(1_800):
        world.turn(1, setting=Setting(second % 2), done=second * second, faults=second)
    assert len(world.sent) <= 1_800 / 60 + CHANGES + 1
    assert world.sent[-1].pipelines[0].last_fault is None


def test_a_notice_of_a_crowd_is_bounded() -> None:
    many = [
        stage(f"detect{n}", dropped={f"{n}-{m}-" + "r" * 99: 1 for m in range(20)})
        for n in range(18)
    ]
    world = World(*many)
    world.status = replace(world.status, why="w" * 5_000)
    crowd = [replace(world.status, name=f"p{n}") for n in range(module.MOST_PIPELINES + 2)]
    world.app.status = lambda: tuple(crowd)
    world.app.pipelines = [
        SimpleNamespace(plan=SimpleNamespace(name=one.name, sources=())) for one in crowd
    ]
    notice = world.health.look()
    assert len(notice.pipelines) == module.MOST_PIPELINES
    assert len(msgspec.json.encode(notice)) < 200_000


def test_the_answering_stage_is_the_last_model() -> None:
    camera, one, two = stage("camera", "source"), stage("one"), stage("two")
    zones, mqtt = stage("zones", "transform"), stage("mqtt", "output")

    def of(*stages: StageStatus) -> str:
        found = answering(PipelineStatus("p", "running", "", stages))
        return "" if found is None else found.id

    assert of(camera, one, two, zones, mqtt) == "two"
    assert of(camera, zones, mqtt) == "zones"
    assert of(camera, mqtt) == "camera"
    assert of() == ""


def test_a_real_pipeline_is_told_of(tmp_path: Path) -> None:
    """Faults and losses of real slots, seen by what MQTT is told."""
    rig = Rig(tmp_path)
    script = Script(
        *numbers(6), Fail("rtsp://me:hunter2@camera/ is gone"), *numbers(6), Pause(3600)
    )
    plan = chain(
        ("source", Scripted, {"script": script, "live": True}),
        ("bad", BadEvery, {"every": 3}),
        ("tap", Tap, {"into": []}),
    )

    async def main() -> None:
        app = App([plan], rig.kit)
        health = Health(app)
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        bad = app.pipelines[0].meters["bad"]
        async with asyncio.timeout(20):
            while bad.done + sum(bad.dropped.values()) < 12:
                await asyncio.sleep(0.01)
        [told] = health.look().pipelines
        assert told.state == "running"
        assert [(loss.stage, loss.reason, loss.packets) for loss in told.losses] == [
            ("bad", "odd", 4)
        ]
        assert told.last_fault is not None
        assert told.last_fault.said == "RuntimeError: rtsp://***@camera/ is gone"
        assert told.last_fault.stage == "source"
        assert told.rate_hz > 0
        assert health.facts()["pipelines"][0]["pipeline"] == "test"
        stop.set()
        await running

    asyncio.run(main())


def test_up_is_monotonic() -> None:
    world = World()
    world.turn(90)
    assert world.health.notice.up_s == 90.0
    assert world.health.up_s == 90.0
    assert world.clock.now_ns() >= 90 * NS
