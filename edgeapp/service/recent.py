"""Rates and latencies over the last few seconds, from snapshots of the runtime's counters."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from edgeapp.core.meters import Histogram
from edgeapp.runtime.status import PipelineStatus

WINDOW_S = 5.0


class Pace(NamedTuple):
    """What one stage did over the last seconds."""

    rate_hz: float = 0.0
    """Packets answered in a second; of a source: taken."""
    p50_ms: float | None = None
    """Age of packets once answered; None where it is not measured, or nothing came."""
    p99_ms: float | None = None


Counts = dict[tuple[str, str], tuple[int, Histogram]]


class Recent:
    """Keeps snapshots of `WINDOW_S` seconds, and compares the newest with the oldest."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Counts]] = deque()
        self._paces: dict[tuple[str, str], Pace] = {}  # since the newest snapshot

    def add(self, at_s: float, pipelines: Sequence[PipelineStatus]) -> None:
        """Take note of the counters at a moment; moments must rise."""
        counts: Counts = {
            (pipeline.name, stage.id): (stage.done, stage.age)
            for pipeline in pipelines
            for stage in pipeline.stages
        }
        self._samples.append((at_s, counts))
        self._paces.clear()
        while len(self._samples) > 2 and at_s - self._samples[1][0] >= WINDOW_S:  # noqa: PLR2004  two to compare
            self._samples.popleft()

    def pace(self, pipeline: str, stage: str) -> Pace:
        """How fast a stage is now."""
        key = (pipeline, stage)
        if key not in self._paces:
            self._paces[key] = self._pace(key)
        return self._paces[key]

    def _pace(self, key: tuple[str, str]) -> Pace:
        if not self._samples or key not in self._samples[-1][1]:
            return Pace()
        now_s, now = self._samples[-1]
        then_s, (done, age) = now_s, now[key]
        before, age_before = done, age
        for at_s, counts in reversed(self._samples):
            if key not in counts or counts[key][0] > before:
                break  # a reload began to count anew
            then_s, (before, age_before) = at_s, counts[key]
        if done == before:
            return Pace()
        recent = age.since(age_before)
        return Pace(
            (done - before) / (now_s - then_s), recent.percentile_ms(50), recent.percentile_ms(99)
        )
