"""Crop: a part of the picture."""

from pydantic import field_validator

from edgeapp.api import Context, Field, Image, Options, Packet, transform


class CropOptions(Options):
    """Which part stays."""

    box: tuple[float, float, float, float] = Field(
        examples=[[0.5, 0, 0.5, 1]],
        description="Left, top, width and height of what stays, as fractions of the picture: "
        "[0.5, 0, 0.5, 1] is its right half.",
    )

    @field_validator("box")
    @classmethod
    def _inside(cls, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, width, height = box
        if not (0 <= left < 1 and 0 <= top < 1 and width > 0 and height > 0):
            raise ValueError("left and top lie between 0 and 1, width and height above 0")
        if left + width > 1 + 1e-9 or top + height > 1 + 1e-9:  # 0.7 + 0.3 may be a bit above 1
            raise ValueError(
                "the box reaches out of the picture: left + width and top + height are 1 at most"
            )
        return box


@transform("crop", stateless=True)
class Crop:
    """Cut out a part of each picture."""

    def __init__(self, options: CropOptions, _context: Context) -> None:
        self._box = options.box

    def process(self, packet: Packet[Image], /) -> Image:
        """The part, at least one pixel, its edges on whole pixels; not a copy.

        The view says where those whole pixels are, so boxes found in the part stay exact.
        """
        image = packet.value
        width, height = image.size
        left, right = _span(self._box[0], self._box[2], width)
        top, bottom = _span(self._box[1], self._box[3], height)
        view = image.view.within(
            left / width, top / height, (right - left) / width, (bottom - top) / height
        )
        return Image(image.pixels[top:bottom, left:right], view)


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    """From which pixel up to which, of so many."""
    first = min(pixels - 1, round(start * pixels))
    return first, min(pixels, max(first + 1, round((start + length) * pixels)))
