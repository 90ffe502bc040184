"""Stopping at awkward moments: before the start, while opening, with threads that do not end."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from edgeapp.api import Context, Field, Options, Packet, Score, source, transform
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.link import LinkSettings
from edgeapp.core.stage import Emit
from edgeapp.runtime import pipeline as pipeline_module
from edgeapp.runtime.lane import Node
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.testing import Pause, Script, Scripted
from tests.runtime.parts import Blocked, NoOptions, Tap, numbers
from tests.runtime.rig import Rig, all_threads_end, chain


class OpensOptions(Options):
    gate: Any = Field(description="A threading.Event that opening waits for.")


@transform("opens")
class Opens:
    """Takes its time to open, as a large model does."""

    opening: ClassVar[threading.Event] = threading.Event()

    def __init__(self, options: OpensOptions, context: Context) -> None:
        self.opening.set()
        options.gate.wait(30)

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value


@source("deaf")
class Deaf:
    """Does not hear of a stop."""

    gate: ClassVar[threading.Event] = threading.Event()

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def run(self, emit: Emit[Score]) -> None:
        emit(Score(1.0))
        self.gate.wait(30)


pytestmark = pytest.mark.usefixtures("gate")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that every thread ends; none may stay."""
    event = threading.Event()
    yield event
    event.set()
    all_threads_end()


def scripted(*items: Any, **options: Any) -> tuple[str, type[Any], dict[str, Any]]:
    return ("source", Scripted, {"script": Script(*items), "rate_hz": 1000.0, **options})


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def test_a_stop_before_the_start_opens_nothing(rig: Rig, gate: threading.Event) -> None:
    Opens.opening.clear()
    plan = chain(scripted(*numbers(3), live=True), ("slow", Opens, {"gate": gate}))

    async def once() -> Outcome:
        stop = asyncio.Event()
        stop.set()
        return await Pipeline(plan, rig.kit).run_once(stop)

    assert asyncio.run(once()) == Outcome("stopped")
    assert not Opens.opening.is_set()


