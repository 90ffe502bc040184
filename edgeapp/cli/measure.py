"""Runs a plan as fast as its source can, on one thread, and takes the time of each stage.

Stream time drives the clock, so that a source that keeps a pace of its own does not wait. A real
camera still does: then look at the CPU time, not at the packets a second.
"""

import resource
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeapp.cli import exits
from edgeapp.cli.model_memory import memory_mb
from edgeapp.core.clock import FakeClock
from edgeapp.core.context import Log
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Message, NeverArrives, Watched
from edgeapp.core.meters import Histogram
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.lane import Lane
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.slot import Slot
from edgeapp.runtime.stepped import opened

_WARM_UP = 3
"""Packets at the start that are not counted: they load, allocate and fill caches."""
_SILENCE_S = 5.0
"""A source that gives nothing for so long is given up."""
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage cost."""

    id: str
    plugin: str
    variant: str | None
    packets: int
    cpu_ms: float | None
    """CPU time for each packet; None where it took none."""
    p50_ms: float | None
    """Wall time for each packet; None for sources, whose waiting is no cost."""
    p99_ms: float | None
    memory_mb: float | None = None
    """What its model adds to the resident memory, in MB; None for what is no model."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement, with every model on one rung."""

    rung: int
    frames: int
    """Packets of the sources."""
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    """Of the process, up to the end of this measurement."""
    stages: tuple[StageCost, ...]


