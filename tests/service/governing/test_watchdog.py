"""The thread that governs, and what becomes of the pipelines when it hangs or crashes."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.dial import Setting
from edgeapp.core.message import Message
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.governing import watchdog
from edgeapp.service.governing.governing import Governing, MakeGovernor, Steer, Tell
from edgeapp.service.governing.watchdog import Watchdog
from edgeapp.uplink.notices import GovernorNotice
from edgeapp.watchdog.governor import Governor
from edgeapp.watchdog.ladder import LadderError
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.tick import Decision, Reading, Work
from tests.runtime.rig import Rig
from tests.service.governing.governed import belt, keep_costs
from tests.service.leaping import LeapingClock

STALLED_S = 60.0
LEASE_S = 90.0
"""Of dials. Time leaps over both where a thread hangs; a busy machine does not reach them."""
LATE_S = 0.5
"""Of a turn of the event loop, that something holds it up."""


@pytest.fixture
def measured(repo: Path, tmp_path: Path) -> Plan:
    models = repo / "pipelines" / "models"
    if not (models / "conveyor_256.onnx").exists():
        pytest.skip(f"no conveyor_256.onnx in {models}")
    plan = belt(tmp_path, models)
    keep_costs(plan, tmp_path)
    return plan


class Guarded:
    """An application that does not run, and a watchdog that governs it."""

    def __init__(
        self, folder: Path, plan: Plan, *, files: Any = None, make: MakeGovernor = Governor
    ) -> None:
        self.clock = LeapingClock()
        self.rig = Rig(folder, self.clock)
        self.app = App([plan], self.rig.kit)
        self.app.pipelines[0].state = "running"
        self.dial = self.app.pipelines[0].dials["detect"]
        self.held: list[Message] = []
        self.begun = 0
        self._files = files or TreeFiles({"/proc/stat": "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1\n"})
        self._folder = folder
        self._make = make
        device = DeviceConfig("d", folder, None, None)
        self.watchdog = Watchdog(self.app, device, hold=self.held.append, begin=self.begin)

    def begin(
        self, pipelines: Callable[[], Sequence[Pipeline]], steer: Steer, tell: Tell
    ) -> Governing:
        self.begun += 1
        return Governing(
            pipelines,
            DeviceConfig("d", self._folder, None, None).watchdog,
            self._folder,
            Readings(self.clock, files=self._files),
            cpu_ns=lambda _now_ns: time.process_time_ns(),
            steer=steer,
            tell=tell,
            log=self.app.kit.log,
            clock=self.clock,
            make=self._make,
        )

    @property
    def states(self) -> list[GovernorNotice]:
        """The states that the broker was given."""
        return [
            msgspec.json.decode(message.body, type=GovernorNotice)
            for message in self.held
            if message.topic == "governor/state"
        ]

    def guarded(self, story: Callable[["Guarded"], Awaitable[None]]) -> None:
        """Tell a story while the watchdog governs."""

        async def tell() -> None:
            running = asyncio.ensure_future(self.watchdog.run())
            try:
                await story(self)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

        asyncio.run(tell())


async def until(true: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)
    assert true(), what


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds are short here."""
    monkeypatch.setattr(watchdog, "TICK_S", 0.05)
    monkeypatch.setattr(watchdog, "STALLED_S", STALLED_S)
    monkeypatch.setattr(watchdog, "_LOOK_S", 0.02)
    monkeypatch.setattr("edgeapp.service.governing.governing.LEASE_S", LEASE_S)
    monkeypatch.setattr("edgeapp.runtime.supervise.RESTART_FIRST_S", 0.2)


class Hanging(TreeFiles):
    """A tree in which a file may stop answering, as that of a driver that hangs."""

    def __init__(self) -> None:
        super().__init__({"/proc/stat": "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1\n"})
        self.answers = threading.Event()
        self.answers.set()
        self.hung = threading.Event()
        """Somebody waits for an answer."""

    def read(self, path: str) -> bytes:
        if not self.answers.is_set():
            self.hung.set()
            self.answers.wait()
        return super().read(path)


class Pipes(TreeFiles):
    """Files that are read without the care that `RealFiles` takes: a pipe holds up whoever opens."""

    def __init__(self, pipe: Path) -> None:
        super().__init__({"/proc/stat": "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1\n"})
        self.pipe: Path | None = None
        self._made = pipe
        self.hung = threading.Event()
        """Somebody waits for the other end of the pipe."""
        os.mkfifo(pipe)

    def become_a_pipe(self) -> None:
        self.pipe = self._made

    def read(self, path: str) -> bytes:
        if self.pipe is None:
            return super().read(path)
        self.hung.set()
        return self.pipe.read_bytes()


def test_a_thread_that_hangs_leaves_the_floor_and_is_told_of_until_it_is_back(
    measured: Plan, tmp_path: Path
) -> None:
    files = Hanging()

    async def story(here: Guarded) -> None:
        await until(lambda: here.states != [], "it governs")
        assert here.dial.wanted() == Setting(0)
        files.answers.clear()
        await until(files.hung.is_set, "it hangs")
        assert here.dial.wanted() == Setting(0)
        here.clock.leap(LEASE_S)
        assert here.dial.wanted().rung == 2, "the floor, with nobody's help"
        await until(lambda: here.states[-1].binding == "fault", "told")
        assert here.states[-1].level == "serious"
        assert here.rig.log.said("error") == ["watchdog is stalled"]
        files.answers.set()
        await until(lambda: here.dial.wanted().rung == 0, "governed again")
        await until(lambda: here.states[-1].binding != "fault", "told so")
        assert here.begun == 1

    Guarded(tmp_path, measured, files=files).guarded(story)


