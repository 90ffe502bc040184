"""Where a picture lies in a canvas of another shape, and the way back."""

from dataclasses import dataclass
from typing import Literal

from edgeapp.core.payload import View

Placement = Literal["center", "top_left"]


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a picture lies in a canvas, all in whole pixels of that canvas."""

    canvas_width: int
    canvas_height: int
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(
        cls,
        picture: tuple[int, int],
        canvas: tuple[int, int],
        placement: Placement = "center",
    ) -> "Fit":
        """The largest undistorted fit of a picture into a canvas; sizes are (width, height).

        Sides are rounded to whole pixels, at least one.
        """
        scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
        width = min(canvas[0], max(1, round(picture[0] * scale)))
        height = min(canvas[1], max(1, round(picture[1] * scale)))
        left, top = (
            ((canvas[0] - width) // 2, (canvas[1] - height) // 2)
            if placement == "center"
            else (0, 0)
        )
        return cls(canvas[0], canvas[1], left, top, width, height)

    def view(self, of_picture: View) -> View:
        """The view of the whole canvas, given that of the picture: exact, borders included."""
        return of_picture.within(
            -self.left / self.width,
            -self.top / self.height,
            self.canvas_width / self.width,
            self.canvas_height / self.height,
        )
