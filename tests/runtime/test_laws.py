"""What holds for every pipeline, whatever its shape and whatever its stages do.

Trees of stages that answer, filter, split, refuse, raise and vanish as scripted, fused or cut by
links of every policy, stopped at any instant, on a clock that waits for nobody: what a stage is put it takes, drops in the link or
leaves there; what it takes it answers, sheds or drops; keys rise; no loss is told that was none.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.api import BadPacket, Context, Field, Options, Packet, Score, Unavailable, transform
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.link import LinkSettings
from edgeapp.plan.graph import Plan
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import PipelineStatus, StageStatus, status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Abort, Script, Scripted
from tests.runtime.parts import Collect, Tap, numbers
from tests.runtime.rig import Rig, all_threads_end, chain


class ActorOptions(Options):
    moods: tuple[str, ...] = Field(description="What to do with number n: that of n modulo many.")


@transform("actor")
class Actor:
    """Does what it is told to; passes negative numbers whatever that is."""

    def __init__(self, options: ActorOptions, context: Context) -> None:
        self.moods = options.moods

    def process(self, packet: Packet[Score]) -> Score | list[Score] | None:
        number = int(packet.value.value)
        mood = "pass" if number < 0 else self.moods[number % len(self.moods)]
        if mood == "raise":
            raise ZeroDivisionError
        if mood == "bad":
            raise BadPacket("scripted")
        if mood == "gone":
            raise Unavailable("scripted")
        if mood == "split":
            return [packet.value, packet.value]
        return packet.value if mood == "pass" else None


@transform("burst_actor", stateless=True)
class BurstActor(Actor):
    """The same, in bursts where it can."""

    def process(self, packet: Packet[Score]) -> Score | None:
        """Answer one."""
        answer = super().process(packet)
        return answer[0] if isinstance(answer, list) else answer

    def process_many(self, packets: list[Packet[Score]]) -> list[Score | None]:
        """Answer all, or raise."""
        return [self.process(packet) for packet in packets]


@dataclass(frozen=True)
class Shape:
    """A pipeline, in numbers."""

    live: bool
    source_link: LinkSettings
    aborts: tuple[int, ...]
    """Before which numbers the source goes away."""
    stages: tuple[tuple[int, str, tuple[str, ...], LinkSettings | None], ...]
    """Which of those before it reads, its kind, what it does, the link before it."""


COUNT = 60
LINKS = st.builds(
    LinkSettings, st.integers(1, 8), st.sampled_from(["wait", "drop_oldest", "drop_newest"])
)
MOODS = st.lists(
    st.sampled_from(["pass"] * 12 + ["none", "none", "split", "bad", "raise", "gone"]),
    min_size=1,
    max_size=40,
).map(tuple)
SHAPES = st.builds(
    Shape,
    st.booleans(),
    LINKS,
    st.lists(st.integers(1, COUNT - 1), max_size=2, unique=True).map(tuple),
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from(["actor", "actor", "burst", "tap", "act"]),
            MOODS,
            st.none() | LINKS,
        ),
        min_size=1,
        max_size=7,
    ).map(tuple),
)


def built(shape: Shape) -> tuple[Plan, dict[str, list[Packet[Any]]]]:
    """The plan, and where each of its ends keeps what reaches it."""
    items: list[Any] = []
    for number, value in enumerate(numbers(COUNT)):
        if number in shape.aborts:
            items.append(Abort())
        items.append(value)
    script = Script(*items, Score(-1.0))
    stages: list[tuple[str, type[Any], dict[str, Any]]] = [
        ("source", Scripted, {"script": script, "live": shape.live, "rate_hz": 10.0})
    ]
    changes: dict[str, dict[str, Any]] = {"source": {"link": shape.source_link}}
    if not shape.live:
        changes = {}
    readable = ["source"]
    ends: dict[str, list[Packet[Any]]] = {}
    for position, (upstream, kind, moods, link) in enumerate(shape.stages):
        name = f"{kind}{position}"
        changes[name] = {"reads": (readable[upstream % len(readable)],)}
        if kind == "act":
            changes[name] |= {"cut": "hands", "link": link or LinkSettings(4, "drop_newest")}
            kept = Kept()
            stages.append((name, Collect, {"into": kept}))
            ends[name] = kept.packets
            continue
        if link is not None:
            changes[name] |= {"cut": "lane", "link": link}
        if kind == "tap":
            ends[name] = []
            stages.append((name, Tap, {"into": ends[name]}))
        else:
            stages.append((name, Actor if kind == "actor" else BurstActor, {"moods": moods}))
            readable.append(name)
    return chain(*stages, **changes), ends


class Kept:
    """A list for an action of `Collect`, without the thread's name."""

    def __init__(self) -> None:
        self.packets: list[Packet[Any]] = []

    def append(self, kept: tuple[Packet[Any], str]) -> None:
        self.packets.append(kept[0])


