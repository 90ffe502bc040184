"""Mask: parts of the picture that nobody shall see."""

from edgeapp.api import Context, Field, Image, Options, Packet, transform
from edgeapp.core.privacy import blacked_out
from edgeapp.transforms._polygon import PolygonOption


class MaskOptions(Options):
    """What is blacked out."""

    regions: dict[str, PolygonOption] = Field(
        min_length=1,
        examples=[{"window": [[0.1, 0], [0.4, 0], [0.4, 0.3]]}],
        description="What is blacked out, each under a name: the corners [x, y] in order, as "
        "fractions of the camera's picture. {window: [[0.1, 0], [0.4, 0], [0.4, 0.3]]} is a "
        "triangle at its top.",
    )


@transform("mask", stateless=True)
class Mask:
    """Black out parts of the picture for privacy; put it right behind the camera."""

    def __init__(self, options: MaskOptions, _context: Context) -> None:
        self._polygons = tuple(options.regions.values())

    def process(self, packet: Packet[Image], /) -> Image:
        """The picture, black wherever a region touches a pixel; itself where it shows none."""
        return blacked_out(packet.value, self._polygons)