@pytest.mark.parametrize("live", [False, True])
def test_a_stop_while_a_stage_opens_waits_for_that_stage_alone(
    rig: Rig, gate: threading.Event, live: bool
) -> None:
    """No further one is opened, no source runs; nothing waits for threads never started."""
    Opens.opening.clear()
    plan = chain(
        scripted(*numbers(3), live=live),
        ("slow", Opens, {"gate": gate}),
        ("tap", Tap, {"into": []}),
        slow={"cut": "lane", "link": LinkSettings(4, "wait")},
    )

    async def once() -> tuple[Outcome, Pipeline]:
        pipeline = Pipeline(plan, rig.kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(pipeline.run_once(stop))
        await until(Opens.opening.is_set)
        stop.set()
        await asyncio.sleep(0.02)
        gate.set()
        async with asyncio.timeout(rig.kit.drain_s / 2):
            return await running, pipeline

    outcome, pipeline = asyncio.run(once())
    assert outcome == Outcome("stopped")
    assert pipeline.meters["source"].taken == 0
    assert "stuck threads are left behind" not in rig.log.said("error")


def test_a_stop_does_not_wait_for_ever_for_a_stage_that_opens(
    rig: Rig, gate: threading.Event
) -> None:
    Opens.opening.clear()
    plan = chain(scripted(*numbers(3)), ("slow", Opens, {"gate": gate}))

    async def once() -> Outcome:
        stop = asyncio.Event()
        running = asyncio.ensure_future(
            Pipeline(plan, replace(rig.kit, drain_s=0.05)).run_once(stop)
        )
        await until(Opens.opening.is_set)
        stop.set()
        async with asyncio.timeout(60):
            return await running

    assert asyncio.run(once()) == Outcome("stopped", stuck=("slow",))


def test_every_stuck_thread_is_named_by_its_stage(rig: Rig, gate: threading.Event) -> None:
    """A source that does not hear of the stop, and a stage behind it."""
    Deaf.gate = gate
    plan = chain(("deaf", Deaf, {}), ("blocked", Blocked, {"gate": gate}))

    async def once() -> Outcome:
        pipeline = Pipeline(plan, replace(rig.kit, drain_s=0.05))
        stop = asyncio.Event()
        running = asyncio.ensure_future(pipeline.run_once(stop))
        await until(lambda: pipeline.meters["blocked"].taken)
        stop.set()
        return await running

    assert asyncio.run(once()).stuck == ("deaf", "blocked")


def test_a_run_begins_once_the_threads_of_the_one_before_have_ended(
    rig: Rig, gate: threading.Event
) -> None:
    """Else two would hold one device, and its epochs and counts. Nothing is lost from those."""
    plan = chain(scripted(*numbers(50), live=True), ("blocked", Blocked, {"gate": gate}))

    async def twice() -> Pipeline:
        pipeline = Pipeline(plan, replace(rig.kit, drain_s=0.05))
        stop = asyncio.Event()
        first = asyncio.ensure_future(pipeline.run_once(stop))
        await until(lambda: pipeline.meters["blocked"].taken)
        stop.set()
        assert (await first).stuck == ("blocked",)

        epoch = pipeline.epochs["source"]
        again = asyncio.Event()
        second = asyncio.ensure_future(pipeline.run_once(again))
        await asyncio.sleep(0.05)
        assert pipeline.state == "stopped"
        gate.set()
        assert (await second).ending == "finished"
        assert pipeline.epochs["source"] > epoch
        return pipeline

    assert status_of(asyncio.run(twice())).unaccounted() == []


def test_a_stop_while_an_earlier_thread_is_stuck_names_it_again(
    rig: Rig, gate: threading.Event
) -> None:
    plan = chain(scripted(*numbers(50), live=True), ("blocked", Blocked, {"gate": gate}))

    async def twice() -> Outcome:
        pipeline = Pipeline(plan, replace(rig.kit, drain_s=0.05))
        stop = asyncio.Event()
        first = asyncio.ensure_future(pipeline.run_once(stop))
        await until(lambda: pipeline.meters["blocked"].taken)
        stop.set()
        await first
        return await pipeline.run_once(stop)

    assert asyncio.run(twice()).stuck == ("blocked",)


class StandingClock(FakeClock):
    """Moves only when it is told to; who waits does so until the event is set."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def test_a_call_that_does_not_come_back_is_told_while_it_lasts(
    rig: Rig, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hang_s` is for one call of one stage; a source that waits is not stuck."""
    monkeypatch.setattr(pipeline_module, "_LOOK_S", 0.005)
    rig.clock = clock = StandingClock(NS)
    plan = chain(
        scripted(Score(1.0), Pause(3600), live=True),
        ("blocked", Blocked, {"gate": gate}),
        blocked={"hang_s": 5.0},
        source={"hang_s": 5.0},
    )

    async def once() -> str:
        pipeline = Pipeline(plan, rig.kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(pipeline.run_once(stop))
        await until(lambda: pipeline.meters["blocked"].taken)
        source = pipeline.slots["source"]
        await until(lambda: source.hung_s(clock.now_ns() + 10 * NS) is None)  # by now it waits
        assert rig.log.said("error") == []
        clock.advance(60)
        await until(lambda: "stage is stuck" in rig.log.said("error"))
        status = status_of(pipeline)
        gate.set()
        await until(lambda: "stage came back" in rig.log.said("info"))
        assert status_of(pipeline).state == "running"
        stop.set()
        await running
        assert rig.log.said("error") == ["stage is stuck"]
        return f"{status.state}: {status.why}"

    said = asyncio.run(once())
    assert said.startswith("stuck: blocked: in one call for")
    assert "source" not in said


def test_a_thread_that_crashes_takes_its_run_down_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of the framework: the other threads must not go on for nobody."""

    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(Node, "push", broken)
    outcome, _ = rig.run(
        chain(scripted(Score(1.0), Pause(3600), live=True), ("tap", Tap, {"into": []}))
    )
    assert outcome.ending == "failed"
    assert "a bug" in outcome.why
    assert "a thread crashed" in rig.log.said("error")
