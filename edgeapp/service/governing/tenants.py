"""The pipelines as a governor sees them: ladders out of plans, costs out of what `bench` measured.

A stage's cost is charged to the model stage whose dial spares it: the stages between its gate and
it, and those that read its answers. What no dial spares is what the pipeline costs whatever is
chosen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.watchdog.costs import Costs, CostsError, RungCosts, costs_file, read_costs
from edgeapp.watchdog.ladder import DIVISORS, Ladder, Rung, Tenant

ASSUMED_CPU_S = 0.02
"""CPU time of an answer of the best rung, where nothing was measured."""
ASSUMED_STEP = 0.5
"""What a rung is assumed to cost of the one above it."""
ASSUMED_ACCURACY = 0.9
"""How good a rung is assumed to be, beside the one above it, where nobody says."""
ASSUMED_RATE_HZ = 10.0
"""Packets each second of a source that does not say."""

Seen = Mapping[str, tuple[int, float]]
"""For each model stage a rung, and the CPU time of its calls, as it was measured while it ran."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A pipeline, and what is known of its costs."""

    plan: Plan
    tenant: Tenant
    costs: Costs | None
    """As `bench` measured them on this device; None: they are assumed."""
    problem: str = ""
    """Why they are assumed: a sentence, with what to do. Empty: they are not, or nothing is to be
    chosen in this pipeline."""

    @property
    def measured(self) -> bool:
        """Whether the costs are those of this device and these models."""
        return self.costs is not None


def hosted(plan: Plan, data_dir: Path, *, rates: Mapping[str, float] | None = None) -> Hosted:
    """A pipeline with its costs file, where there is one. Blocking: reads every model file.

    `data_dir`: where `bench` keeps costs; `rates`: as of `tenant_of`.
    """
    models = {stage.id: stage for stage in plan.stages.values() if stage.variants}
    try:
        hashes = {id_: [_sha256(v.file) for v in stage.variants] for id_, stage in models.items()}
        costs = read_costs(costs_file(data_dir, plan.name), hashes)
        if unmeasured := _unmeasured(costs, models):
            raise CostsError(  # noqa: TRY301 - one way out for what cannot be used
                f"no packet reached '{unmeasured}' when '{plan.name}' was measured: measure longer"
            )
    except CostsError as error:
        problem = str(error)
    except OSError as error:
        problem = f"'{error.filename}' cannot be read ({error.strerror})"
    else:
        return Hosted(plan, tenant_of(plan, costs, rates=rates), costs)
    return Hosted(plan, tenant_of(plan, None, rates=rates), None, problem if models else "")


def tenant_of(
    plan: Plan,
    costs: Costs | None,
    *,
    rates: Mapping[str, float] | None = None,
    seen: Seen | None = None,
) -> Tenant:
    """A pipeline as a governor sees it.

    `costs`: of this very plan, on this device; None: they are assumed, those of a rung that was
    seen at work as it was `seen`, others by how far from it they are on the ladder. `rates`: packets
    each second of its sources, by their ids, where that was measured.
    """
    arriving = _arriving(plan, costs, rates or {})
    owners = {stage.id: _owner(plan, stage) for stage in plan.stages.values()}
    ladders = [
        _ladder(plan, stage, owners, costs, (seen or {}).get(stage.id), rate_hz=arriving[stage.id])
        for stage in plan.stages.values()
        if stage.variants
    ]
    base = 0.0
    if costs is not None:
        spent = _spent(costs)
        base = sum(spent.get(id_, 0.0) * arriving[id_] for id_, by in owners.items() if by is None)
    return Tenant(plan.name, tuple(ladders), plan.weight, plan.critical, base)


def without_accuracy(plan: Plan, costs: Costs | None) -> tuple[str, ...]:
    """The variants of which nobody says how good they are, as `stage/variant`."""
    return tuple(
        f"{stage.id}/{stage.variants[rung].name}"
        for stage in plan.stages.values()
        if len(stage.variants) > 1
        for rung, accuracy in enumerate(_said_accuracies(stage, costs))
        if accuracy is None
    )


