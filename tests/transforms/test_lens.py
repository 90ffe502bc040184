"""Where the axis of the lens is in pictures that were cropped, resized or letterboxed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgeapp.api import Image, View
from edgeapp.transforms._lens import Lens

CALIBRATED = Lens.model_validate({"size": [640, 480], "fx": 600, "fy": 610, "cx": 300, "cy": 250})
GUESSED = Lens.model_validate({"fov_deg": 60})


def picture(width: int, height: int, view: View | None = None) -> Image:
    return Image(np.zeros((height, width), np.uint8), view or View())


def test_of_the_pictures_that_were_calibrated_it_is_the_calibration() -> None:
    expected = [[600, 0, 300], [0, 610, 250], [0, 0, 1]]
    assert CALIBRATED.matrix(picture(640, 480)).tolist() == expected


def test_an_angle_of_view_is_that_of_the_whole_width() -> None:
    """At 60 degrees the edge is half as far away as the picture is deep, times the tangent of 30."""
    matrix = GUESSED.matrix(picture(640, 480))
    assert matrix[0, 0] == matrix[1, 1] == pytest.approx(320 / np.tan(np.pi / 6))
    assert matrix[:2, 2].tolist() == [319.5, 239.5]


@settings(max_examples=40)
@given(
    st.sampled_from([CALIBRATED, GUESSED]),
    st.tuples(st.integers(0, 300), st.integers(0, 200)),
    st.tuples(st.integers(20, 300), st.integers(20, 200)),
    st.sampled_from([0.5, 1.0, 2.0, 3.0]),
)
def test_a_ray_meets_the_same_spot_of_every_part_and_size(
    lens: Lens, corner: Any, size: Any, scale: float
) -> None:
    """A crop of some pixels, made larger or smaller; edges of pixels lie halfway between them."""
    (x, y), (width, height) = corner, size
    view = View(x / 640, y / 480, width / 640, height / 480)
    scaled = round(width * scale), round(height * scale)
    # An angle of view takes pixels as square, which rounding to half the size may spoil.
    assume(lens is CALIBRATED or scaled[0] / width == scaled[1] / height)
    part = lens.matrix(picture(*scaled, view))
    ray = np.array([0.1, -0.2, 1.0])
    u, v, _ = lens.matrix(picture(640, 480)) @ ray
    across = ((u + 0.5) - x) * scaled[0] / width - 0.5
    down = ((v + 0.5) - y) * scaled[1] / height - 0.5
    assert part @ ray == pytest.approx([across, down, 1])
