"""Live sources that give nothing: raised when it has lasted, cleared when something comes.

A silent source is no fault of ours, and never a reason to be restarted: it is told of.
"""

from dataclasses import dataclass

from edgeapp.core.clock import NS, Clock
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.slot import Slot
from edgeapp.uplink.notices import SilenceNotice

LEAST_S = 10.0
"""What no pipeline file says otherwise of: shorter gaps are usual."""
PERIODS = 10
"""Ditto: so many periods are a gap that is not."""
FIRST_S = 30.0
"""Ditto, for a source that has given nothing yet: devices take their time to open."""
_OVER = frozenset({"paused", "finished", "stopped"})
"""States in which nobody expects anything of a source."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A live source that may be silent."""

    silent: bool
    silent_s: float
    """The gap that counts."""
    quiet_s: float
    """How long it has given nothing."""
    gap_s: float
    """The gap at the last edge: so far when it fell silent, and all of it when it came back."""
    count: int
    """How often it fell silent."""


class _Watched:
    """One source over its runs."""

    def __init__(self, now_ns: int) -> None:
        self.slot: Slot | None = None
        self.since_ns = now_ns  # of this run, until something comes
        self.first: tuple[int, int] | None = None  # when, and which number, in this run
        self.silent = False
        self.silent_since_ns = 0
        self.gap_s = 0.0
        self.limit_s = FIRST_S
        self.count = 0


class Silences:
    """Looks at the live sources of pipelines. On the event loop, about once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[tuple[str, str], _Watched] = {}

    def look(self, pipelines: list[Pipeline]) -> dict[tuple[str, str], Silence]:
        """How each live source is, by pipeline and stage; says each edge in the log, once."""
        now_ns = self._clock.now_ns()
        found: dict[tuple[str, str], Silence] = {}
        for pipeline in pipelines:
            for source in pipeline.plan.sources:
                if not source.live or source.silent_s == 0:
                    continue
                key = pipeline.plan.name, source.id
                watched = self._watched.get(key) or _Watched(now_ns)
                found[key] = self._one(pipeline, source, watched, now_ns)
                self._watched[key] = watched
        self._watched = {key: self._watched[key] for key in found}
        return found

    def _one(self, pipeline: Pipeline, source: StagePlan, known: _Watched, now_ns: int) -> Silence:
        slot = pipeline.slots.get(source.id)
        if pipeline.state != "running" or slot is None:
            if pipeline.state in _OVER and known.silent:
                self._over(pipeline, source, known, now_ns)
            known.slot = None
            return Silence(known.silent, known.limit_s, 0.0, known.gap_s, known.count)
        if slot is not known.slot:  # it runs anew, from now on
            known.slot, known.since_ns, known.first = slot, now_ns, None
        last = slot.last
        heard_ns = known.since_ns if last is None else last.taken_ns
        known.limit_s = self._limit_s(source, known, slot)
        quiet_s = max(0, now_ns - heard_ns) / NS
        if quiet_s >= known.limit_s and not known.silent:
            known.silent, known.silent_since_ns = True, heard_ns
            known.count += 1
            known.gap_s = quiet_s
            pipeline.log.warning("source is silent", stage=source.id, for_s=round(quiet_s, 1))
        elif quiet_s < known.limit_s and known.silent and last is not None:
            self._over(pipeline, source, known, heard_ns)
        return Silence(known.silent, known.limit_s, quiet_s, known.gap_s, known.count)

    @staticmethod
    def _over(pipeline: Pipeline, source: StagePlan, known: _Watched, at_ns: int) -> None:
        """It gives something again, or nobody expects it to."""
        known.silent = False
        known.gap_s = max(0, at_ns - known.silent_since_ns) / NS
        pipeline.log.info("source is silent no more", stage=source.id, was_s=round(known.gap_s, 1))

    @staticmethod
    def _limit_s(source: StagePlan, known: _Watched, slot: Slot) -> float:
        if source.silent_s is not None:
            return source.silent_s
        last, emitted = slot.last, slot.meters.emitted
        if last is None:
            return FIRST_S
        if known.first is None:
            known.first = last.taken_ns, emitted
        since_ns, number = known.first
        if emitted <= number:
            return FIRST_S
        return max(LEAST_S, PERIODS * (last.taken_ns - since_ns) / (emitted - number) / NS)


def silence_notice(pipeline: str, stage: str, silence: Silence) -> SilenceNotice:
    """As the broker keeps it; another one at each edge."""
    return SilenceNotice(
        schema="edgeapp/silence/1",
        pipeline=pipeline,
        stage=stage,
        silent=silence.silent,
        gap_s=round(silence.gap_s, 1),
        count=silence.count,
    )