def test_one_that_hangs_before_its_first_decision_leaves_the_floor(
    measured: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was wanted yet, so that no lease can run out."""
    monkeypatch.setattr(watchdog, "FIRST_S", 2 * STALLED_S)
    files = Hanging()
    files.answers.clear()

    async def story(here: Guarded) -> None:
        await until(files.hung.is_set, "it hangs")
        here.clock.leap(2 * STALLED_S)
        await until(lambda: here.dial.wanted().rung == 2, "the floor")
        assert here.states[-1].binding == "fault"
        files.answers.set()
        await until(lambda: here.dial.wanted().rung == 0, "governed")

    Guarded(tmp_path, measured, files=files).guarded(story)


def test_what_comes_while_nobody_governs_is_on_the_floor_too(
    measured: Plan, tmp_path: Path
) -> None:
    files = Hanging()

    async def story(here: Guarded) -> None:
        await until(lambda: here.states != [], "it governs")
        files.answers.clear()
        await until(files.hung.is_set, "it hangs")
        here.clock.leap(STALLED_S)
        await until(lambda: here.states[-1].binding == "fault", "told")
        come = Pipeline(measured, here.rig.kit)
        here.app.pipelines = [come]
        await until(lambda: come.dials["detect"].wanted().rung == 2, "the floor")
        files.answers.set()
        await until(lambda: come.dials["detect"].wanted().rung == 0, "governed")

    Guarded(tmp_path, measured, files=files).guarded(story)


def test_what_makes_no_sense_is_said_once_leaves_the_floor_and_is_tried_again(
    measured: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "AGAIN_S", 0.1)
    mended: list[bool] = []

    def make(*given: Any) -> Governor:
        if not mended:
            raise LadderError(["no device is like this"])
        return Governor(*given)

    async def story(here: Guarded) -> None:
        await until(lambda: here.begun > 2, "tried again")
        await until(lambda: here.dial.wanted().rung == 2, "the floor")
        assert here.states[-1].binding == "fault"
        mended.append(True)
        await until(lambda: here.dial.wanted().rung == 0, "governed")

    here = Guarded(tmp_path, measured, make=make)
    here.guarded(story)
    assert here.rig.log.said("error") == ["watchdog cannot govern"]


def test_a_read_that_never_ends_holds_up_neither_the_loop_nor_the_end(
    measured: Plan, tmp_path: Path
) -> None:
    files = Pipes(tmp_path / "pipe")
    longest_s: list[float] = []

    async def story(here: Guarded) -> None:
        await until(lambda: here.states != [], "it governs")
        files.become_a_pipe()
        await until(files.hung.is_set, "it hangs")
        for turn in range(40):
            if turn == 20:
                here.clock.leap(LEASE_S)
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            longest_s.append(time.monotonic() - before_s)
        assert here.dial.wanted().rung == 2, "the floor"

    Guarded(tmp_path, measured, files=files).guarded(story)
    assert sorted(longest_s)[len(longest_s) // 2] < LATE_S
    files.pipe = None
    with (tmp_path / "pipe").open("w"):
        pass  # lets the thread that is left behind end


class Failing(Governor):
    """Fails at its third step, in a way that it does not catch itself."""

    steps = 0

    def step(self, reading: Reading, work: Work) -> Decision:
        Failing.steps += 1
        if Failing.steps == 3:
            raise RuntimeError("the sky falls")
        return super().step(reading, work)


def test_a_crash_is_logged_and_told_and_begun_anew(measured: Plan, tmp_path: Path) -> None:
    Failing.steps = 0

    async def story(here: Guarded) -> None:
        await until(lambda: here.begun == 2, "begun anew")
        await until(lambda: here.states[-1].binding == "none", "it governs again")
        assert here.dial.wanted() == Setting(0)

    here = Guarded(tmp_path, measured, make=Failing)
    here.guarded(story)
    assert here.rig.log.said("error") == ["crashed"]
    fault = next(state for state in here.states if state.binding == "fault")
    assert "RuntimeError: the sky falls" in fault.reason


def test_what_crashes_for_good_leaves_the_floor(measured: Plan, tmp_path: Path) -> None:
    Failing.steps = 0
    broken: list[bool] = []

    class Broken(Failing):
        def step(self, reading: Reading, work: Work) -> Decision:
            if broken:
                raise RuntimeError("for good")
            return super().step(reading, work)

    async def story(here: Guarded) -> None:
        await until(lambda: here.states != [], "it governs")
        broken.append(True)
        await until(lambda: here.states[-1].binding == "fault", "it crashed")
        here.clock.leap(LEASE_S)
        assert here.dial.wanted().rung == 2, "the floor"
        await until(lambda: here.begun >= 3, "tried again")
        assert here.dial.wanted().rung == 2
        facts = here.watchdog.facts()
        assert facts is not None
        assert facts["binding"] == "fault"

    Guarded(tmp_path, measured, make=Broken).guarded(story)


def test_the_thread_ends_with_the_application(measured: Plan, tmp_path: Path) -> None:
    async def story(here: Guarded) -> None:
        await until(lambda: here.states != [], "it governs")
        facts = here.watchdog.facts()
        assert facts is not None
        assert (facts["acts_on"][-1], facts["not_measured"]) == ("memory", [])
        assert [t.name for t in threading.enumerate() if t.name == "watchdog"] == ["watchdog"]

    Guarded(tmp_path, measured).guarded(story)
    ours = [t for t in threading.enumerate() if t.name == "watchdog"]
    for thread in ours:
        thread.join(10)
    assert not any(thread.is_alive() for thread in ours)
