"""What is going on inside, as frozen snapshots. Reading them disturbs nothing."""

from dataclasses import dataclass

from edgeapp.core.dial import Setting
from edgeapp.core.link import AnyPacket
from edgeapp.core.meters import FULL, Histogram
from edgeapp.core.plugin import Kind
from edgeapp.runtime.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage. The counts are since the process began, over all runs of the pipeline."""

    id: str
    kind: Kind
    plugin: str
    upstream: str | None
    put: int
    """Packets handed to this stage (to the first link before it, where there is one)."""
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
    in_hand: int = 0
    """Packets that the stage is at work on: 0 or a burst; after a stop, those left stuck."""


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """One pipeline."""

    name: str
    state: str
    """starting, running, waiting (something is unavailable), stuck (a stage does not come back
    from a call), failed, finished or stopped."""
    why: str
    stages: tuple[StageStatus, ...]

    def unaccounted(self) -> list[str]:
        """Sentences on packets that are neither answered nor counted. Empty once all is still."""
        wrong = []
        by_id = {stage.id: stage for stage in self.stages}
        for stage in self.stages:
            if stage.in_hand:
                wrong.append(f"{stage.id}: {stage.in_hand} in hand")
            if stage.upstream is None:
                continue
            emitted = by_id[stage.upstream].emitted
            if emitted != stage.put:
                wrong.append(f"{stage.upstream} -> {stage.id}: {emitted} sent, {stage.put} put")
        return wrong


def status_of(pipeline: Pipeline) -> PipelineStatus:
    """A pipeline at this moment. Any thread."""
    stages = tuple(_stage(pipeline, stage_id) for stage_id in pipeline.plan.stages)
    state, why = pipeline.state, pipeline.why
    if state == "running":
        waiting = [stage for stage in stages if stage.waiting_for is not None]
        hung = pipeline.hung()
        if hung:
            state = "stuck"
            why = "; ".join(
                f"{stage}: in one call for {for_s:.0f} s" for stage, for_s in hung.items()
            )
        elif waiting:
            state, why = "waiting", f"{waiting[0].id}: {waiting[0].waiting_for}"
    return PipelineStatus(pipeline.plan.name, state, why, stages)


def _stage(pipeline: Pipeline, stage_id: str) -> StageStatus:
    plan = pipeline.plan.stages[stage_id]
    meters = pipeline.meters[stage_id]
    slot = pipeline.slots.get(stage_id)
    dial = pipeline.dials.get(stage_id)
    setting = None if dial is None else dial.actual
    dropped = dict(meters.dropped)
    put, waiting, full = _links_before(pipeline, stage_id)
    if full:
        dropped[FULL] = dropped.get(FULL, 0) + full
    return StageStatus(
        id=stage_id,
        kind=plan.plugin.kind,
        plugin=plan.plugin.name,
        upstream=plan.upstream,
        put=meters.taken if put is None else put,
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
        in_hand=meters.taken - meters.done - meters.shed - sum(meters.dropped.values()),
    )


def _links_before(pipeline: Pipeline, stage_id: str) -> tuple[int | None, int, int]:
    """Put, waiting and dropped of the links before a stage; put is None where there is none.

    There may be two: that of a live source, and behind it that of a lane or the hands.
    """
    stages = pipeline.plan.stages
    upstream = stages[stage_id].upstream
    if upstream is None:
        return None, 0, 0
    put: int | None = None
    waiting = dropped = 0
    for key in (upstream, stage_id) if stages[upstream].live else (stage_id,):
        link = pipeline.links.get(key)
        if link is not None:
            now, retired = link.statistics(), pipeline.retired[key]
            put = now.put + retired.put if put is None else put
            waiting += now.waiting
            dropped += now.dropped + retired.dropped
    return put, waiting, dropped
