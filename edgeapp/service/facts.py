"""The state of a pipeline as plain data: for JSON, and for whoever asks over the control socket."""

from collections.abc import Callable, Mapping
from typing import Any

from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.recent import Recent

Say = Callable[[object], str]


def facts(
    pipeline: PipelineStatus, recent: Recent | None = None, *, say: Say = lambda _: ""
) -> dict[str, Any]:
    """A pipeline as plain data; `say` puts the newest payload of a stage into words."""
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
            "lost": stage.lost,
            "faults": stage.faults,
            "busy_s": round(stage.busy_ns / 1e9, 6),
        }
        if stage.setting is not None:
            row |= {
                "variant": stage.variant,
                "rung": stage.setting.rung,
                "divisor": stage.setting.divisor,
                "pinned": stage.pinned,
            }
        if stage.waiting_for is not None:
            row["waiting_for"] = stage.waiting_for
        if recent is not None:
            row |= _rounded(recent.pace(pipeline.name, stage.id)._asdict())
        else:
            row["p50_ms"] = stage.age.percentile_ms(50)
            row["p99_ms"] = stage.age.percentile_ms(99)
        if stage.last is not None and (said := say(stage.last.value)):
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