def _ladder(
    plan: Plan,
    stage: StagePlan,
    owners: Mapping[str, str | None],
    costs: Costs | None,
    seen: tuple[int, float] | None,
    *,
    rate_hz: float,
) -> Ladder:
    accuracies = _accuracies(stage, costs)
    if costs is None:
        at, cpu_s = seen or (0, ASSUMED_CPU_S)
        rungs = [
            Rung(variant.name, cpu_s * ASSUMED_STEP ** (rung - at), accuracy)
            for rung, (variant, accuracy) in enumerate(zip(stage.variants, accuracies, strict=True))
        ]
    else:
        beside_s = _beside_s(stage, owners, costs)
        rungs = [
            Rung(
                variant.name,
                (measured.cpu_s or 0.0) + beside_s,
                accuracy,
                measured.wall_p99_s or 0.0,
                measured.memory_mb or 0.0,
                measured.cpu_s,
            )
            for variant, accuracy, measured in zip(
                stage.variants, accuracies, _rungs(costs, stage.id), strict=True
            )
        ]
    divided = any(one.gate_for == stage.id for one in plan.stages.values())
    # Assumed costs are no ground to say that an answer would come too late.
    deadline_s = None if costs is None or not stage.deadline_ms else stage.deadline_ms / 1000
    return Ladder(
        plan.name,
        stage.id,
        tuple(rungs),
        rate_hz,
        DIVISORS if divided else (1,),
        deadline_s,
    )


def _beside_s(stage: StagePlan, owners: Mapping[str, str | None], costs: Costs) -> float:
    """CPU time that the other stages which this dial spares take for each answer of the model."""
    answers = _rungs(costs, stage.id)[0].packets
    spent = 0.0
    for other in costs.stages:
        if other.id != stage.id and owners.get(other.id) == stage.id:
            spent += (other.rungs[0].cpu_s or 0.0) * other.rungs[0].packets
    return spent / answers if answers else 0.0


def _owner(plan: Plan, stage: StagePlan) -> str | None:
    """The model stage whose dial spares a stage; None where no dial does."""
    while True:
        if stage.gate_for is not None:
            return stage.gate_for
        if stage.variants:
            return stage.id
        if stage.upstream is None:
            return None
        stage = plan.stages[stage.upstream]


def _arriving(plan: Plan, costs: Costs | None, rates: Mapping[str, float]) -> dict[str, float]:
    """Packets each second that come to each stage while nothing is left out."""
    packets = {} if costs is None else {one.id: one.rungs[0].packets for one in costs.stages}
    arriving: dict[str, float] = {}
    for stage in plan.stages.values():
        above = stage.upstream
        if above is None:
            arriving[stage.id] = rates.get(stage.id) or _said_rate_hz(stage)
        elif packets.get(above) and stage.id in packets:
            arriving[stage.id] = arriving[above] * packets[stage.id] / packets[above]
        else:
            arriving[stage.id] = arriving[above]
    return arriving


def _said_rate_hz(source: StagePlan) -> float:
    """Packets each second, as the options of a source have it."""
    block_s = getattr(source.options, "block_s", None)
    if isinstance(block_s, int | float) and block_s > 0:
        return 1 / block_s  # its rate_hz counts samples
    rate_hz = getattr(source.options, "rate_hz", None)
    return float(rate_hz) if isinstance(rate_hz, int | float) and rate_hz > 0 else ASSUMED_RATE_HZ


def _accuracies(stage: StagePlan, costs: Costs | None) -> list[float]:
    """Of each rung; where one is unknown, all of them by their place on the ladder."""
    said = _said_accuracies(stage, costs)
    known = [accuracy for accuracy in said if accuracy is not None]
    if len(known) == len(said):
        return known
    return [ASSUMED_ACCURACY**rung for rung in range(len(said))]


def _said_accuracies(stage: StagePlan, costs: Costs | None) -> list[float | None]:
    """What the pipeline file says, else what was found beside the models."""
    found = [None] * len(stage.variants)
    beside = found if costs is None else [one.accuracy for one in _rungs(costs, stage.id)]
    pairs = zip(stage.variants, beside, strict=True)
    return [accuracy if v.accuracy is None else v.accuracy for v, accuracy in pairs]


def _rungs(costs: Costs, stage_id: str) -> Sequence[RungCosts]:
    return next(stage.rungs for stage in costs.stages if stage.id == stage_id)


def _spent(costs: Costs) -> dict[str, float]:
    """CPU time for each packet of every stage, in seconds."""
    return {stage.id: stage.rungs[0].cpu_s or 0.0 for stage in costs.stages}


def _unmeasured(costs: Costs, models: Mapping[str, StagePlan]) -> str:
    """The first model stage with a rung that got nothing to answer."""
    for id_ in models:
        if not all(rung.packets and rung.cpu_s for rung in _rungs(costs, id_)):
            return id_
    return ""


def _sha256(file: Path) -> str:
    """Of a model file; read once for as long as it stays as it is: there may be gigabytes."""
    found = file.stat()
    return _digest(file, found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)
def _digest(file: Path, *_state: int) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
