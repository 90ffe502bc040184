"""How a camera sees: the pinhole with the usual distortion, for pictures cropped and resized."""

from math import radians, tan
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import Field, Image, Options

_INTRINSICS = ("size", "fx", "fy", "cx", "cy")
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")


class Lens(Options):
    """Either its angle of view, for a good guess, or what a calibration gave."""

    fov_deg: float | None = Field(
        None,
        gt=1,
        lt=170,
        description="Horizontal angle of view of the whole picture. Pixels are taken to be "
        "square, the lens to be centred and without distortion: a guess for trying things out.",
    )
    size: tuple[int, int] | None = Field(
        None, description="Width and height of the pictures that the calibration used, in pixels."
    )
    fx: float | None = Field(None, gt=0, description="Focal length across, in those pixels.")
    fy: float | None = Field(None, gt=0, description="Focal length down, in those pixels.")
    cx: float | None = Field(None, description="Where the axis of the lens is, across, in pixels.")
    cy: float | None = Field(None, description="Where the axis of the lens is, down, in pixels.")
    k1: float = Field(0.0, description="First radial distortion, as OpenCV's calibration says it.")
    k2: float = Field(0.0, description="Second radial distortion.")
    p1: float = Field(0.0, description="First tangential distortion.")
    p2: float = Field(0.0, description="Second tangential distortion.")
    k3: float = Field(0.0, description="Third radial distortion.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        missing = [name for name in _INTRINSICS if getattr(self, name) is None]
        if self.fov_deg is not None:
            more = [n for n in (*_INTRINSICS, *_DISTORTION) if n in self.model_fields_set]
            if more:
                raise ValueError(f"give 'fov_deg' or a calibration, not both: {', '.join(more)}")
        elif missing:
            raise ValueError(
                "give 'fov_deg', or all that a calibration gives: "
                f"{', '.join(_INTRINSICS)}; missing: {', '.join(missing)}"
            )
        if self.size is not None:
            if min(self.size) < 1:
                raise ValueError("width and height are at least 1")
            centre = (self.cx or 0.0, self.cy or 0.0)
            if not all(0 < at < side for at, side in zip(centre, self.size, strict=True)):
                raise ValueError("the axis of the lens, 'cx' and 'cy', lies outside of 'size'")
        return self

    def matrix(self, image: Image) -> NDArray[np.float64]:
        """The camera matrix for a picture, (3, 3), by its size and the part that it shows.

        OpenCV counts pixels from the middle of the first one, so half a pixel comes in where
        pictures are scaled.
        """
        view = image.view
        width, height = image.size
        whole_width, whole_height = width / view.width, height / view.height
        if self.fov_deg is not None:
            fx = fy = whole_width / 2 / tan(radians(self.fov_deg) / 2)
            across = down = 0.5
        else:
            assert self.size is not None  # as all of a calibration, by _one_way
            assert self.fx is not None
            assert self.fy is not None
            assert self.cx is not None
            assert self.cy is not None
            fx, fy = self.fx * whole_width / self.size[0], self.fy * whole_height / self.size[1]
            across, down = (self.cx + 0.5) / self.size[0], (self.cy + 0.5) / self.size[1]
        cx = (across - view.left) * whole_width - 0.5
        cy = (down - view.top) * whole_height - 0.5
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def distortion(self) -> NDArray[np.float64]:
        """k1, k2, p1, p2 and k3, in OpenCV's order; they do not depend on the size."""
        return np.array([self.k1, self.k2, self.p1, self.p2, self.k3])
