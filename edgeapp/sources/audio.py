"""The audio source: which reader serves a device.

A device may be a recording or a microphone. Each has a module of its own, imported when it is used:
a recording never loads PortAudio.
"""

from edgeapp.api import Context, Emit, Signal, source
from edgeapp.sources._audio_options import AudioOptions, DeviceKind, kind_of


def _is_live(options: AudioOptions) -> bool:
    return kind_of(options.device) is DeviceKind.MICROPHONE


@source("audio", live=_is_live)
class Audio:
    """Sound from a microphone, or from a WAV or FLAC file.

    Emits blocks of `block_s`, float32 in -1..1. `t_ns` is the end of a block: in a recording
    counted in samples from its start, from a microphone by the device's clock, smoothed.
    """

    def __init__(self, options: AudioOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal], /) -> None:
        """Emit until the recording ends; a microphone never ends by itself.

        Raises:
            Unavailable: the file or the microphone is gone, cannot be opened, or went silent.
        """
        if _is_live(self._options):
            from edgeapp.sources import _microphone

            _microphone.record(self._options, self._context, emit)
        else:
            from edgeapp.sources import _audio_file

            _audio_file.play(self._options, self._context, emit)