def losses_before(end: str, status: PipelineStatus) -> int:
    """What was dropped on the way to the end of a branch, that end included."""
    stages = {stage.id: stage for stage in status.stages}
    lost = 0
    stage: StageStatus | None = stages[end]
    while stage is not None:
        lost += sum(stage.dropped.values())
        stage = stages.get(stage.reads[0]) if stage.reads else None
    return lost


def check(status: PipelineStatus, ends: dict[str, list[Packet[Any]]]) -> None:
    assert status.unaccounted() == []
    for stage in status.stages:
        assert stage.waiting == 0
        in_link = stage.dropped.get("full", 0)
        assert stage.put == stage.taken + in_link
    for end, packets in ends.items():
        keys = [packet.key for packet in packets]
        assert keys == sorted(set(keys))
        assert sum(p.lost for p in packets) <= losses_before(end, status)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where no stage writes anything."""
    return tmp_path_factory.mktemp("laws")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES)
def test_laws_of_stepped_runs(folder: Path, shape: Shape) -> None:
    """There no link drops any: if the last packet gets through, every loss has been told."""
    plan, ends = built(shape)
    clock = FakeClock()
    pipeline = Pipeline(plan, Rig(folder, clock=clock).kit)
    outcome = run_stepped(pipeline)
    status = status_of(pipeline)
    assert status.unaccounted() == []
    for end, packets in ends.items():
        keys = [packet.key for packet in packets]
        assert keys == sorted(set(keys))
        told = sum(p.lost for p in packets)
        assert told <= losses_before(end, status)
        if packets and packets[-1].value.value < 0:  # it got through: nothing is owed any more
            assert told == losses_before(end, status)
    if outcome.ending == "failed":
        assert sum(stage.faults for stage in status.stages) > 5


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.integers(0, 2 * COUNT))
def test_laws_of_threaded_runs(folder: Path, shape: Shape, stop_after: int) -> None:
    """Whatever the moment of the stop: all is counted, in order, and no thread is left."""
    plan, ends = built(shape)

    async def once() -> tuple[Outcome, PipelineStatus]:
        pipeline = Pipeline(plan, Rig(folder, clock=FakeClock(NS)).kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(pipeline.run_once(stop))
        while not running.done() and pipeline.meters["source"].emitted < stop_after:
            status_of(pipeline)  # disturbs nothing
            await asyncio.sleep(0)
        if stop_after <= COUNT:
            stop.set()
        return await running, status_of(pipeline)

    outcome, status = asyncio.run(once())
    assert outcome.stuck == ()
    all_threads_end()
    check(status, ends)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.integers(0, 2))
def test_laws_over_several_runs(folder: Path, shape: Shape, cut_short: int) -> None:
    """Counts add up and epochs rise from run to run of one pipeline."""
    shape = replace(shape, aborts=())
    plan, ends = built(shape)

    async def thrice() -> PipelineStatus:
        pipeline = Pipeline(plan, Rig(folder, clock=FakeClock(NS)).kit)
        for run in range(3):
            stop = asyncio.Event()
            running = asyncio.ensure_future(pipeline.run_once(stop))
            while not running.done() and pipeline.meters["source"].emitted < 15 * (run + 1):
                await asyncio.sleep(0)
            if run <= cut_short:
                stop.set()
            await running
        return status_of(pipeline)

    status = asyncio.run(thrice())
    all_threads_end()
    check(status, ends)
