"""The sounds source: a room to listen to where there is no microphone."""

from typing import Literal

from edgeapp.api import Context, Emit, Field, Options, Signal, samples_ns, source
from edgeapp.sources._pace import RealTime
from edgeapp.sources._soundscape import LABELS, Heard, Label, Mix, Soundscape, soundscape

__all__ = ["LABELS", "Heard", "Mix", "Sounds", "SoundsOptions", "soundscape"]


class SoundsOptions(Options):
    """What is to be heard, how loud and how often."""

    rate_hz: float = Field(
        default=16_000.0, ge=8_000, le=192_000, description="Samples per second."
    )
    pause_s: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Seconds of background between two sounds, on average; half to one and a half "
        "times that.",
    )
    level_db: float = Field(
        default=-12.0,
        ge=-90,
        le=0,
        description="Peak of the loudest sounds in dB of full scale; some are up to 6 dB quieter.",
    )
    noise_db: float = Field(
        default=-45.0,
        ge=-120,
        le=-20,
        description="RMS of the background, hum and pink noise, in dB of full scale.",
    )
    sounds: tuple[Label, ...] = Field(
        default=LABELS,
        min_length=1,
        description="Which sounds occur.",
    )
    seed: int = Field(default=0, ge=0, description="Another number gives other sounds.")
    duration_s: float | None = Field(
        default=None, gt=0, description="End after this much stream time; without it, never."
    )
    speed: Literal["real_time", "fast"] = Field(
        default="real_time",
        description="Give samples as a microphone would, or as fast as they are processed, none "
        "lost.",
    )
    block_s: float = Field(
        default=0.05,
        ge=0.001,
        le=5,
        description="How much of the signal to pass on at a time, in seconds.",
    )

    def mix(self) -> Mix:
        """What the soundscape is made of."""
        return Mix(self.pause_s, self.level_db, self.noise_db, self.sounds)


def _is_live(options: SoundsOptions) -> bool:
    return options.speed == "real_time"


@source("sounds", live=_is_live)
class Sounds:
    """Made-up sounds for demos and tests: hum, noise, and now and then an alarm, glass, a knock.

    One channel `mono`, -1..1. The same options give the same samples, in blocks of any size;
    `soundscape` tells what is heard when. `t_ns` is the end of a block, counted in samples from 0.
    """

    def __init__(self, options: SoundsOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal], /) -> None:
        """Emit blocks until `duration_s` is over."""
        options = self._options
        rate_hz = options.rate_hz
        block_samples = round(options.block_s * rate_hz)
        left = None if options.duration_s is None else round(options.duration_s * rate_hz)
        scape = Soundscape(options.seed, rate_hz, options.mix())
        pace = RealTime(self._context) if options.speed == "real_time" else None
        end = 0
        while left is None or end < left:
            count = block_samples if left is None else min(block_samples, left - end)
            end += count
            end_ns = samples_ns(end, rate_hz)
            if pace is not None:
                pace.wait_for(end_ns)
            emit(
                Signal(scape.next(count)[None], rate_hz, ("mono",), ("1",)),
                t_ns=end_ns,
                span_ns=samples_ns(count, rate_hz),
            )
