"""What is going on inside, as frozen snapshots. Reading them disturbs nothing."""

from dataclasses import dataclass
from typing import Literal, cast

from edgeapp.core.dial import Setting
from edgeapp.core.link import AnyPacket
from edgeapp.core.meters import FULL, Histogram, LastFault
from edgeapp.core.plugin import Kind
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.pipeline import USER, Pipeline

State = Literal[
    "starting", "running", "waiting", "stuck", "paused", "failed", "finished", "stopped"
]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage. The counts are since the process began, over all runs of the pipeline."""

    id: str
    kind: Kind
    plugin: str
    reads: tuple[str, ...]
    put: int
    """Packets that were handed to this stage, or wait or were dropped in the links before it."""
    waiting: int
    """Packets in the links before it."""
    taken: int
    done: int
    emitted: int
    dropped: dict[str, int]
    """By reason, what the links before it dropped included (reason "full")."""
    shed: int
    faults: int
    busy_ns: int
    age: Histogram
    waiting_for: str | None
    """What is unavailable, while something is."""
    setting: Setting | None
    """Rung and divisor of a model stage."""
    variant: str | None
    last: AnyPacket | None
    """The newest packet that came out; of a sink, that went in."""
    pinned: bool = False
    """A person holds the setting."""
    lost: int = 0
    """Of a source: packets that its device lost before they could be emitted; not in `taken`."""
    late: int = 0
    """Of a model: answers that were older than `deadline_ms` when they were there; among `done`."""
    last_fault: LastFault | None = None
    rungs: int = 0
    """Variants on the ladder of a model stage."""
    live: bool = False
    """Whether it is a source with a device to keep up with."""
    in_hand: int = 0
    """Packets that the stage is at work on: 0 or a burst; after a stop, those left stuck."""


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """One pipeline."""

    name: str
    state: State
    """waiting: something is unavailable; stuck: a stage does not come back from a call."""
    why: str
    stages: tuple[StageStatus, ...]

    def unaccounted(self) -> list[str]:
        """Sentences on packets that are neither answered nor counted. Empty once all is still."""
        wrong = []
        by_id = {stage.id: stage for stage in self.stages}
        for stage in self.stages:
            if stage.in_hand:
                wrong.append(f"{stage.id}: {stage.in_hand} in hand")
            if not stage.reads:
                continue
            emitted = sum(by_id[read].emitted for read in stage.reads)
            if emitted != stage.put:
                read = ", ".join(stage.reads)
                wrong.append(f"{read} -> {stage.id}: {emitted} sent, {stage.put} put")
        return wrong


def status_of(pipeline: Pipeline) -> PipelineStatus:
    """A pipeline at this moment. Any thread."""
    stages = tuple(_stage(pipeline, stage_id) for stage_id in pipeline.plan.stages)
    state, why = state_of(pipeline)
    if state == "stuck":
        why = "; ".join(
            f"{stage}: in one call for {for_s:.0f} s" for stage, for_s in pipeline.hung().items()
        )
    return PipelineStatus(pipeline.plan.name, state, why, stages)


def state_of(pipeline: Pipeline) -> tuple[State, str]:
    """What a pipeline does, and why if it does not run; changes only when that does. Any thread."""
    if pipeline.state == "running":
        if hung := pipeline.hung():
            return "stuck", f"in one call for too long: {', '.join(hung)}"
        for slot in tuple(pipeline.slots.values()):
            if (missing := slot.waiting_for) is not None:
                return "waiting", f"{slot.id}: {missing}"
    if pipeline.state == "paused" and (others := pipeline.held_by - {USER}):
        return "paused", f"by the {', '.join(sorted(others))}"
    return cast(State, pipeline.state), pipeline.why


def _stage(pipeline: Pipeline, stage_id: str) -> StageStatus:
    plan = pipeline.plan.stages[stage_id]
    meters = pipeline.meters[stage_id]
    slot = pipeline.slots.get(stage_id)
    dial = pipeline.dials.get(stage_id)
    setting = None if dial is None else dial.actual
    dropped = dict(meters.dropped)
    waiting, full = links_before(pipeline, plan)
    if full:
        dropped[FULL] = dropped.get(FULL, 0) + full
    return StageStatus(
        id=stage_id,
        kind=plan.plugin.kind,
        plugin=plan.plugin.name,
        reads=plan.reads,
        put=meters.taken + waiting + full,
        waiting=waiting,
        taken=meters.taken,
        done=meters.done,
        emitted=meters.emitted,
        dropped=dropped,
        shed=meters.shed,
        faults=meters.faults,
        busy_ns=meters.busy_ns,
        age=meters.age.copy(),
        waiting_for=None if slot is None else slot.waiting_for,
        setting=setting,
        variant=None if setting is None else plan.variants[setting.rung].name,
        last=None if slot is None else slot.last,
        pinned=dial is not None and dial.pinned is not None,
        lost=meters.lost,
        late=meters.late,
        last_fault=meters.last_fault,
        rungs=len(plan.variants),
        live=plan.live,
        in_hand=meters.taken - meters.done - meters.shed - sum(meters.dropped.values()),
    )


def links_before(pipeline: Pipeline, stage: StagePlan) -> tuple[int, int]:
    """Packets that wait in the links before a stage, and those that they dropped.

    There may be two for each stage that it reads: that of a live source, and behind it that of a
    lane or the hands.
    """
    waiting = dropped = 0
    for read in stage.reads:
        for between in ((read, ""), (read, stage.id)):
            dropped += pipeline.retired.get(between, 0)
            link = pipeline.links.get(between)
            if link is not None:
                now = link.statistics()
                waiting += now.waiting
                dropped += now.dropped
    return waiting, dropped
