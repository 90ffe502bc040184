"""What happened, without a live view: plain lines, and sentences at the end."""

from collections import Counter

from edgeapp.cli import words
from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.payload import Detections, Score
from edgeapp.runtime.pipeline import Outcome
from edgeapp.runtime.status import PipelineStatus, StageStatus
from edgeapp.service.recent import Recent

_DONE_BY = {"action": "time", "output": "message"}
"""What a sink's count is of."""


def plain(pipeline: PipelineStatus, recent: Recent, elapsed_s: float) -> str:
    """One line on a pipeline: state, rates, latency, drops, the last result."""
    parts = []
    for stage in pipeline.stages:
        pace = recent.pace(pipeline.name, stage.id)
        if stage.kind == "source":
            parts.append(f"{stage.id} {words.rate(pace.rate_hz)}/s")
        elif stage.kind == "model" and pace.p50_ms is not None:
            latency = f"{words.milliseconds(pace.p50_ms)}/{words.milliseconds(pace.p99_ms)}"
            parts.append(f"{stage.id} {words.rate(pace.rate_hz)}/s, p50/p99 {latency} ms")
    dropped = dropped_of(pipeline)
    if dropped:
        parts.append(f"dropped {words.reasons(dropped)}")
    newest = _newest(pipeline)
    if newest is not None and newest.last is not None:
        parts.append(f"{newest.id}: {words.result(newest.last.value)}")
    state = f"{pipeline.state}: {pipeline.why}" if pipeline.why else pipeline.state
    head = f"{words.clock(elapsed_s):>5} {pipeline.name} {words.printable(state)}"
    return "; ".join([head, *parts])


def _newest(pipeline: PipelineStatus) -> StageStatus | None:
    """The stage whose answer says most: the first that says what things are."""
    for stage in pipeline.stages:
        if stage.last is not None and stage.kind in {"model", "transform"}:  # noqa: SIM102  clearer
            if isinstance(stage.last.value, Detections | Score | Event | Labels | Mask | Pose):
                return stage
    return None


def dropped_of(pipeline: PipelineStatus) -> dict[str, int]:
    """Packets that the pipeline let go, by reason."""
    dropped: Counter[str] = Counter()
    for stage in pipeline.stages:
        dropped.update({reason: count for reason, count in stage.dropped.items() if count})
    return dict(dropped)


def sentence(pipeline: PipelineStatus, outcome: Outcome) -> str:
    """How a pipeline ended, in one or two sentences."""
    taken = sum(stage.taken for stage in pipeline.stages if stage.kind == "source")
    shed = sum(stage.shed for stage in pipeline.stages)
    lost = sum(stage.lost for stage in pipeline.stages)
    dropped = dropped_of(pipeline)
    said = f"{pipeline.name} {outcome.ending}"
    if outcome.why:
        said += f" ({words.printable(outcome.why)})"
    said += f": {words.plural(taken, 'packet')} in"
    if not taken:
        return f"{said}."
    if lost:
        said += f" ({lost:,} lost at the source)"
    if not dropped and not shed:
        said += ", all answered"
    if dropped:
        said += f", {sum(dropped.values()):,} dropped ({words.reasons(dropped)})"
    if shed:
        said += f", {shed:,} shed on purpose"
    sinks = [
        f"{stage.id} {words.plural(stage.emitted, _DONE_BY[stage.kind])}"
        for stage in pipeline.stages
        if stage.kind in _DONE_BY
    ]
    return f"{said}; {', '.join(sinks)}." if sinks else f"{said}."
