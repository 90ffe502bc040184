"""When systemd is told that the service is up and lives, and what it is told when it does not."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.context import Context
from edgeapp.core.meters import StageMeters
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Score
from edgeapp.core.plugin import Options, source, transform
from edgeapp.core.stage import Emit
from edgeapp.errors import Stopping
from edgeapp.runtime.app import App
from edgeapp.runtime.inlet import Inlet
from edgeapp.runtime.kit import FaultBudget, Life
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.slot import OPEN_HANG_S
from edgeapp.runtime.transform_slot import TransformSlot
from edgeapp.service.systemd.heartbeat import START_MOST_S, STATUS_EVERY_S, Heartbeat
from edgeapp.service.systemd.notify import Notifier
from edgeapp.service.systemd.stacks import stacks
from edgeapp.testing.stage import LogBook
from tests.runtime.rig import Rig, chain

LIMIT_S = 15.0


class Manager(Notifier):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.watchdog_s = LIMIT_S
        self.said: list[str] = []

    def _send(self, state: Any) -> bool:
        self.said += [f"{name}={value}" for name, value in state.items()]
        return True

    def news(self) -> list[str]:
        said, self.said = self.said, []
        return said


@dataclass
class FakePipeline:
    """A pipeline in whatever state a test puts it."""

    plan: Any
    state: str = "running"
    stuck: dict[str, float] = field(default_factory=dict)

    def hung(self) -> dict[str, float]:
        return self.stuck


@dataclass
class Name:
    name: str


class FakeApp:
    """As much of an application as a heartbeat looks at."""

    def __init__(self, *states: str) -> None:
        self.log, self.clock, self.stopping = LogBook(), FakeClock(), False
        self.kit = self
        self.pipelines = [FakePipeline(Name(f"p{n}"), state) for n, state in enumerate(states)]


def heartbeat(app: FakeApp, said: list[str] | None = None) -> tuple[Heartbeat, Manager]:
    manager = Manager()
    beat: Any = Heartbeat(app, manager, lambda: said[-1] if said else "fine")  # type: ignore[arg-type]  # as much of it as is used
    return beat, manager


def test_ready_once_every_pipeline_is_open_or_waits_for_its_device() -> None:
    """A state `running` means that its stages are open; its source may wait for a camera."""
    app = FakeApp("starting", "running")
    beat, manager = heartbeat(app)
    beat.beat()
    assert "READY=1" not in manager.news()
    app.pipelines[0].state = "failed"  # it is reopened by and by; the other one works
    beat.beat()
    assert "READY=1" in manager.news()
    beat.beat()
    assert "READY=1" not in manager.news()


def test_without_pipelines_it_is_ready_at_once() -> None:
    beat, manager = heartbeat(FakeApp())
    beat.beat()
    assert "READY=1" in manager.news()


def test_a_start_is_put_off_by_models_that_load_but_not_for_ever() -> None:
    app = FakeApp("starting")
    beat, manager = heartbeat(app)
    beat.beat()
    assert "EXTEND_TIMEOUT_USEC=30000000" in manager.news()
    app.clock.advance(START_MOST_S + 1)
    beat.beat()
    assert not [said for said in manager.news() if said.startswith("EXTEND")]


def test_a_stage_that_hangs_is_told_of_and_ends_the_signs_of_life() -> None:
    """The log comes first: after the trigger there is no time."""
    app = FakeApp("running", "running")
    beat, manager = heartbeat(app)
    beat.beat()
    assert "WATCHDOG=1" in manager.news()
    app.pipelines[1].stuck = {"detect": 31.26}
    beat.beat()
    said = manager.news()
    assert "WATCHDOG=trigger" in said
    assert "WATCHDOG=1" not in said
    level, event, facts = app.log.events[0]
    assert (level, facts) == ("error", {"pipeline": "p1", "stage": "detect", "for_s": 31.3})
    assert "restarted" in event
    assert {e for _, e, _ in app.log.events[1:]} == {"stack of a thread"}
    told = len(app.log.events)
    app.pipelines[1].stuck = {}
    beat.beat()
    assert "WATCHDOG=1" not in manager.news()  # an older systemd waits for one in vain
    assert len(app.log.events) == told


def test_while_all_stops_a_stage_that_hangs_is_left_to_the_stop() -> None:
    app = FakeApp("running")
    beat, manager = heartbeat(app)
    app.stopping = True
    app.pipelines[0].stuck = {"detect": 100.0}
    beat.beat()
    beat.beat()
    assert manager.news() == ["STOPPING=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_the_status_is_told_when_it_changes_and_not_too_often() -> None:
    app, sentences = FakeApp("running"), ["one"]
    beat, manager = heartbeat(app, sentences)
    statuses = []
    for number in range(40):
        sentences.append("one" if number < 20 else f"now {number}")
        beat.beat()
        app.clock.advance(1.0)
        statuses += [said for said in manager.news() if said.startswith("STATUS=")]
    assert statuses[0] == "STATUS=one"
    assert statuses[1] == "STATUS=now 20"
    assert len(statuses) <= 2 + 20 / STATUS_EVERY_S


def test_the_stacks_are_of_all_threads_those_wanted_first_and_by_name() -> None:
    gate = threading.Event()

    def waits_for_the_gate() -> None:
        gate.wait()

    thread = threading.Thread(target=waits_for_the_gate, name="porch/camera", daemon=True)
    thread.start()
    try:
        found = stacks(first=lambda name: name.startswith("porch/"))
    finally:
        gate.set()
        thread.join()
    assert found[0][0] == "porch/camera"
    assert (
        "in test_the_stacks_are_of_all_threads_those_wanted_first_and_by_name"
        in dict(found)[threading.main_thread().name]
    )
    assert "waits_for_the_gate" in found[0][1]


# -- what counts as stuck -------------------------------------------------------------------


class NoOptions(Options):
    """None."""


class Does(NoOptions):
    """What a source does."""

    does: Any = None
    waits_s: float = 0.0

    def longest_wait_s(self) -> float:
        return self.waits_s


@source("acting")
class Acting:
    """Does what the test says."""

    def __init__(self, options: Does, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Score]) -> None:
        self._options.does(self._context, emit)


def looked_at(does: Any, *, pushed: Any = lambda _: None, waits_s: float = 0.0) -> list[str]:
    """Run a source, which may look around by calling `context.clock.look()`; what hung then."""
    clock = FakeClock(NS)
    plan = chain(("mic", Acting, {"does": does, "waits_s": waits_s}))
    kit = Rig(Path(), clock=clock).kit  # nothing is written
    life = Life(FaultBudget(clock))
    [stage] = plan.sources
    pipeline = Pipeline(plan, kit)
    inlet = Inlet(stage, "test", kit, life, pipeline.meters["mic"], first_epoch=0, push=pushed)
    pipeline.slots = {"mic": inlet}
    seen: list[str] = []
    clock.look = lambda: seen.append(  # type: ignore[attr-defined]  # for the test
        ",".join(f"{stage}" for stage in pipeline.hung()) or "well"
    )
    inlet.run()
    return seen


def test_a_source_that_gives_no_sign_of_life_hangs() -> None:
    def does(context: Any, _emit: Any) -> None:
        context.clock.look()
        for _ in range(3):
            context.clock.advance(14)
            context.clock.look()

    assert looked_at(does) == ["well", "well", "well", "mic"]


@pytest.mark.parametrize(
    "sign",
    [
        lambda context, _emit: context.sleep(0),
        lambda context, _emit: context.stopping.is_set(),
        lambda context, _emit: context.stopping.wait(0),
        lambda _context, emit: emit(Score(1.0)),
    ],
    ids=["sleeps", "looks", "waits", "emits"],
)
def test_a_source_that_gives_one_now_and_then_is_well(sign: Any) -> None:
    def does(context: Any, emit: Any) -> None:
        for _ in range(10):
            context.clock.advance(20)
            sign(context, emit)
            context.clock.look()

    assert set(looked_at(does)) == {"well"}


def test_a_source_that_waits_for_room_behind_it_is_well() -> None:
    """Backpressure: what takes long inside `emit` is somebody else."""

    def pushed(_burst: Any) -> None:
        for _ in range(3):
            clocks[0].advance(20)
            clocks[0].look()

    clocks: list[Any] = []

    def does(context: Any, emit: Any) -> None:
        clocks.append(context.clock)
        emit(Score(1.0))

    assert looked_at(does, pushed=pushed) == ["well"] * 3


def test_a_source_that_hangs_on_its_way_out_of_emit_is_stuck() -> None:
    """The stop passes through `emit`; what takes long behind that is the source again."""

    def pushed(_burst: Any) -> None:
        raise Stopping

    def does(context: Any, emit: Any) -> None:
        try:
            emit(Score(1.0))
        finally:
            for _ in range(2):
                context.clock.look()
                context.clock.advance(40)
            context.stopping.set()

    assert looked_at(does, pushed=pushed) == ["well", "mic"]


def test_a_source_whose_device_bounds_a_call_has_that_long() -> None:
    def does(context: Any, _emit: Any) -> None:
        context.clock.look()
        for _ in range(3):
            context.clock.advance(35)
            context.clock.look()

    assert looked_at(does, waits_s=65.0) == ["well", "well", "mic", "mic"]


@transform("acts")
class Acts:
    """Does what the test says, also when it is opened."""

    def __init__(self, options: Does, context: Context) -> None:
        self._options = options
        self._context = context

    def __enter__(self) -> Self:
        self._options.does(self._context)
        return self

    def __exit__(self, *_: object) -> None: ...

    def process(self, packet: Packet[Score]) -> Score:
        self._options.does(self._context)
        return packet.value


def test_opening_has_a_limit_of_its_own_and_a_call_ends_with_a_look() -> None:
    clock = FakeClock(NS)
    seen: list[bool] = []
    step_s = 100.0

    def does(context: Context) -> None:
        for _ in range(4):
            clock.advance(step_s)
            if slot.id == "looks":
                context.stopping.is_set()
            seen.append(slot.hung_s(clock.now_ns()) is None)

    life = Life(FaultBudget(clock))
    kit = Rig(Path(), clock=clock).kit  # nothing is written
    plan = chain(("in", Acting, {}), ("acts", Acts, {"does": does}))
    slot = TransformSlot(plan.stages["acts"], "test", kit, life, StageMeters())
    slot.open()
    assert OPEN_HANG_S == 300
    assert seen == [True, True, True, False]
    seen.clear()
    packet = Packet(Score(1.0), "in", 0, 0, 0, 0, 0, 0, 0, ())
    slot.handle([packet])
    assert seen == [False] * 4
    seen.clear()
    slot.id = "looks"
    slot.handle([packet])
    assert seen == [True] * 4


def test_an_application_knows_that_it_stops(tmp_path: Any) -> None:
    rig = Rig(tmp_path)
    app = App([], rig.kit)
    assert not app.stopping
    asyncio.run(app.run(asyncio.Event()))
    assert app.stopping
