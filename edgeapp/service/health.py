"""Whether pipelines are well: for upgrades, reloads, monitoring and whoever asks."""

from collections.abc import Iterable

from edgeapp.runtime.status import PipelineStatus, State

ILL: frozenset[State] = frozenset({"failed", "stuck"})
"""States that a person should look at. A camera that is away is not ours to mend: `waiting` is well."""
NOT_YET: frozenset[State] = frozenset({"starting"})


def is_well(status: PipelineStatus) -> bool:
    """Whether a pipeline does what it is meant to."""
    return status.state not in ILL | NOT_YET


def all_well(statuses: Iterable[PipelineStatus]) -> bool:
    """Whether all of them do."""
    return all(map(is_well, statuses))
