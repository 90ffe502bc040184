"""Counting what happens to packets. Each meter has one writer thread; anyone may read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_STEPS = 8
"""Buckets for each doubling of the duration; a power of two."""
_KEPT_BITS = _STEPS.bit_length()
"""How many leading bits of a duration say which bucket is its own."""
_BUCKETS = 64 * _STEPS


class Histogram:
    """Durations in buckets 12.5 % wide, so a percentile is right to about ±6 %.

    Bounded: 512 counters whatever is recorded.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: Sequence[int] | None = None) -> None:
        self.counts = list(counts) if counts is not None else [0] * _BUCKETS

    def record(self, duration_ns: int) -> None:
        """Count one duration in nanoseconds; below zero counts as zero."""
        if duration_ns < _STEPS:
            self.counts[max(0, duration_ns)] += 1
            return
        exponent = duration_ns.bit_length() - _KEPT_BITS
        self.counts[exponent * _STEPS + (duration_ns >> exponent)] += 1

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was recorded after `earlier` was copied."""
        return Histogram(
            [now - then for now, then in zip(self.counts, earlier.counts, strict=True)]
        )

    def copy(self) -> "Histogram":
        """The counts so far, standing still."""
        return Histogram(self.counts)

    def percentile_ms(self, percent: float) -> float | None:
        """The duration below which `percent` of the recorded ones lie; None if there are none."""
        total = sum(self.counts)
        if not total:
            return None
        wanted = total * percent / 100
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return _middle_ns(index) / 1e6
        raise AssertionError("the counts sum to the total")

    def upto(self, bounds_ns: Sequence[int]) -> tuple[list[int], float]:
        """How many durations lie at or below each of some rising bounds, and the sum of all.

        As exact as the buckets are: ±6 % at the bounds, and in the sum; nanoseconds.
        """
        found = [0] * len(bounds_ns)
        sum_ns, at = 0.0, 0
        running = 0
        for index, count in enumerate(self.counts):
            if not count:
                continue
            middle_ns = _middle_ns(index)
            while at < len(bounds_ns) and middle_ns > bounds_ns[at]:
                found[at] = running
                at += 1
            running += count
            sum_ns += count * middle_ns
        found[at:] = [running] * (len(bounds_ns) - at)
        return found, sum_ns


def _middle_ns(index: int) -> float:
    if index < 2 * _STEPS:
        return float(index)
    doublings, step = divmod(index, _STEPS)
    return (_STEPS + step + 0.5) * (1 << (doublings - 1))


class LastFault(NamedTuple):
    """What a stage raised last."""

    said: str
    """The exception in a line, cut where it is long; secrets that were read are hidden in it.

    It may still hold one of another origin, such as a login in an address.
    """
    at_ns: int
    """Monotonic."""


@dataclass(slots=True)
class StageMeters:
    """What happened at one stage: `taken` = `done` + everything in `dropped` and `shed`.

    `done` packets were answered, which for a filter may mean: answered with nothing.
    """

    taken: int = 0
    done: int = 0
    shed: int = 0
    """Let go on purpose, by the governor's divisor."""
    late: int = 0
    """Of a model: answers that were older than `deadline_ms` when they were there; among `done`."""
    calls: int = 0
    """Answers of a model, for which the two below were measured."""
    cpu_ns: int = 0
    """CPU time of these calls, of the lane's thread alone."""
    wall_ns: int = 0
    """Wall time of these calls."""
    emitted: int = 0
    """Packets handed on; of an action: acted upon; of an output: made into messages."""
    dropped: Counter[str] = field(default_factory=Counter)
    """By reason; the reasons are listed in `edgeapp.core.meters`."""
    lost: int = 0
    """Packets that a source says were lost before it could emit them; they were never `taken`."""
    faults: int = 0
    last_fault: LastFault | None = None
    busy_ns: int = 0
    """Time spent inside the stage."""
    age: Histogram = field(default_factory=Histogram)
    """How old packets were (now minus `taken_ns`) when a model or sink had answered them."""

    def drop(self, reason: str, packets: int = 1) -> None:
        """Count packets let go, with the reason."""
        if packets:
            self.dropped[reason] += packets


FAULT = "fault"
"""The stage raised."""
BAD = "bad"
"""The packet cannot be used (the default reason of BadPacket)."""
LATE = "late"
"""Older than the stage's deadline before it began."""
UNAVAILABLE = "unavailable"
"""What the stage needs from outside is not there."""
FAILED = "failed"
"""The pipeline's fault budget is spent."""
STOPPING = "stopping"
"""Still waiting when the time to drain was over."""
FULL = "full"
"""A link or queue was full."""
