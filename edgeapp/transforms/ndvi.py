"""How green a field is: the normalised difference vegetation index."""

from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from edgeapp.api import BadPacket, Bands, Context, Field, Mask, Options, Packet, transform

DARK, GLARE = "dark", "glare"

Index = Annotated[float, Field(ge=-1, le=1)]


class NdviOptions(Options):
    """What the index means, and how the cameras compare."""

    classes: dict[str, Index] = Field(
        default={"soil": -1.0, "weak": 0.2, "moderate": 0.4, "healthy": 0.6},
        min_length=2,
        max_length=20,
        description="What the index means: each name with the lowest index that it has, rising. "
        "The first begins at -1.",
    )
    red_gain: float = Field(
        1.0,
        gt=0,
        description="What brings red to reflectance: known reflectance of a grey panel divided by "
        "its brightness in the picture. Only the ratio to nir_gain matters.",
    )
    nir_gain: float = Field(1.0, gt=0, description="The same for near-infrared.")
    dark_below: float = Field(
        0.02,
        ge=0,
        le=0.5,
        description="Pixels whose bands are darker than this on average, as a fraction of "
        "full_scale, are of the class dark: shadow, or nothing but noise.",
    )
    full_scale: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Pixels with this value or more in a band are overexposed, and of the class "
        "glare. If not given: 255 for 8 bits, 65535 for 16; say 4095 for a camera of 12 bits.",
    )

    @field_validator("classes")
    @classmethod
    def _rising(cls, classes: dict[str, float]) -> dict[str, float]:
        if taken := {DARK, GLARE} & classes.keys():
            raise ValueError(f"'{min(taken)}' is a class already; choose another name")
        lowest = list(classes.values())
        if lowest[0] != -1:
            raise ValueError("the first class begins at -1, where the index does")
        if any(low >= high for low, high in pairwise(lowest)):
            raise ValueError("each class begins higher than the one before it")
        return classes


@transform("ndvi", stateless=True)
class Ndvi:
    """Tell plants from soil, and strong from weak ones, by NDVI: how much of the field is which.

    NDVI = (NIR - red) / (NIR + red), -1 to 1 (Rouse et al. 1974; Tucker 1979): leaves take in red
    light and throw back near-infrared. Reads Bands with a red and a nir; gives the Mask of the
    classes, after which come dark and glare, where the light says nothing. 8 bits are looked up in
    a table of all 65,536 pairs, so that the number of classes costs nothing.
    """

    def __init__(self, options: NdviOptions, _context: Context) -> None:
        self._options = options
        self._labels = (*options.classes, DARK, GLARE)
        level = np.arange(256, dtype=np.float32)  # as below: a tie is decided alike
        self._table = self._classified(level[:, None], level[None, :], 255).ravel()

    def process(self, packet: Packet[Bands], /) -> Mask:
        """The class of each pixel.

        Raises:
            BadPacket: the picture has no band of that name.
        """
        bands = packet.value
        red, nir = self._band(bands, "red"), self._band(bands, "nir")
        if red.dtype == np.uint8:
            classes = self._table[(red.astype(np.uint16) << 8) | nir]
        else:
            classes = self._classified(red.astype(np.float32), nir.astype(np.float32), 65_535)
        return Mask(classes, self._labels, bands.view)

    @staticmethod
    def _band(bands: Bands, name: str) -> NDArray[Any]:
        if name not in bands.names:
            raise BadPacket(
                f"there is no band '{name}' in {', '.join(bands.names)}", reason="no_band"
            )
        plane: NDArray[Any] = bands.planes[bands.names.index(name)]
        return plane

    def _classified(self, red: NDArray[Any], nir: NDArray[Any], greatest: int) -> NDArray[np.uint8]:
        """The class of each pair of values. `greatest`: that there can be.

        No division: the index is at least t where (1 - t) NIR >= (1 + t) red.
        """
        options = self._options
        full_scale = options.full_scale or greatest
        _, *lowest = options.classes.values()
        classes = np.zeros(np.broadcast_shapes(red.shape, nir.shape), np.uint8)
        for index in lowest:
            classes += (1 - index) * options.nir_gain * nir >= (1 + index) * options.red_gain * red
        dark = np.maximum(1, 2 * options.dark_below * full_scale)
        classes[red + nir < dark] = len(lowest) + 1
        classes[(red >= full_scale) | (nir >= full_scale)] = len(lowest) + 2
        return classes
