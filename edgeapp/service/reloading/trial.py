"""Whether a pipeline that has just come is well: until its time of grace is over, or it is not."""

from dataclasses import dataclass

from edgeapp.core.clock import NS, Clock
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import State, state_of
from edgeapp.service.monitoring.health import ILL, NOT_YET

_NO_TIME = frozenset({"paused", "waiting"})


@dataclass(frozen=True, slots=True)
class Bad:
    """It is not well."""

    why: str


class Trial:
    """Looks at one pipeline, now and then. On the event loop.

    It is good once it has been well for `good_s` on end. While it is paused, or waits for a device
    that is away, nothing is known, and no time goes by. It is bad when it has failed (which takes
    more faults than are forgiven), is stuck, has a model none of whose variants can be used, or does
    not open within the `grace_s` of its file.
    """

    def __init__(self, pipeline: Pipeline, clock: Clock, good_s: float) -> None:
        self.pipeline = pipeline
        self._clock = clock
        self._good_s = good_s
        self._opening_since_ns = self._well_since_ns = clock.now_ns()

    def look(self) -> bool | Bad:
        """True: it is good; False: that is not known yet."""
        pipeline = self.pipeline
        now_ns = self._clock.now_ns()
        state, why = state_of(pipeline)
        bad = self._bad(state, why)
        if bad is not None:
            return bad
        if state in _NO_TIME or pipeline.held:
            self.again()
        elif state in NOT_YET or not pipeline.settled.is_set():
            self._well_since_ns = now_ns
            if now_ns - self._opening_since_ns >= pipeline.plan.grace_s * NS:
                return Bad(f"it did not open within {pipeline.plan.grace_s:g} s")
        else:
            self._opening_since_ns = now_ns
        return state != "stopped" and now_ns - self._well_since_ns >= self._good_s * NS

    def _bad(self, state: State, why: str) -> Bad | None:
        if self.pipeline.held:
            return None
        if state in ILL:
            return Bad(f"it is stuck: {why}" if state == "stuck" else f"it failed: {why}")
        unusable = _without_model(self.pipeline)
        if unusable:
            return Bad(f"no variant of the model can be used: {', '.join(unusable)}")
        return None

    def again(self) -> None:
        """Begin anew: what was so far proves nothing."""
        self._opening_since_ns = self._well_since_ns = self._clock.now_ns()


def _without_model(pipeline: Pipeline) -> list[str]:
    """Model stages of which every variant was tried in vain."""
    return [
        stage
        for stage, dial in pipeline.dials.items()
        if len(dial.struck) == dial.rungs
        or ((slot := pipeline.slots.get(stage)) is not None and slot.waiting_for is not None)
    ]
