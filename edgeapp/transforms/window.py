"""Windows over a sampled signal, counted in samples."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    At,
    BadPacket,
    Context,
    Continuity,
    Field,
    Misfit,
    Options,
    Packet,
    Sampling,
    Signal,
    samples_ns,
    transform,
)

MOST_SAMPLES = 1 << 24
"""Of a window: 64 MiB for each channel."""


class WindowOptions(Options):
    """How long a window is and how far apart windows start."""

    length_s: float | None = Field(
        default=None,
        gt=0,
        examples=[1.0],
        description="Length of a window in seconds; or give length_samples.",
    )
    length_samples: int | None = Field(
        default=None,
        ge=1,
        le=MOST_SAMPLES,
        description="Length of a window in samples; or give length_s.",
    )
    hop_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds from the start of a window to the start of the next. Left out: "
        "the length of a window, so that windows touch.",
    )
    hop_samples: int | None = Field(
        default=None, ge=1, description="The same in samples, instead of hop_s."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "WindowOptions":
        if (self.length_s is None) == (self.length_samples is None):
            raise ValueError("give either length_s or length_samples")
        if self.hop_s is not None and self.hop_samples is not None:
            raise ValueError("give either hop_s or hop_samples, not both")
        return self

    def samples(self, rate_hz: float) -> tuple[int, int]:
        """Length and hop in samples at this rate, to the nearest sample.

        Raises:
            BadPacket: at this rate that is less than one sample.
        """
        length = self.length_samples or round((self.length_s or 0) * rate_hz)
        hop = self.hop_samples or (length if self.hop_s is None else round(self.hop_s * rate_hz))
        if length < 1 or hop < 1:
            raise BadPacket(
                f"a window of {length} samples every {hop} samples is not possible: "
                f"at {rate_hz:g} Hz a sample lasts {1 / rate_hz:g} s",
                reason="too_short",
            )
        if length > MOST_SAMPLES:
            raise BadPacket(
                f"a window of {length} samples is more than {MOST_SAMPLES}: shorten it",
                reason="too_long",
            )
        return length, hop

    def misfits(self, before: Sampling) -> Iterable[Misfit]:
        """What keeps such windows from being cut."""
        if before.rate_hz is not None:
            try:
                self.samples(before.rate_hz)
            except BadPacket as error:
                yield Misfit(
                    "length_samples" if self.length_s is None else "length_s",
                    str(error),
                    "choose another length",
                )

    def sampled(self, before: Sampling) -> Sampling:
        """The same signal, a window at a time."""
        if before.rate_hz is None:
            return before._replace(samples=self.length_samples)
        return before._replace(samples=self.samples(before.rate_hz)[0])


@transform("window")
class Window:
    """Cut a signal into windows of equal length, overlapping or not.

    Windows are exact over blocks of any size: the n-th after a (re)start begins n hops after it,
    whatever blocks the samples came in. It starts afresh where samples were lost, where the source
    was reopened, and where rate or channels change: no window spans a gap. A window's `t_ns` is its
    end. Windows are views of the arriving blocks where these are long enough; a sample is copied at
    most once for each window's length of signal.
    """

    def __init__(self, options: WindowOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._options = options
        self._continuity = Continuity()
        self._form: tuple[object, ...] | None = None
        self._length = 0
        self._hop = 0
        self._skip = 0  # samples to pass over before the next window begins
        self._blocks: list[NDArray[np.float32]] = []  # what came since that window's begin
        self._held = 0  # samples in `_blocks`

    def process(self, packet: Packet[Signal]) -> Iterable[At[Signal]]:
        """The windows that end within this block, oldest first."""
        signal = packet.value
        form = (signal.rate_hz, signal.channels, signal.units)
        if self._continuity.broken(packet) or form != self._form:
            self._length, self._hop = self._options.samples(signal.rate_hz)
            self._form = form
            self._blocks, self._held, self._skip = [], 0, 0

        block = signal.samples
        if self._skip:
            passed = min(self._skip, block.shape[1])
            self._skip -= passed
            block = block[:, passed:]
            if self._skip or not block.size:
                return ()
        self._blocks.append(block)
        self._held += block.shape[1]
        if self._held < self._length:
            return ()

        samples = block if len(self._blocks) == 1 else np.concatenate(self._blocks, axis=1)
        count = (self._held - self._length) // self._hop + 1
        begin = count * self._hop
        self._skip = max(0, begin - self._held)
        self._blocks = [samples[:, begin:]]
        self._held = self._blocks[0].shape[1]
        return self._cut(signal, samples, count, packet.t_ns)

    def _cut(
        self, signal: Signal, samples: NDArray[np.float32], count: int, end_ns: int
    ) -> list[At[Signal]]:
        rate_hz, channels, units = signal.rate_hz, signal.channels, signal.units
        length, hop, total = self._length, self._hop, samples.shape[1]
        span_ns = samples_ns(length, rate_hz)
        return [
            At(
                Signal(samples[:, end - length : end], rate_hz, channels, units),
                end_ns - samples_ns(total - end, rate_hz),
                span_ns,
            )
            for end in range(length, length + count * hop, hop)
        ]
