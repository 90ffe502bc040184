"""Bands of a window's spectrum, and the velocity in them."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import BadPacket

Floats = NDArray[np.float64]

ACCELERATION = "m/s²"
LOW_HZ, HIGH_HZ = 10.0, 1000.0
"""The band of ISO 20816-1 for machines that turn faster than 600 rpm."""
SLOW_LOW_HZ = 2.0
"""Its lower edge for slower ones."""
_LEAST_CYCLES = 4
"""Of the lowest frequency of velocity; with fewer, what lies below it leaks into the band, where
integration makes the most of it."""


def bins_of(band_hz: tuple[float, float], rate_hz: float, count: int) -> slice:
    """The bins of a one-sided spectrum that lie in a band; of a window of `count` samples.

    Raises:
        BadPacket: there are none, or the band reaches above half the sampling rate.
    """
    low, high = band_hz
    if high > rate_hz / 2:
        raise BadPacket(
            f"the band [{low:g}, {high:g}] Hz reaches above {rate_hz / 2:g} Hz, half the "
            f"sampling rate: choose a lower band or sample faster",
            reason="above_nyquist",
        )
    first = int(np.ceil(low * count / rate_hz - 1e-9))
    last = int(np.floor(high * count / rate_hz + 1e-9))
    if last < first:
        raise BadPacket(
            f"the band [{low:g}, {high:g}] Hz falls between the {rate_hz / count:g} Hz wide "
            "steps of this window's spectrum: choose a longer window or a wider band",
            reason="too_short",
        )
    return slice(first, last + 1)


class Velocity(NamedTuple):
    """Vibration velocity from the spectrum of an acceleration in m/s²: V(f) = A(f) / (2 pi f)."""

    bins: slice
    weights: Floats
    """What turns (m/s²)² in each of them into (mm/s)²."""

    @staticmethod
    def needs_s(low_hz: float) -> float:
        """How long a window must be to see velocity from `low_hz` on."""
        return _LEAST_CYCLES / low_hz

    @classmethod
    def of(cls, rate_hz: float, count: int, low_hz: float = LOW_HZ) -> Self:
        """For windows of `count` samples, from `low_hz` to 1000 Hz.

        Raises:
            BadPacket: the window is too short, or sampled too slowly.
        """
        if rate_hz <= 2 * HIGH_HZ:
            raise BadPacket(
                f"velocity up to {HIGH_HZ:g} Hz needs more than {2 * HIGH_HZ:g} samples per "
                f"second, not {rate_hz:g}: sample faster",
                reason="above_nyquist",
            )
        if count < cls.needs_s(low_hz) * rate_hz:
            raise BadPacket(
                f"velocity from {low_hz:g} Hz on needs windows of {cls.needs_s(low_hz):g} s or "
                f"more, not of {count / rate_hz:.3g} s",
                reason="too_short",
            )
        bins = bins_of((low_hz, HIGH_HZ), rate_hz, count)
        omega = 2 * np.pi * np.arange(bins.start, bins.stop) * rate_hz / count
        return cls(bins, (1000 / omega) ** 2)

    def rms(self, power: Floats) -> Floats:
        """In mm/s, of the last axis of `_spectral.power`."""
        value: Floats = np.sqrt(np.vecdot(power[..., self.bins], self.weights))
        return value
