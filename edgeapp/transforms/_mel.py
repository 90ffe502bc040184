"""Magnitudes of frames, and banks of filters on the mel scale."""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Scale = Literal["htk", "slaney"]


class Bank(NamedTuple):
    """Filters that sum the lines of a spectrum into bands."""

    weights: NDArray[np.float32]
    """(lines, bands)."""
    centres_hz: tuple[float, ...]


def htk_mel(hz: Floats) -> Floats:
    """The mel scale of the HTK book, 5.4: 2595 log10(1 + f / 700)."""
    return 2595 * np.log10(1 + hz / 700)


def htk_hz(mel: Floats) -> Floats:
    """Its inverse."""
    return 700 * (10 ** (mel / 2595) - 1)


_LINEAR_HZ = 200 / 3
_KNEE_HZ = 1000.0
_STEP = np.log(6.4) / 27


def slaney_mel(hz: Floats) -> Floats:
    """The mel scale of M. Slaney's Auditory Toolbox (1998): linear to 1 kHz, then logarithmic."""
    knee = _KNEE_HZ / _LINEAR_HZ
    above = knee + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _STEP
    return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ, above)


def slaney_hz(mel: Floats) -> Floats:
    """Its inverse."""
    knee = _KNEE_HZ / _LINEAR_HZ
    above = _KNEE_HZ * np.exp(_STEP * (np.maximum(mel, knee) - knee))
    return np.where(mel < knee, mel * _LINEAR_HZ, above)


@lru_cache(maxsize=8)
def mel_bank(
    *, rate_hz: float, fft: int, bands: int, low_hz: float, high_hz: float, scale: Scale
) -> Bank:
    """Triangles that overlap by half, evenly spaced on the mel scale from `low_hz` to `high_hz`.

    htk: as in HTK and TensorFlow, triangles on the mel axis with a peak of 1, deaf to 0 Hz.
    slaney: as in Slaney's toolbox and librosa, triangles on the frequency axis of equal area.

    Raises:
        ValueError: a band is so narrow that no line of the spectrum falls into it.
    """
    to_mel, to_hz = (htk_mel, htk_hz) if scale == "htk" else (slaney_mel, slaney_hz)
    lines_hz = np.fft.rfftfreq(fft, 1 / rate_hz)
    lowest, highest = to_mel(np.array([low_hz, high_hz])).tolist()
    edges_mel: Floats = np.linspace(lowest, highest, bands + 2, dtype=np.float64)
    edges_hz: Floats = to_hz(edges_mel)
    lines, edges = (to_mel(lines_hz), edges_mel) if scale == "htk" else (lines_hz, edges_hz)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (lines[:, None] - low) / (centre - low)
    falling = (high - lines[:, None]) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    if scale == "htk":
        weights[0] = 0
    else:
        weights *= 2 / (high - low)
    deaf = np.flatnonzero(~weights.any(axis=0))
    if len(deaf):
        raise ValueError(
            f"{bands} bands from {low_hz:g} to {high_hz:g} Hz are too many: around "
            f"{edges_hz[deaf[0] + 1]:.0f} Hz one is narrower than the {rate_hz / fft:.1f} Hz that "
            "a frame can tell apart; take fewer, or longer frames"
        )
    return Bank(weights.astype(np.float32), tuple(edges_hz[1:-1].tolist()))


@lru_cache(maxsize=8)
def hann(count: int, length: int) -> Floats:
    """A periodic Hann window of `count`, in the middle of `length` samples.

    Periodic, 0.5 - 0.5 cos(2 pi n / count), as spectra of frames that follow each other need it.
    """
    before = (length - count) // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    return np.pad(window, (before, length - count - before))


def magnitudes(
    samples: NDArray[np.float32], window: Floats, hop: int, fft: int
) -> NDArray[np.float32]:
    """(frames, lines): magnitudes of each whole frame of (n,) samples; zeros fill it up to `fft`.

    In float64 inside: numpy's transform of float32 takes five times as long.
    """
    frames = sliding_window_view(samples, len(window))[::hop]
    return np.abs(np.fft.rfft(frames * window, fft)).astype(np.float32)
