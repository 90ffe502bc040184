"""A recording of sound."""

from edgeapp.api import Context, Emit, Signal, Unavailable
from edgeapp.sources._audio_options import AudioOptions, mixer
from edgeapp.sources._playback import Playback
from edgeapp.sources.vibration_readers import Samples


def play(options: AudioOptions, context: Context, emit: Emit[Signal]) -> None:
    """Emit the recording once, or for ever.

    Raises:
        Unavailable: the file is gone, or no longer what it was.
    """
    try:
        recording = options.recording()
    except (OSError, ValueError) as error:
        raise Unavailable(f"cannot read '{options.device}': {error}") from None
    rate_hz = recording.rate_hz
    mix = mixer(options.channels, len(recording.channels))
    units = ("1",) * len(mix.names)

    def to_signal(samples: Samples) -> Signal:
        return Signal(mix.mix(samples), rate_hz, mix.names, units)

    block = max(1, round(options.block_s * rate_hz))
    playback = Playback(
        options.device, recording, block, options.speed == "real_time", options.loop
    )
    playback.play(context, emit, to_signal)
