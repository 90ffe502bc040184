"""The transform `resample`: another sampling rate, once for all who want it."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    At,
    Context,
    Continuity,
    Field,
    Options,
    Packet,
    Sampling,
    Signal,
    Unavailable,
    samples_ns,
    transform,
)

_FLAT = 0.9
"""Fraction of the band that the filter passes untouched."""


class ResampleOptions(Options):
    """The rate that is wanted."""

    rate_hz: float = Field(
        gt=0, le=1_000_000, examples=[16000], description="Samples per second that come out."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if find_spec("soxr") is None:
            raise ValueError(
                "resample needs soxr, which is not installed: pip install 'edgeapp[audio]'"
            )
        return self

    def sampled(self, before: Sampling) -> Sampling:
        """The same signal at this rate, as far as the filter lets it pass."""
        top_hz = _FLAT * self.rate_hz / 2
        if before.top_hz <= top_hz:
            return Sampling(self.rate_hz, before.top_hz, None, before.sensor)
        return Sampling(self.rate_hz, top_hz)


@transform("resample")
class Resample:
    """Change the sampling rate of a signal, with a filter against aliasing.

    By libsoxr at its "high quality" (flat to 0.9 of the band, 20 bits), as one unbroken stream over
    blocks of any size. What comes out is late by what the filter holds, some 10 to 100 ms, but its
    times are not: the filter is linear in phase and sample n of the output is the signal at n /
    `rate_hz` after the begin of the stream. The last of the signal comes when the stream ends. At a
    gap, a reopened source, and a change of rate or channels it starts afresh; what the filter held
    of the signal before is given up, since nothing continues it. A signal that has the rate
    already passes as it is.
    """

    def __init__(self, options: ResampleOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._rate_hz = options.rate_hz
        self._continuity = Continuity()
        self._stream: _Stream | None = None
        self._form: tuple[object, ...] | None = None
        self._newest_ns = 0

    def process(self, packet: Packet[Signal]) -> Signal | At[Signal] | None:
        """What is ready of the signal up to this packet."""
        signal = packet.value
        form = (signal.rate_hz, signal.channels, signal.units)
        if self._continuity.broken(packet) or form != self._form:
            self._form = form
            same = signal.rate_hz == self._rate_hz
            self._stream = None if same else _Stream(signal, self._rate_hz)
        if self._stream is None:
            return signal
        self._newest_ns = packet.t_ns
        return self._stream.give(signal.samples, packet.t_ns, last=False)

    def flush(self) -> Iterable[At[Signal]]:
        """What the filter still holds."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        nothing = np.zeros((stream.channels, 0), np.float32)
        rest = stream.give(nothing, self._newest_ns, last=True)
        if rest is not None:
            yield rest


class _Stream:
    """One unbroken stretch of signal."""

    def __init__(self, like: Signal, rate_hz: float) -> None:
        try:
            import soxr
        except ImportError as error:
            raise Unavailable(f"soxr cannot be used: {error}") from None

        self.channels = len(like.channels)
        self._like = like
        self._rate_hz = rate_hz
        self._soxr: Any = soxr.ResampleStream(
            like.rate_hz, rate_hz, self.channels, dtype="float32", quality="HQ"
        )
        self._taken = 0
        self._given = 0
        self._end_ns: int | None = None

    def give(self, samples: NDArray[np.float32], end_ns: int, *, last: bool) -> At[Signal] | None:
        """What is ready once these samples, which end at `end_ns`, are in."""
        out = self._soxr.resample_chunk(np.ascontiguousarray(samples.T), last=last)
        self._taken += samples.shape[1]
        if not len(out):
            return None
        self._given += len(out)
        behind_ns = samples_ns(self._taken, self._like.rate_hz) - samples_ns(
            self._given, self._rate_hz
        )
        # A microphone's times waver by microseconds around its samples; they never go back.
        at_ns = end_ns - behind_ns
        if self._end_ns is not None:
            at_ns = max(at_ns, self._end_ns)
        self._end_ns = at_ns
        signal = Signal(
            np.ascontiguousarray(out.T), self._rate_hz, self._like.channels, self._like.units
        )
        return At(signal, at_ns, samples_ns(len(out), self._rate_hz))
