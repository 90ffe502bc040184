"""What the application did since the last look, as a governor wants to hear it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeapp.core.clock import NS
from edgeapp.core.meters import LATE
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import links_before
from edgeapp.service.tenants import Hosted
from edgeapp.watchdog.ladder import StageKey
from edgeapp.watchdog.tick import StageWork, Work

_AT_WORK = frozenset({"starting", "running"})


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
        before, self._counts = self._counts, {}
        self.calls = {}
        stages = {}
        for pipeline in pipelines:
            for stage in pipeline.plan.stages.values():
                if stage.variants:
                    key = (pipeline.plan.name, stage.id)
                    host = hosts[pipeline.plan.name]
                    counts = before.get((pipeline, stage.id))
                    stages[key] = self._stage(pipeline, stage, host, counts, elapsed_s)
        self._see_sources(pipelines, elapsed_s)
        paused = frozenset(p.plan.name for p in pipelines if p.held or p.state not in _AT_WORK)
        return Work(own, stages, paused)

    def _stage(
        self,
        pipeline: Pipeline,
        stage: StagePlan,
        host: Hosted,
        before: _Counts | None,
        elapsed_s: float,
    ) -> StageWork:
        now = _counts(pipeline, stage)
        self._counts[pipeline, stage.id] = now
        then = before or now
        dial = pipeline.dials[stage.id]
        actual = dial.actual
        calls = now.calls - then.calls
        cpu_s = wall_s = None
        if calls > 0:
            call_s = (now.cpu_ns - then.cpu_ns) / calls / NS
            self.calls[pipeline.plan.name, stage.id] = actual.rung, call_s
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


def _counts(pipeline: Pipeline, stage: StagePlan) -> _Counts:
    meters = pipeline.meters[stage.id]
    gate = _gate(pipeline.plan, stage)
    arrived = pipeline.meters[gate.id].taken + sum(links_before(pipeline, gate))
    full = links_before(pipeline, stage)[1]
    above = stage
    while above.upstream is not None:
        above = pipeline.plan.stages[above.upstream]
        full += links_before(pipeline, above)[1]
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
