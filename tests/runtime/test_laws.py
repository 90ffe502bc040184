"""What holds for every pipeline, whatever its shape and whatever its stages do.

Trees of stages that answer, filter, split, refuse, raise, vanish and open events as scripted, and
sinks that read two of them, fused or cut by links of every policy; stopped or paused at any
instant, on a clock that waits for nobody: what a stage is put it takes, drops in the link or leaves
there; what it takes it answers, sheds or drops; keys rise; no loss is told that was none; every
event that began ends.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.api import (
    BadPacket,
    Context,
    Event,
    Field,
    Options,
    Packet,
    Score,
    Unavailable,
    event_id,
    transform,
)
from edgeapp.core.clock import NS, FakeClock
from edgeapp.core.link import LinkSettings
from edgeapp.core.meters import FAILED, FULL, STOPPING
from edgeapp.plan.graph import Plan
from edgeapp.plan.links import LANE
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import PipelineStatus, StageStatus, status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.runtime.supervise import supervise
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


@transform("opener")
class Opener(Actor):
    """Opens an event where it is told to split, else ends the oldest; forgets some at the end."""

    def __init__(self, options: ActorOptions, context: Context) -> None:
        super().__init__(options, context)
        self.context = context
        self.open: list[Event] = []

    def process(self, packet: Packet[Score]) -> list[Event]:  # type: ignore[override]  # it answers otherwise
        """Answer one."""
        answer = super().process(packet)
        if isinstance(answer, list):
            name = event_id(self.context.id, self.context.random)
            self.open.append(Event("new", name, "test", "it", packet.t_ns))
            return [self.open[-1]]
        return [self._end()] if answer is not None and self.open else []

    def flush(self) -> list[Event]:
        """End every other one."""
        return [self._end() for _ in range(len(self.open) // 2)]

    def _end(self) -> Event:
        return replace(self.open.pop(0), phase="end")


@dataclass(frozen=True)
class Shape:
    """A pipeline, in numbers."""

    live: bool
    source_link: LinkSettings
    aborts: tuple[int, ...]
    """Before which numbers the source goes away."""
    stages: tuple[tuple[int, int, str, tuple[str, ...], LinkSettings | None], ...]
    """Which of those before it reads (a sink: both of them), its kind, what it does, the link
    before it."""


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
            st.integers(0, 9),
            st.sampled_from(["actor", "actor", "burst", "opener", "tap", "tap", "act"]),
            MOODS,
            st.none() | LINKS,
        ),
        min_size=1,
        max_size=8,
    ).map(tuple),
)


TRANSFORMS: dict[str, type[Any]] = {"actor": Actor, "burst": BurstActor, "opener": Opener}


def wired(shape: Shape) -> dict[str, tuple[tuple[str, ...], str, LinkSettings | None]]:
    """For each stage: what it reads, and what is before it."""
    numbered, readable = ["source"], ["source"]  # what gives numbers; what gives anything
    lanes = {"source": "source"}
    found: dict[str, tuple[tuple[str, ...], str, LinkSettings | None]] = {}
    for position, (one, other, kind, _, link) in enumerate(shape.stages):
        name = f"{kind}{position}"
        both = (readable[one % len(readable)], readable[other % len(readable)])
        is_sink = kind in {"act", "tap"}
        reads = tuple(dict.fromkeys(both)) if is_sink else (numbered[one % len(numbered)],)
        several = len({lanes[read] for read in reads}) > 1
        if kind == "act":
            found[name] = reads, "hands", link or LinkSettings(4, "drop_newest")
        elif link is not None or several:
            found[name] = reads, "lane", link or LANE  # as the plan does it
        else:
            found[name] = reads, "none", None
        lanes[name] = lanes[reads[0]] if found[name][1] == "none" else name
        if not is_sink:
            readable.append(name)
        if kind in {"actor", "burst"}:
            numbered.append(name)
    return found


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
    for name, (reads, cut, link) in wired(shape).items():
        changes[name] = {"reads": reads, "cut": cut, "link": link}
    ends: dict[str, list[Packet[Any]]] = {}
    for position, (_, _, kind, moods, _) in enumerate(shape.stages):
        name = f"{kind}{position}"
        if kind == "act":
            kept = Kept()
            stages.append((name, Collect, {"into": kept}))
            ends[name] = kept.packets
        elif kind == "tap":
            ends[name] = []
            stages.append((name, Tap, {"into": ends[name]}))
        else:
            stages.append((name, TRANSFORMS[kind], {"moods": moods}))
    return chain(*stages, **changes), ends


class Kept:
    """A list for an action of `Collect`, without the thread's name."""

    def __init__(self) -> None:
        self.packets: list[Packet[Any]] = []

    def append(self, kept: tuple[Packet[Any], str]) -> None:
        self.packets.append(kept[0])


