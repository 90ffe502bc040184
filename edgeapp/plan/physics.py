"""Physics, before anything runs: can what is asked for be seen in the signal that will come?

What a signal will be is followed from its source through the stages that change it, as far as their
options say (`edgeapp.core.sampling`). Where nobody says, nothing is said.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from edgeapp.config.pipeline import PipelineSpec, StageSpec
from edgeapp.core.sampling import Misfit, Sampling
from edgeapp.errors import Complaint
from edgeapp.plan.graph import StagePlan


def check_physics(
    spec: PipelineSpec, stages: Mapping[str, StagePlan], found: list[Complaint]
) -> None:
    """Check every stage against the signal that it will get; misfits go to `found`.

    `stages`: those that could be planned, upstream before downstream.
    """
    known: dict[str, Sampling] = {}
    for stage in stages.values():
        try:
            sampling, misfits = _of(stage, [known.get(read) for read in stage.reads])
        except Exception as error:  # noqa: BLE001 - a plugin's own methods may raise anything
            own = spec.stages[stage.id]
            problem = (
                f"{own.label} cannot use its plugin: the physics of {stage.plugin.kind} "
                f"'{stage.plugin.name}' ({stage.plugin.where}) failed: "
                f"{type(error).__name__}: {error}"
            )
            found.append(Complaint(own.plugin_place, problem))
            continue
        if sampling is not None:
            known[stage.id] = sampling
        found.extend(_complaint(spec.stages[stage.id], misfit) for misfit in misfits)


def _of(
    stage: StagePlan, before: list[Sampling | None]
) -> tuple[Sampling | None, tuple[Misfit, ...]]:
    """What a stage gives, and what it cannot do; `before`: what is known of those it reads."""
    options: Any = stage.options
    if not stage.reads:
        return (options.sampling() if hasattr(options, "sampling") else None), ()
    misfits: list[Misfit] = []
    if hasattr(options, "misfits"):
        for one in before:
            misfits.extend(() if one is None else options.misfits(one))
    came = before[0] if len(before) == 1 else None
    if came is None or misfits:
        return None, tuple(misfits)  # what comes behind a mistake is not looked at
    if hasattr(options, "sampled"):
        return options.sampled(came), ()
    return (came if isinstance(stage.plugin.gives, TypeVar) else None), ()


def _complaint(stage: StageSpec, misfit: Misfit) -> Complaint:
    entry = stage.table.get(misfit.option)
    place = entry.value.place if entry else stage.plugin_place
    option = f"{misfit.option}: " if entry else ""
    return Complaint(place, f"{stage.label}: {option}{misfit.problem}", misfit.remedy)
