"""Spectra of windows, with numpy alone. All arrays float64, time along the last axis."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@lru_cache(maxsize=16)
def hann(count: int) -> Floats:
    """The periodic Hann window of `count` points, read-only."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    window.flags.writeable = False
    return window


def hann_rfft(centred: Floats, out: Complexes | None = None) -> Complexes:
    """The one-sided transform of `centred` (..., n), which is weighted with a Hann window in place.

    A given `out` saves the page faults of a fresh array, which cost as much as the transform.
    """
    centred *= hann(centred.shape[-1])
    return np.fft.rfft(centred, out=out)


def power(transform: Complexes, count: int) -> Floats:
    """One-sided power of each bin of `hann_rfft`, in unit²; the sum over a band is its mean square.

    Divided by the bin's width it is the power spectral density; the mean of that over
    half-overlapping windows is Welch's estimate (P. D. Welch, IEEE Transactions on Audio and
    Electroacoustics 15, 1967). `count` is the window's length.
    """
    squared = transform.real**2
    squared += transform.imag**2
    squared *= 2 / (count * float(np.sum(hann(count) ** 2)))
    squared[..., 0] /= 2
    if count % 2 == 0:
        squared[..., -1] /= 2
    return squared


def fast_length(least: int) -> int:
    """The smallest length from `least` on that has no prime factor above 5."""
    length = max(1, least)
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


class SquaredEnvelope:
    """The spectrum of the squared envelope of a band.

    Band-pass, Hilbert transform, square, subtract the mean, transform (Randall and Antoni 2011,
    section 5.3), as one short pair of transforms: the band's own bins are the analytic signal,
    shifted to base band and decimated. Its square has the weight Hann² in time, which keeps the
    lines from leaking.

    `first` and `last` are the band's bins, `keep` the number of envelope bins wanted from 0 on,
    `count` the window's length.
    """

    def __init__(self, first: int, last: int, keep: int, count: int) -> None:
        self._band = slice(first, last + 1)
        self._keep = keep
        # A difference of two bins of the band reaches last - first; anything shorter than this
        # would fold those onto the bins that are kept.
        self._points = fast_length(last - first + 1 + keep)
        self._scale = 2 * self._points / count
        self._weight = hann(self._points) ** 2
        self._total = float(self._weight.sum())

    def amplitudes(self, transform: Complexes) -> Floats:
        """Amplitude of each line of the squared envelope, in unit²: (..., keep).

        `transform` is what `hann_rfft` gave. Bin k of the answer is at k / duration.
        """
        analytic = np.fft.ifft(transform[..., self._band], self._points)
        squared = analytic.real**2
        squared += analytic.imag**2
        squared *= self._scale**2
        mean = squared.sum(axis=-1, keepdims=True) / self._total
        squared -= mean * self._weight
        lines: Floats = np.abs(np.fft.rfft(squared)[..., : self._keep])
        lines *= 2 / self._total
        return lines
