"""The conveyor source: a bottling line to look at where there is no camera."""

from itertools import islice
from typing import Literal

from pydantic import field_validator

from edgeapp.api import Context, Emit, Field, Image, Options, source
from edgeapp.sources._conveyor_scene import scene
from edgeapp.sources._pace import NS, RealTime

_SMALLEST, _LARGEST = 64, 4096


class ConveyorOptions(Options):
    """What the line looks like, and how fast its pictures come."""

    size: tuple[int, int] = Field((640, 360), description="Width and height of the pictures.")
    rate_hz: float = Field(25.0, gt=0, le=1000, description="Pictures per second of stream time.")
    speed: Literal["real_time", "fast"] = Field(
        "real_time",
        description="Give pictures as a camera would, or as fast as they are processed, none lost.",
    )
    duration_s: float | None = Field(
        None, gt=0, description="End after this much stream time; without it, never."
    )
    seed: int = Field(0, ge=0, description="Another number gives another hall, light and bottles.")
    faulty: float = Field(
        0.3, ge=0, le=1, description="Share of the bottles without a cap or with a scratched label."
    )

    @field_validator("size")
    @classmethod
    def _drawable(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not all(_SMALLEST <= side <= _LARGEST for side in size):
            raise ValueError(f"width and height are {_SMALLEST} to {_LARGEST} pixels")
        return size


def _is_live(options: ConveyorOptions) -> bool:
    return options.speed == "real_time"


@source("conveyor", live=_is_live)
class Conveyor:
    """Drawn pictures of a bottling line with faulty bottles, for demos and tests."""

    def __init__(self, options: ConveyorOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Image], /) -> None:
        """Emit until `duration_s` is over; stream time starts at 0."""
        options = self._options
        clock = RealTime(self._context) if options.speed == "real_time" else None
        pictures = scene(
            options.seed, size=options.size, rate_hz=options.rate_hz, faulty=options.faulty
        )
        count = None if options.duration_s is None else round(options.duration_s * options.rate_hz)
        for index, (pixels, _) in enumerate(islice(pictures, count)):
            t_ns = round(index * NS / options.rate_hz)
            if clock:
                clock.wait_for(t_ns)
            emit(Image(pixels), t_ns=t_ns)