def measurable(plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """The plan without what acts on the device or writes files, and the ids of those stages."""
    gone = tuple(
        stage.id
        for stage in plan.stages.values()
        if stage.plugin.kind == "action" or hasattr(stage.plugin.factory, "deliver")
    )
    return plan.without(gone), gone


def rungs_of(plan: Plan) -> int:
    """How many measurements show every variant."""
    return max((len(stage.variants) for stage in plan.stages.values()), default=0) or 1


def measure(
    plan: Plan, rung: int, log: Log, *, limit_s: float | None, frames: int | None
) -> Measured:
    """Measure with every model stage on a rung, or on its last one where it has fewer.

    Raises:
        Quit: a source gives nothing.
    """
    plan = replace(plan, stages={s.id: _on_rung(s, rung) for s in plan.stages.values()})
    with tempfile.TemporaryDirectory(prefix="edgeapp-bench-") as folder:
        return _Bench(plan, log, Path(folder), limit_s=limit_s, frames=frames).run(rung)


def _on_rung(stage: StagePlan, rung: int) -> StagePlan:
    if not stage.variants:
        return stage
    variant = stage.variants[min(rung, len(stage.variants) - 1)]
    return replace(stage, variants=(variant,), options=variant.options)


@dataclass(slots=True)
class _Tally:
    """What the calls of one stage took."""

    packets: int = 0
    cpu_ns: int = 0
    wall: Histogram = field(default_factory=Histogram)


class _Bench:
    """One measurement."""

    def __init__(
        self, plan: Plan, log: Log, folder: Path, *, limit_s: float | None, frames: int | None
    ) -> None:
        self._plan = plan
        self._limit_s = limit_s
        self._frames = frames
        self._clock = _UnpacedClock()
        pool = None
        if any(stage.variants for stage in plan.stages.values()):
            from edgeapp.models.session import Pool

            pool = Pool(self._clock)
        self._pipeline = Pipeline(plan, Kit(self._clock, _Nowhere(), pool, log, folder, seed=0))
        self._tallies = {stage_id: _Tally() for stage_id in plan.stages}

    def run(self, rung: int) -> Measured:
        life = Life(self._pipeline.budget)
        lanes = self._pipeline.lanes(life, cuts=False)
        for slot in lanes.slots():
            probe: Any = slot
            probe.handle = _timed(slot, self._tallies[slot.id])
        with opened(lanes.of_source.values(), life):
            return self._run(rung, life, lanes.of_source)

    def _run(self, rung: int, life: Life, lanes: Mapping[str, Lane]) -> Measured:
        frames, wall_s, cpu_s = 0, 0.0, 0.0
        for source in self._plan.sources:
            lane = lanes[source.id]
            taker = _Taker(
                lane, life, self._clock, self._forget, limit_s=self._limit_s, most=self._frames
            )
            self._run_source(source, life, taker)
            if life.failure is not None:
                raise exits.Quit(exits.FAILED, f"{self._plan.name}: {life.failure}")
            if not taker.frames:
                raise exits.Quit(exits.UNAVAILABLE, f"the source '{source.id}' gives nothing")
            self._charge_source(source.id, taker)
            frames += taker.frames
            wall_s += taker.wall_s
            cpu_s += taker.cpu_ns / 1e9
            life.stopping.clear()
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        stages = tuple(self._cost(stage) for stage in self._plan.stages.values())
        return Measured(rung, frames, wall_s, cpu_s, peak_kb / 1024, stages)

    def _run_source(self, source: StagePlan, life: Life, taker: "_Taker") -> None:
        inlet = self._pipeline.inlet(source, life, taker)
        self._clock.begin(lambda: taker.frames)
        taker.begin()
        inlet.run()
        taker.end()

    def _forget(self, lane: Lane) -> None:
        """Warm now: count from here on."""
        for node in lane.nodes:
            tally = self._tallies[node.slot.id]
            tally.packets, tally.cpu_ns, tally.wall = 0, 0, Histogram()

    def _charge_source(self, source_id: str, taker: "_Taker") -> None:
        """What the thread used and no other stage did."""
        tally = self._tallies[source_id]
        tally.packets = taker.frames
        tally.cpu_ns = max(0, taker.cpu_ns - taker.lane_cpu_ns)

    def _cost(self, stage: StagePlan) -> StageCost:
        tally = self._tallies[stage.id]
        return StageCost(
            stage.id,
            stage.plugin.name,
            stage.variants[0].name if stage.variants else None,
            tally.packets,
            tally.cpu_ns / tally.packets / 1e6 if tally.packets else None,
            tally.wall.percentile_ms(50),
            tally.wall.percentile_ms(99),
            memory_mb(stage.variants[0].file) if stage.variants else None,
        )


def _timed(slot: Slot, tally: _Tally) -> Callable[[list[AnyPacket]], list[AnyPacket]]:
    handle, cpu_ns, wall_ns = slot.handle, time.thread_time_ns, time.perf_counter_ns

    def timed(burst: list[AnyPacket]) -> list[AnyPacket]:
        wall_began, cpu_began = wall_ns(), cpu_ns()
        out = handle(burst)
        tally.cpu_ns += cpu_ns() - cpu_began
        tally.wall.record(wall_ns() - wall_began)
        tally.packets += len(burst)
        return out

    return timed


class _Taker:
    """Takes a source's packets, one by one, and stops it when there are enough."""

    def __init__(
        self,
        lane: Lane,
        life: Life,
        clock: FakeClock,
        forget: Callable[[Lane], None],
        *,
        limit_s: float | None,
        most: int | None,
    ) -> None:
        self.lane = lane
        self.frames = 0
        self.wall_s = 0.0
        self.cpu_ns = 0
        self.lane_cpu_ns = 0
        self._forget = forget
        self._life = life
        self._clock = clock
        self._limit_s = limit_s
        self._most = most
        self._warm = 0

    def begin(self) -> None:
        self._wall_began_s, self._cpu_began_ns = time.perf_counter(), time.thread_time_ns()

    def end(self) -> None:
        self.wall_s = time.perf_counter() - self._wall_began_s
        self.cpu_ns = time.thread_time_ns() - self._cpu_began_ns

    def __call__(self, burst: list[AnyPacket]) -> None:
        for packet in burst:
            self._clock.set_ns(packet.t_ns)
            began_ns = time.thread_time_ns()
            self.lane.push([packet._replace(taken_ns=self._clock.now_ns())])
            self.lane_cpu_ns += time.thread_time_ns() - began_ns
            self.frames += 1
        if self._warm < _WARM_UP:
            self._warm += 1
            if self._warm == _WARM_UP:
                self.frames = self.lane_cpu_ns = 0
                self._forget(self.lane)
                self.begin()
        elif self._enough():
            self._life.stopping.set()

    def _enough(self) -> bool:
        if self._most is not None and self.frames >= self._most:
            return True
        waited_s = time.perf_counter() - self._wall_began_s
        return self._limit_s is not None and waited_s >= self._limit_s


class _UnpacedClock(FakeClock):
    """Waiting takes no time; but a source that gives nothing must not spin for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._count: Callable[[], int] = lambda: 0
        self._counted = -1
        self._since_s = 0.0

    def begin(self, count: Callable[[], int]) -> None:
        """From now on `count` says how many packets came."""
        self._count, self._counted, self._since_s = count, -1, time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Go forward at once; set `event` when no packet came for too long."""
        counted = self._count()
        if counted != self._counted:
            self._counted, self._since_s = counted, time.monotonic()
        elif time.monotonic() - self._since_s > _SILENCE_S:
            event.set()
        else:
            time.sleep(_PAUSE_S)
        return super().wait(event, timeout_s)


class _Nowhere:
    """An uplink that takes every message and sends none."""

    def offer(self, message: Message) -> bool:
        """Forget it."""
        del message
        return True

    def seal(self, message: Message) -> bytes:
        """The body as it is."""
        return message.body

    def watch(self, topic: str) -> Watched:
        """Nothing comes."""
        return NeverArrives(topic)
