"""A recording played as a microphone would give it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Context, Emit, Signal, Unavailable, samples_ns
from edgeapp.sources._audio_options import AudioOptions, mixer
from edgeapp.sources._pace import RealTime
from edgeapp.sources.vibration_readers import Recording


def play(options: AudioOptions, context: Context, emit: Emit[Signal]) -> None:
    """Emit the recording once, or for ever; the stream's time starts at 0 and goes on in a loop.

    A block with a sample that is no number is left out and counted as lost.

    Raises:
        Unavailable: the file is gone, or no longer what it was.
    """
    try:
        recording = options.recording()
    except (OSError, ValueError) as error:
        raise Unavailable(f"cannot play '{options.device}': {error}") from None
    if recording.problem:
        context.log.warning("recording is cut short", because=recording.problem)
    rate_hz = recording.rate_hz
    mix = mixer(options.channels, len(recording.channels))
    units = ("1",) * len(mix.names)
    pace = RealTime(context) if options.speed == "real_time" else None
    end = lost = 0
    for count, samples in _blocks(options, recording, context):
        end += count
        end_ns = samples_ns(end, rate_hz)
        if pace is not None:
            pace.wait_for(end_ns)
        if samples is None:
            lost += 1
            continue
        emit(
            Signal(mix.mix(samples), rate_hz, mix.names, units),
            t_ns=end_ns,
            span_ns=samples_ns(count, rate_hz),
            lost=lost,
        )
        lost = 0


def _blocks(
    options: AudioOptions, recording: Recording, context: Context
) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
    """The length of each block, and its samples unless they are unusable."""
    block = max(1, round(options.block_s * recording.rate_hz))
    told = False
    while True:
        good = False
        try:
            with recording.open() as reader:
                while (read := reader.read_block(block)) is not None:
                    good = good or read.samples is not None
                    if read.samples is None and not told:
                        context.log.warning("samples cannot be used", because=read.problem)
                        told = True
                    yield read.count, read.samples
        except OSError as error:
            raise Unavailable(f"cannot play '{options.device}': {error}") from None
        if not options.loop:
            return
        if not good:
            raise Unavailable(f"'{options.device}' holds no usable block")
