"""What happened, without a live view: plain lines, facts for JSON, and sentences at the end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgeapp.cli import words
from edgeapp.cli.recent import Recent
from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.payload import Detections, Score
from edgeapp.runtime.pipeline import Outcome
from edgeapp.runtime.status import PipelineStatus, StageStatus


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


def facts(pipeline: PipelineStatus, recent: Recent | None = None) -> dict[str, Any]:
    """A pipeline as plain data."""
    stages = []
    for stage in pipeline.stages:
        row: dict[str, Any] = {
            "id": stage.id,
            "kind": stage.kind,
            "plugin": stage.plugin,
            "put": stage.put,
            "taken": stage.taken,
            "done": stage.done,
            "emitted": stage.emitted,
            "waiting": stage.waiting,
            "dropped": {reason: count for reason, count in stage.dropped.items() if count},
            "shed": stage.shed,
            "faults": stage.faults,
            "busy_s": round(stage.busy_ns / 1e9, 6),
        }
        if stage.setting is not None:
            row |= {
                "variant": stage.variant,
                "rung": stage.setting.rung,
                "divisor": stage.setting.divisor,
            }
        if stage.waiting_for is not None:
            row["waiting_for"] = stage.waiting_for
        if recent is not None:
            row |= _rounded(recent.pace(pipeline.name, stage.id)._asdict())
        else:
            row["p50_ms"] = stage.age.percentile_ms(50)
            row["p99_ms"] = stage.age.percentile_ms(99)
        if stage.last is not None and (said := words.result(stage.last.value)):
            row["last"] = said
        stages.append(row)
    return {
        "name": pipeline.name,
        "state": pipeline.state,
        "why": pipeline.why,
        "stages": stages,
    }


def _rounded(numbers: Mapping[str, float | None]) -> dict[str, float | None]:
    return {k: None if v is None else round(v, 4) for k, v in numbers.items()}


def sentence(pipeline: PipelineStatus, outcome: Outcome) -> str:
    """How a pipeline ended, in one or two sentences."""
    taken = sum(stage.taken for stage in pipeline.stages if stage.kind == "source")
    shed = sum(stage.shed for stage in pipeline.stages)
    dropped = dropped_of(pipeline)
    said = f"{pipeline.name} {outcome.ending}"
    if outcome.why:
        said += f" ({words.printable(outcome.why)})"
    said += f": {words.plural(taken, 'packet')} in"
    if not taken:
        return f"{said}."
    if not dropped and not shed:
        said += ", all answered"
    if dropped:
        said += f", {sum(dropped.values()):,} dropped ({words.reasons(dropped)})"
    if shed:
        said += f", {shed:,} shed on purpose"
    sinks = [
        f"{stage.id} {words.plural(stage.done, 'time' if stage.kind == 'action' else 'result')}"
        for stage in pipeline.stages
        if stage.kind in {"action", "output"}
    ]
    return f"{said}; {', '.join(sinks)}." if sinks else f"{said}."
