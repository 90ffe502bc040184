"""Resize: the same view in another number of pixels."""

from typing import Literal

import numpy as np
from pydantic import field_validator

from edgeapp.api import Context, Field, Image, Options, Packet, transform
from edgeapp.core.opencv import cv2


class ResizeOptions(Options):
    """How large the picture becomes."""

    size: tuple[int, int] = Field(examples=[[640, 360]], description="Width and height in pixels.")
    fit: Literal["stretch", "inside"] = Field(
        "stretch",
        description="stretch: exactly this size; inside: the largest that fits, undistorted.",
    )

    @field_validator("size")
    @classmethod
    def _possible(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= min(size) <= max(size) <= 16384:  # noqa: PLR2004 - 0.8 GB: surely a mistake
            raise ValueError("width and height lie between 1 and 16384 pixels")
        return size


@transform("resize", stateless=True)
class Resize:
    """Make pictures smaller or larger."""

    def __init__(self, options: ResizeOptions, _context: Context) -> None:
        self._options = options

    def process(self, packet: Packet[Image], /) -> Image:
        """The picture in its new size; itself where it has that size already.

        Shrinking averages the pixels that fall together, enlarging interpolates linearly.
        """
        image = packet.value
        width, height = size = self._size_for(image)
        if size == image.size:
            return image
        shrinks = width <= image.size[0] and height <= image.size[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(image.pixels, size, interpolation=how)
        return Image(np.asarray(pixels, np.uint8), image.view)

    def _size_for(self, image: Image) -> tuple[int, int]:
        if self._options.fit == "stretch":
            return self._options.size
        (width, height), (most_width, most_height) = image.size, self._options.size
        scale = min(most_width / width, most_height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))