def losses_before(end: str, status: PipelineStatus) -> int:
    """What was dropped on the way to an end, by each way that leads there, that end included."""
    stages = {stage.id: stage for stage in status.stages}

    def above(stage: StageStatus) -> int:
        here = sum(stage.dropped.values())
        return here + sum(above(stages[read]) for read in stage.reads)

    return above(stages[end])


def is_last(packet: Packet[Any]) -> bool:
    """Whether it is the number that every stage passes, the last that the source gives."""
    return isinstance(packet.value, Score) and packet.value.value < 0


def check_keys(packets: list[Packet[Any]], *, ways: int) -> None:
    """What came by one way rises, and what came by two is there twice at most."""
    keys = [packet.key for packet in packets]
    if ways == 1:
        assert keys == sorted(set(keys))
    assert not keys or max(Counter(keys).values()) <= ways


def check_events(packets: list[Packet[Any]]) -> None:
    """In what came by no way that drops: each begins once, then ends once."""
    phases: dict[str, list[str]] = {}
    for packet in packets:
        if isinstance(packet.value, Event):
            phases.setdefault(packet.value.event, []).append(packet.value.phase)
    assert all(one == ["new", "end"] for one in phases.values())


WAYS_TO_GO = {FULL, STOPPING, FAILED}
"""Reasons to drop what no stage has seen: also what begins an event."""


def check(status: PipelineStatus, ends: dict[str, list[Packet[Any]]]) -> None:
    assert status.unaccounted() == []
    for stage in status.stages:
        assert stage.waiting == 0
        in_link = stage.dropped.get("full", 0)
        assert stage.put == stage.taken + in_link
    reads = {stage.id: stage.reads for stage in status.stages}
    whole = all(not WAYS_TO_GO & stage.dropped.keys() for stage in status.stages)
    for end, packets in ends.items():
        check_keys(packets, ways=len(reads[end]))
        if whole:
            check_events(packets)
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
    stages = {stage.id: stage for stage in status.stages}
    for end, packets in ends.items():
        reads = stages[end].reads
        check_keys(packets, ways=len(reads))
        check_events(packets)
        told = sum(p.lost for p in packets)
        assert told <= losses_before(end, status)
        if len(reads) == 1 and packets and is_last(packets[-1]):  # nothing is owed any more
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


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.lists(st.tuples(st.integers(0, COUNT), st.integers(0, 20)), max_size=4))
def test_laws_of_runs_that_are_paused(
    folder: Path, shape: Shape, pauses: list[tuple[int, int]]
) -> None:
    """Each after so many packets, for so many turns of the loop; none ends what has not ended."""
    shape = replace(shape, aborts=())
    plan, ends = built(shape)

    async def supervised() -> tuple[Outcome, PipelineStatus]:
        pipeline = Pipeline(plan, Rig(folder, clock=FakeClock(NS)).kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(supervise(pipeline, stop))

        def over() -> bool:
            return running.done() or pipeline.state == "failed"

        for after, turns in sorted(pauses):
            while not over() and pipeline.meters["source"].emitted < after:
                await asyncio.sleep(0)
            pipeline.pause()
            for _ in range(turns):
                await asyncio.sleep(0)
            pipeline.resume()
        while not over():
            await asyncio.sleep(0)
        stop.set()
        return await running, status_of(pipeline)

    outcome, status = asyncio.run(supervised())
    all_threads_end()
    assert outcome.stuck == ()
    check(status, ends)
    if outcome.ending == "finished":
        assert status.stages[0].emitted == COUNT + 1
