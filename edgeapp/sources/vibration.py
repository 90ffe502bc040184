"""Sampled vibration, and what is measured beside it, from a sensor or a recording."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Context, Emit, Signal, Unavailable, samples_ns, source
from edgeapp.sources._playback import Playback
from edgeapp.sources.vibration_options import MOST_BLOCK_SAMPLES, VibrationOptions
from edgeapp.sources.vibration_readers import Device, Samples


@source("vibration", live=lambda options: options.is_device)
class Vibration:
    """Read vibration, or anything else sampled evenly, from an IIO or serial sensor or a recording.

    Emits blocks of `block_s`, shorter ones before a gap; `t_ns` is the end of a block, counted in
    samples. A recording begins at 0 and counts through every round of a `loop`. A block of it with
    a NaN, an infinity, an empty cell or text in it is dropped and counted as lost; the first one is
    logged. A sensor's time begins when it is opened, and goes on by exactly the samples that it
    lost, so that a gap is as long in stream time as it was; it counts as lost in blocks, at least one.
    """

    def __init__(self, options: VibrationOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal]) -> None:
        """Emit the recording once, or for ever; of a sensor what comes, as long as it is there.

        Raises:
            Unavailable: the file is gone, or no longer what it was; the sensor is gone, silent, or
                cannot do what is asked.
        """
        if self._options.is_device:
            with self._options.open_device(self._context) as device:
                self._sense(emit, device)
        else:
            self._play(emit)

    def _sense(self, emit: Emit[Signal], device: Device) -> None:
        factors, units = self._scales(device.channels, device.units)
        rate_hz = device.rate_hz
        block_samples = self._block_samples(rate_hz)
        end = lost_samples = losses = 0
        began_ns: int | None = None
        while True:
            block = device.read_block(block_samples)
            assert block.samples is not None
            if began_ns is None:
                began_ns = self._context.clock.now_ns() - samples_ns(block.count, rate_hz)
            if block.missing:
                lost_samples += block.missing
                losses += 1
                if losses & (losses - 1) == 0:  # the 1st, 2nd, 4th, 8th...
                    self._context.log.warning(
                        "sensor lost samples", samples=block.missing, so_far=lost_samples
                    )
            end += block.missing + block.count
            emit(
                Signal(block.samples * factors, rate_hz, device.channels, units),
                t_ns=began_ns + samples_ns(end, rate_hz),
                span_ns=samples_ns(block.count, rate_hz),
                lost=-(-block.missing // block_samples),
            )

    def _scales(
        self, channels: Sequence[str], units: Sequence[str | None]
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """(channels, 1) to multiply samples with, and the units that this gives."""
        scales = [
            self._options.scale(channel, unit)
            for channel, unit in zip(channels, units, strict=True)
        ]
        factors = np.array([[scale.factor] for scale in scales], np.float32)
        return factors, tuple(scale.unit for scale in scales)

    def _block_samples(self, rate_hz: float) -> int:
        return min(max(1, round(self._options.block_s * rate_hz)), MOST_BLOCK_SAMPLES)

    def _play(self, emit: Emit[Signal]) -> None:
        try:
            recording = self._options.recording()
        except (OSError, ValueError) as error:
            raise Unavailable(f"cannot read '{self._options.device}': {error}") from None
        rate_hz = recording.rate_hz
        factors, units = self._scales(recording.channels, [None] * len(recording.channels))

        def to_signal(samples: Samples) -> Signal:
            return Signal(samples * factors, rate_hz, recording.channels, units)

        options = self._options
        playback = Playback(
            options.device,
            recording,
            self._block_samples(rate_hz),
            options.speed == "real_time",
            options.loop,
        )
        playback.play(self._context, emit, to_signal)
