"""Samples that a device lost, found in its timestamps."""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

LOOK = 8
"""Samples on each side of a possible gap that are looked at."""
_LEAST_TO_LEARN = 32
_FOLLOW = 0.1
_BELIEVABLE = 0.05
"""A batch whose period differs by more from that before has a step of the clock in it."""


class Gaps:
    """Tells lost samples from late timestamps, and how many they were.

    A timestamp may be late (the interrupt was), never early. So the time of a sample is the
    earliest that it and its `LOOK` neighbours on its side of the gap agree on, counted in periods;
    a late one alone makes no gap. The period is learned from the timestamps themselves, because
    sensors' own clocks are off by percents. The count is exact where one sample in `LOOK` is late by
    less than half a period, and as long as the gap is not so long that what is still unknown of the
    period adds up to half of one: for some thousand samples, once a second of signal was seen.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._learned = False

    @property
    def rate_hz(self) -> float:
        """The real rate, as far as it is known."""
        return 1e9 / self._period_ns

    def find(self, times_ns: Times) -> list[tuple[int, int]]:
        """Before which samples some are missing, and how many.

        `times_ns`: the last up to `LOOK` samples of the batch before, this batch, and what follows.
        """
        steps = np.diff(times_ns)
        if not self._learned and len(steps) >= _LEAST_TO_LEARN:
            stride = len(steps) // 4  # long, to make little of late ones; short, to pass by gaps
            self._period_ns = float(np.median(times_ns[stride:] - times_ns[:-stride])) / stride
            self._learned = True
        gaps = []
        unbroken_from = 0
        for at in (np.flatnonzero(steps > 1.5 * self._period_ns) + 1).tolist():
            missing = self._missing(times_ns, unbroken_from, at)
            if missing:
                gaps.append((at, missing))
                unbroken_from = at
        if not gaps and len(steps) >= _LEAST_TO_LEARN:
            self._follow(float(times_ns[-1] - times_ns[0]) / len(steps))
        return gaps

    def _missing(self, times_ns: Times, unbroken_from: int, at: int) -> int:
        before = times_ns[max(unbroken_from, at - LOOK) : at]
        behind = times_ns[at : at + LOOK]
        period_ns = self._period_ns
        last_ns = float((before + np.arange(len(before) - 1, -1, -1) * period_ns).min())
        next_ns = float((behind - np.arange(len(behind)) * period_ns).min())
        return max(0, round((next_ns - last_ns) / period_ns) - 1)

    def _follow(self, period_ns: float) -> None:
        if abs(period_ns / self._period_ns - 1) < _BELIEVABLE:
            self._period_ns += _FOLLOW * (period_ns - self._period_ns)
