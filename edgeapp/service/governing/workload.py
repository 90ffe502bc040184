"""What the application did since the last look, as a governor wants to hear it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeapp.core.clock import NS
from edgeapp.core.meters import LATE
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import links_before
from edgeapp.service.governing.tenants import Hosted
from edgeapp.watchdog.ladder import StageKey
from edgeapp.watchdog.tick import StageWork, Work

_AT_WORK = frozenset({"starting", "running"})


@dataclass(frozen=True, slots=True)
class _Place:
    """A model stage in its pipeline; where it is does not change while a pipeline lives."""

    pipeline: Pipeline
    stage: StagePlan
    key: StageKey
    gate: StagePlan
    """Where packets are left out for it; itself where none may be."""
    above: tuple[StagePlan, ...]
    """It, and what it follows by way of `upstream`."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counters of a model stage at a moment; all of them rise."""

    arrived: int = 0
    done: int = 0
    late: int = 0
    calls: int = 0
    cpu_ns: int = 0
    wall_ns: int = 0


class Workload:
    """Compares the counters of the pipelines with those of the last look. One thread."""

    def __init__(self) -> None:
        self._pipelines: tuple[Pipeline, ...] = ()
        self._places: tuple[_Place, ...] = ()
        self._counts: dict[tuple[Pipeline, str], _Counts] = {}
        self._emitted: dict[tuple[Pipeline, str], int] = {}
        self._at_ns: int | None = None
        self._cpu_ns = 0
        self.rates: dict[tuple[str, str], float] = {}
        """Packets each second of every source that runs, since the look before."""
        self.calls: dict[StageKey, tuple[int, float]] = {}
        """For each model stage that answered: its rung, and the CPU time of a call in seconds."""

    def look(
        self, pipelines: Sequence[Pipeline], hosts: Mapping[str, Hosted], cpu_ns: int, now_ns: int
    ) -> Work:
        """What was done since the last look; the first one says how things are, and no more.

        `hosts`: of these pipelines, by name. `cpu_ns`: CPU time that the process has used so far.
        """
        elapsed_s = 0.0 if self._at_ns is None else (now_ns - self._at_ns) / NS
        own = max(0.0, (cpu_ns - self._cpu_ns) / NS / elapsed_s) if elapsed_s > 0 else 0.0
        self._at_ns, self._cpu_ns = now_ns, cpu_ns
        if tuple(pipelines) != self._pipelines:
            self._pipelines, self._places = tuple(pipelines), _places(pipelines)
        before, self._counts = self._counts, {}
        self.calls = {}
        stages = {}
        for place in self._places:
            host = hosts[place.pipeline.plan.name]
            counts = before.get((place.pipeline, place.stage.id))
            stages[place.key] = self._stage(place, host, counts, elapsed_s)
        self._see_sources(pipelines, elapsed_s)
        paused = frozenset(p.plan.name for p in pipelines if p.held or p.state not in _AT_WORK)
        return Work(own, stages, paused)

    def _stage(
        self, place: _Place, host: Hosted, before: _Counts | None, elapsed_s: float
    ) -> StageWork:
        now = _counts(place)
        self._counts[place.pipeline, place.stage.id] = now
        then = before or now
        dial = place.pipeline.dials[place.stage.id]
        actual = dial.actual
        calls = now.calls - then.calls
        cpu_s = wall_s = None
        if calls > 0:
            call_s = (now.cpu_ns - then.cpu_ns) / calls / NS
            self.calls[place.key] = actual.rung, call_s
            if host.measured:  # beside assumed costs it would say nothing
                cpu_s, wall_s = call_s, (now.wall_ns - then.wall_ns) / calls / NS
        return StageWork(
            rate_hz=(now.arrived - then.arrived) / elapsed_s if elapsed_s > 0 else 0.0,
            actual=actual,
            struck=dial.struck,
            pinned=dial.pinned,
            answered=now.done - then.done,
            late=now.late - then.late,
            cpu_s=cpu_s,
            wall_s=wall_s,
            opening=dial.opening,
        )

    def _see_sources(self, pipelines: Sequence[Pipeline], elapsed_s: float) -> None:
        before, self._emitted, self.rates = self._emitted, {}, {}
        for pipeline in pipelines:
            for source in pipeline.plan.sources:
                emitted = pipeline.meters[source.id].emitted
                self._emitted[pipeline, source.id] = emitted
                then = before.get((pipeline, source.id))
                if then is not None and elapsed_s > 0 and pipeline.state == "running":
                    self.rates[pipeline.plan.name, source.id] = (emitted - then) / elapsed_s


def _places(pipelines: Sequence[Pipeline]) -> tuple[_Place, ...]:
    """All model stages of some pipelines."""
    return tuple(
        _Place(pipeline, stage, (plan.name, stage.id), _gate(plan, stage), _above(plan, stage))
        for pipeline in pipelines
        for plan in (pipeline.plan,)
        for stage in plan.stages.values()
        if stage.variants
    )


def _counts(place: _Place) -> _Counts:
    pipeline = place.pipeline
    meters = pipeline.meters[place.stage.id]
    arrived = pipeline.meters[place.gate.id].taken + sum(links_before(pipeline, place.gate))
    full = sum(links_before(pipeline, stage)[1] for stage in place.above)
    return _Counts(
        arrived,
        meters.done,
        meters.late + meters.dropped[LATE] + full,
        meters.calls,
        meters.cpu_ns,
        meters.wall_ns,
    )


def _gate(plan: Plan, stage: StagePlan) -> StagePlan:
    """Where packets for a model stage are left out; the stage itself where none may be."""
    return next((one for one in plan.stages.values() if one.gate_for == stage.id), stage)


def _above(plan: Plan, stage: StagePlan) -> tuple[StagePlan, ...]:
    """A stage, and all those that it follows by way of `upstream`."""
    found = [stage]
    while found[-1].upstream is not None:
        found.append(plan.stages[found[-1].upstream])
    return tuple(found)
