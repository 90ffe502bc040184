"""Where a bearing's faults show in an envelope spectrum, and reading them there."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import BearingGeometry

Floats = NDArray[np.float64]

HARMONICS = 3
"""Lines that are read for each fault."""


class Line(NamedTuple):
    """A place to search: `fault`, which harmonic of it, and the bins from `low` to `high` - 1."""

    fault: str
    harmonic: int
    low: int
    high: int


def fault_hz(geometry: BearingGeometry, shaft_hz: float) -> dict[str, float]:
    """How often each kind of fault strikes, in Hz, for rolling without slip.

    "ball" is 2 x BSF: a spot on a ball strikes both races in each turn of the ball.
    """
    orders = geometry.orders()
    return {
        "outer": orders.outer * shaft_hz,
        "inner": orders.inner * shaft_hz,
        "ball": 2 * orders.spin * shaft_hz,
        "cage": orders.cage * shaft_hz,
    }


def search_places(strikes_hz: dict[str, float], slip: float, duration_s: float) -> list[Line]:
    """For each fault its first harmonics, each with the bins within ± `slip` of it.

    At least the nearest bin and its two neighbours.
    """
    places = []
    for fault, hz in strikes_hz.items():
        for harmonic in range(1, HARMONICS + 1):
            middle = harmonic * hz * duration_s
            nearest = round(middle)
            low = min(round(middle * (1 - slip)), nearest - 1)
            high = max(round(middle * (1 + slip)), nearest + 1)
            places.append(Line(fault, harmonic, low, high + 1))
    return places


def strongest(spectrum: Floats, place: Line) -> tuple[Floats, Floats]:
    """Amplitude and position (in bins, between bins too) of the highest line at a place.

    `spectrum`: (..., bins); both answers have its leading shape. The position is that of the
    parabola through the logarithms of the highest bin and its neighbours; for the window of these
    spectra it is right to a few hundredths of a bin.
    """
    part = spectrum[..., place.low : place.high]
    peak = part.argmax(axis=-1)
    at = (peak + place.low)[..., None]
    left, middle, right = (
        np.log(np.take_along_axis(spectrum, at + step, axis=-1)[..., 0] + np.finfo(float).tiny)
        for step in (-1, 0, 1)
    )
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    amplitude = np.take_along_axis(part, peak[..., None], axis=-1)[..., 0]
    return amplitude, peak + place.low + np.clip(shift, -0.5, 0.5)
