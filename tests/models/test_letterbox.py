"""Fitting pictures into a model's input, and finding the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.api import View
from edgeapp.core.fit import Fit, Placement
from edgeapp.core.opencv import cv2
from edgeapp.models.letterbox import Color, Letterbox

sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
fractions = st.floats(0, 1)
placements = st.sampled_from(["center", "top_left"])
views = st.builds(View, fractions, fractions, st.floats(0.01, 1), st.floats(0.01, 1))


def letterbox(
    size: tuple[int, int], *, color: Color = "bgr", placement: Placement = "center", pad: int = 114
) -> Letterbox:
    return Letterbox(size, placement=placement, pad=pad, color=color, scale=1.0)


@given(picture=sizes, canvas=sizes, placement=placements, view=views, x=fractions, y=fractions)
def test_undo_inverts_fit(
    picture: tuple[int, int],
    canvas: tuple[int, int],
    placement: Placement,
    view: View,
    x: float,
    y: float,
) -> None:
    """A point of the picture, put into the canvas and read through its view, is where it was."""
    fit = Fit.of(picture, canvas, placement)
    in_canvas = (
        (fit.left + x * fit.width) / fit.canvas_width,
        (fit.top + y * fit.height) / fit.canvas_height,
    )
    seen = fit.view(view)
    point = seen.left + in_canvas[0] * seen.width, seen.top + in_canvas[1] * seen.height
    assert point == pytest.approx((view.left + x * view.width, view.top + y * view.height))


@given(picture=sizes, canvas=sizes, placement=placements)
def test_fit_lies_inside_and_touches_two_opposite_sides(
    picture: tuple[int, int], canvas: tuple[int, int], placement: Placement
) -> None:
    fit = Fit.of(picture, canvas, placement)
    assert 0 <= fit.left <= fit.left + fit.width <= canvas[0]
    assert 0 <= fit.top <= fit.top + fit.height <= canvas[1]
    assert fit.width >= 1
    assert fit.height >= 1
    assert fit.width == canvas[0] or fit.height == canvas[1]


@given(picture=sizes, canvas=sizes)
def test_fit_distorts_by_less_than_a_pixel(
    picture: tuple[int, int], canvas: tuple[int, int]
) -> None:
    fit = Fit.of(picture, canvas)
    scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
    assert abs(fit.width - max(1, picture[0] * scale)) <= 0.5 + 1e-6
    assert abs(fit.height - max(1, picture[1] * scale)) <= 0.5 + 1e-6


@given(st.integers(1, 90), st.integers(1, 90), placements, st.sampled_from(["bgr", "rgb"]))
def test_tensor_equals_that_of_blob_from_image(
    width: int, height: int, placement: Placement, color: Color
) -> None:
    """Bit for bit what the usual, slower composition gives."""
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    tensor = np.empty((3, 32, 48), np.float32)
    fit = Letterbox((48, 32), placement=placement, pad=114, color=color, scale=1 / 255).write(
        pixels, tensor
    )
    canvas = np.full((32, 48, 3), 114, np.uint8)
    canvas[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width] = cv2.resize(
        pixels, (fit.width, fit.height)
    )
    blob = cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=color == "rgb")
    assert np.array_equal(tensor, blob[0])


def test_borders_are_filled_anew_when_the_picture_changes_shape() -> None:
    """Nothing of a wide picture stays around a tall one."""
    box, tensor = letterbox((40, 40), pad=7), np.empty((3, 40, 40), np.float32)
    box.write(np.full((10, 40, 3), 200, np.uint8), tensor)
    box.write(np.full((40, 10, 3), 100, np.uint8), tensor)
    assert set(np.unique(tensor)) == {7, 100}


def test_picture_with_its_own_shape_again_keeps_its_borders() -> None:
    box, tensor = letterbox((40, 40), pad=7), np.empty((3, 40, 40), np.float32)
    for grey in (1, 2, 3):
        box.write(np.full((10, 40, 3), grey, np.uint8), tensor)
    assert (tensor[:, 15:25] == 3).all()
    assert (tensor[:, :15] == 7).all()
    assert (tensor[:, 25:] == 7).all()


def test_grey_picture_fills_all_three_planes() -> None:
    tensor = np.empty((3, 8, 8), np.float32)
    letterbox((8, 8)).write(np.full((8, 8), 50, np.uint8), tensor)
    assert (tensor == 50).all()
