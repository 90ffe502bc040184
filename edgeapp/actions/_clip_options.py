"""Options of `save_clip`, and what its memory will cost."""

from typing import Self

import numpy as np
from pydantic import field_validator, model_validator

from edgeapp.actions._clip_file import Codec
from edgeapp.api import Field, Options, OutputPath

MB = 1_000_000
LATE_S = 2.0
"""How long an answer may take to arrive after its picture."""
_TYPICAL_RATE_HZ, _TYPICAL_SIZE = 15.0, (1280, 720)


class SaveClipOptions(Options):
    """What starts a clip, how long it is, and how much room clips may take."""

    folder: OutputPath = Field(
        examples=["clips"],
        description="Folder for the clips; a relative one lies in the pipeline's data.",
    )
    pre_s: float = Field(
        default=5.0, ge=0, le=600, description="A clip begins so many seconds before its cause."
    )
    post_s: float = Field(
        default=5.0, ge=0, le=600, description="... and goes on for so long after the last one."
    )
    max_s: float = Field(
        default=60.0, ge=1, le=3600, description="A longer clip is cut, and the next one begun."
    )
    label: tuple[str, ...] = Field(
        default=(),
        description="Labels that start or prolong a clip: one, or a list. Left out: all.",
    )
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="What starts or prolongs a clip has this score."
    )
    codec: Codec = Field(
        default="h264",
        description="'h264' plays everywhere, and costs about five times the CPU of the JPEG that each "
        "picture costs anyhow, while a clip is written; 'mjpeg' costs nothing more, takes about six "
        "times the room, and browsers do not play it.",
    )
    width: int | None = Field(
        default=None,
        ge=16,
        le=7680,
        description="Pictures that are wider are shrunk to so many pixels; else they stay.",
    )
    rate_hz: float | None = Field(
        default=None, gt=0, le=1000, description="At most so many pictures a second; else all."
    )
    quality: int = Field(default=80, ge=1, le=100, description="JPEG quality of the pictures.")
    max_mb: float = Field(
        default=64.0,
        gt=0,
        description="Most memory for pictures, in MB: half for those before a cause, half for what "
        "waits to be written.",
    )
    quota_mb: float = Field(
        default=2000.0,
        gt=0,
        description="Most room on the disk, in MB; the oldest clips of this stage are deleted.",
    )
    keep_free_mb: float = Field(
        default=200.0,
        ge=0,
        description="So much of the disk stays free, in MB: clips of this stage are deleted for "
        "it, and none is written when that does not help.",
    )

    @field_validator("label", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        """Whether the libraries are there."""
        try:
            import av.codec
        except ImportError:
            problem = "clips need PyAV, which is not installed: pip install 'edgeapp[video]'"
            raise ValueError(problem) from None
        if self.codec == "h264" and "libx264" not in av.codec.codecs_available:
            raise ValueError("this PyAV cannot write H.264: say 'codec: mjpeg'")
        return self

    def remarks(self) -> tuple[str, ...]:
        """What the ring costs."""
        rate_hz = self.rate_hz or _TYPICAL_RATE_HZ
        width, height = _TYPICAL_SIZE
        if self.width:
            width, height = self.width, round(self.width * height / width)
        span_s = self.pre_s + LATE_S
        picture = _typical_bytes(width, height, self.quality)
        wanted = picture * (rate_hz * span_s + 1) / MB
        half = self.max_mb / 2
        said = (
            f"the last {span_s:g} s are kept in memory: about {min(wanted, half):.1f} MB at "
            f"{rate_hz:g} pictures/s of {width}x{height}; at most {self.max_mb:g} MB with what "
            "waits to be written"
        )
        if wanted <= half:
            return (said,)
        short = (
            f"at that rate and size about {half * MB / picture / rate_hz:.1f} s fit: for all of "
            f"pre_s give max_mb: {wanted * 2:.0f}, or a smaller width or rate_hz"
        )
        return said, short


def _typical_bytes(width: int, height: int, quality: int) -> float:
    """Of a JPEG of a busy scene, measured on clips of people, cars and a conveyor."""
    per_pixel = np.interp(quality, (1, 60, 80, 90, 100), (0.03, 0.07, 0.10, 0.15, 0.45))
    return width * height * float(per_pixel)
