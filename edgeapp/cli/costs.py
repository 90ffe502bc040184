"""The measurements of a pipeline as costs, which a governor plans with."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import msgspec

from edgeapp.cli.measure import Measured, StageCost
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.service.recordings.replay import sha256_of
from edgeapp.watchdog.costs import VERSION, Costs, RungCosts, StageCosts, this_device


def costs_of(plan: Plan, results: Sequence[Measured]) -> Costs:
    """The measurements of every rung, as a governor reads them.

    Raises:
        OSError: a model file is gone.
    """
    stages = []
    for position, stage in enumerate(plan.stages.values()):
        rungs = len(stage.variants) or 1
        measured = [result.stages[position] for result in results[:rungs]]
        stages.append(StageCosts(stage.id, stage.plugin.name, tuple(map(_rung, measured))))
        if stage.variants:
            stages[-1] = _with_models(stages[-1], stage)
    when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Costs(VERSION, plan.name, when, this_device(), tuple(stages))


def _rung(cost: StageCost) -> RungCosts:
    return RungCosts(
        packets=cost.packets,
        cpu_s=_seconds(cost.cpu_ms),
        wall_p50_s=_seconds(cost.p50_ms),
        wall_p99_s=_seconds(cost.p99_ms),
        variant=cost.variant,
        memory_mb=cost.memory_mb,
    )


def _with_models(costs: StageCosts, stage: StagePlan) -> StageCosts:
    rungs = [
        msgspec.structs.replace(
            rung, sha256=sha256_of(variant.file), accuracy=_accuracy(variant.file)
        )
        for rung, variant in zip(costs.rungs, stage.variants, strict=True)
    ]
    return StageCosts(costs.id, costs.plugin, tuple(rungs))


def _accuracy(model: Path) -> float | None:
    """The mean AP50-95 over the conditions that the accuracy.json beside a model lists."""
    try:
        text = (model.parent / "accuracy.json").read_text(encoding="utf-8")
        conditions = json.loads(text)["models"][model.name].values()
        values = [float(condition["ap50_95"]) for condition in conditions]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    mean = fmean(values) if values else None
    return mean if mean is not None and 0 <= mean <= 1 else None


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
