"""Letterbox: a picture of another shape, undistorted, its borders filled."""

import numpy as np
from pydantic import field_validator

from edgeapp.api import Context, Field, Image, Options, Packet, transform
from edgeapp.core.fit import Fit, Placement
from edgeapp.core.opencv import cv2


class LetterboxOptions(Options):
    """The size of the result and what fills its borders."""

    size: tuple[int, int] = Field(examples=[[640, 640]], description="Width and height in pixels.")
    pad: int = Field(114, ge=0, le=255, description="Grey of the borders, 0 black to 255 white.")
    placement: Placement = Field("center", description="Where the picture lies in the result.")

    @field_validator("size")
    @classmethod
    def _possible(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= min(size) <= max(size) <= 16384:  # noqa: PLR2004 - 0.8 GB: surely a mistake
            raise ValueError("width and height lie between 1 and 16384 pixels")
        return size


@transform("letterbox", stateless=True)
class Letterbox:
    """Fit pictures into one size undistorted, with borders. Models do this by themselves."""

    def __init__(self, options: LetterboxOptions, _context: Context) -> None:
        self._options = options

    def process(self, packet: Packet[Image], /) -> Image:
        """The whole picture on a canvas; the view covers the borders too."""
        image = packet.value
        fit = Fit.of(image.size, self._options.size, self._options.placement)
        canvas = np.full(
            (fit.canvas_height, fit.canvas_width, *image.pixels.shape[2:]),
            self._options.pad,
            np.uint8,
        )
        cv2.resize(
            image.pixels,
            (fit.width, fit.height),
            dst=canvas[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width],
            interpolation=cv2.INTER_AREA if fit.width < image.size[0] else cv2.INTER_LINEAR,
        )
        return Image(canvas, fit.view(image.view))
