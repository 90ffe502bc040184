"""Speed from a tachometer's pulses."""

import numpy as np
from numpy.typing import NDArray

_DEAD_BAND = 0.25
"""Pulses must swing through the middle by this fraction of their height, up and down."""
_LEAST_EDGES = 3
_EVEN = 0.3
"""Intervals that vary by more, against their mean, are noise and no pulses."""


def speed_rpm(pulses: NDArray[np.float32], rate_hz: float, per_turn: float) -> float:
    """Turns per minute from the rising edges in a window; 0 where it holds no even pulses.

    The edges are placed between samples, so that the speed is right to about one part in the
    number of samples. A shaft that makes fewer than two intervals in the window stands still.
    """
    low, high = float(pulses.min()), float(pulses.max())
    middle, swing = (low + high) / 2, (high - low) * _DEAD_BAND / 2
    if not swing > 0:
        return 0.0
    side = np.zeros(len(pulses), np.int8)
    side[pulses > middle + swing] = 1
    side[pulses < middle - swing] = -1
    known = np.flatnonzero(side)
    rises = np.flatnonzero((side[known[:-1]] < 0) & (side[known[1:]] > 0))
    if len(rises) < _LEAST_EDGES:
        return 0.0
    before, behind = known[rises], known[rises + 1]
    slope = (pulses[behind] - pulses[before]).astype(np.float64)
    edges = before + (middle - pulses[before]) / slope * (behind - before)
    intervals = np.diff(edges)
    mean = float(intervals.mean())
    if float(intervals.std()) > _EVEN * mean:
        return 0.0
    return 60 * rate_hz / (mean * per_turn)
