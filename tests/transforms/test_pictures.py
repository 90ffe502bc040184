"""Resize, crop and letterbox keep track of which part of the source picture they show."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Image, Options, Packet, View
from edgeapp.transforms.crop import Crop, CropOptions
from edgeapp.transforms.letterbox import Letterbox, LetterboxOptions
from edgeapp.transforms.resize import Resize, ResizeOptions

sides = st.integers(1, 60)


def apply(stage: Any, options: type[Options], image: Image, **given: Any) -> Image:
    """What the stage makes of a picture, under options as a user writes them."""
    made = stage(options.model_validate(given), None)
    packet = Packet(image, "camera", 0, 0, 0, 0, 0, 0, 0, ())
    result = made.process(packet)
    assert isinstance(result, Image)
    return result


def ramp(width: int, height: int) -> Image:
    """A picture whose blue grows from left to right and green from top to bottom."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return Image(pixels)


def in_source(view: View, x: float, y: float) -> tuple[float, float]:
    """A point given in fractions of an image, in fractions of the source picture."""
    return view.left + x * view.width, view.top + y * view.height


def test_resize_stretches_to_the_exact_size_and_shows_the_same() -> None:
    image = Image(np.zeros((30, 40, 3), np.uint8), View(0.1, 0.2, 0.3, 0.4))
    result = apply(Resize, ResizeOptions, image, size=[20, 20])
    assert result.size == (20, 20)
    assert result.view == image.view


def test_resize_inside_keeps_the_shape() -> None:
    result = apply(Resize, ResizeOptions, ramp(200, 100), size=[50, 50], fit="inside")
    assert result.size == (50, 25)


def test_resize_to_its_own_size_is_the_picture_itself() -> None:
    image = ramp(20, 10)
    assert apply(Resize, ResizeOptions, image, size=[20, 10]) is image


def test_resize_averages_what_it_shrinks() -> None:
    """A fine chequered pattern becomes grey, not black or white."""
    pixels = (np.indices((40, 40)).sum(axis=0) % 2 * 200).astype(np.uint8)
    result = apply(Resize, ResizeOptions, Image(pixels), size=[10, 10])
    assert result.pixels == pytest.approx(100)


def test_crop_cuts_whole_pixels_and_says_which() -> None:
    result = apply(Crop, CropOptions, ramp(10, 10), box=[0.5, 0.21, 0.5, 0.5])
    assert result.size == (5, 5)
    assert result.pixels[0, 0].tolist() == [5, 2, 0]
    assert result.view == View(0.5, 0.2, 0.5, 0.5)


@given(sides, sides, st.data())
def test_crop_of_any_part_has_a_pixel_and_lies_within(
    width: int, height: int, data: st.DataObject
) -> None:
    left, top = data.draw(st.floats(0, 0.99)), data.draw(st.floats(0, 0.99))
    box = [
        left,
        top,
        data.draw(st.floats(1e-6, 1 - left)),
        data.draw(st.floats(1e-6, 1 - top)),
    ]
    image = ramp(width, height)
    result = apply(Crop, CropOptions, image, box=box)
    assert min(result.size) >= 1
    x, y = in_source(result.view, 0, 0)
    assert result.pixels[0, 0, :2].tolist() == [round(x * width), round(y * height)]
    right, bottom = in_source(result.view, 1, 1)
    assert right <= 1 + 1e-9
    assert bottom <= 1 + 1e-9


def test_letterbox_shows_the_borders_too() -> None:
    """A wide picture in a square: a quarter of the height is border, above and below."""
    result = apply(Letterbox, LetterboxOptions, ramp(80, 40), size=[40, 40], pad=7)
    assert result.size == (40, 40)
    assert result.view == View(0.0, -0.5, 1.0, 2.0)
    assert (result.pixels[:10] == 7).all()
    assert (result.pixels[30:] == 7).all()
    assert not (result.pixels[10:30, :, 2]).any()


def test_letterbox_at_the_top_left_of_a_grey_picture() -> None:
    image = Image(np.full((40, 20), 9, np.uint8))
    result = apply(Letterbox, LetterboxOptions, image, size=[20, 20], pad=0, placement="top_left")
    assert result.view == View(0.0, 0.0, 2.0, 1.0)
    assert (result.pixels[:, :10] == 9).all()
    assert (result.pixels[:, 10:] == 0).all()


@given(
    picture=st.tuples(sides, sides),
    canvas=st.tuples(sides, sides),
    box=st.sampled_from([(0, 0, 1, 1), (0.25, 0.25, 0.5, 0.5), (0.5, 0, 0.5, 1)]),
    placement=st.sampled_from(["center", "top_left"]),
)
def test_views_compose(
    picture: tuple[int, int],
    canvas: tuple[int, int],
    box: tuple[float, float, float, float],
    placement: str,
) -> None:
    """Crop, resize and letterbox in a row: the picture's corners are found where they were."""
    cropped = apply(Crop, CropOptions, ramp(*picture), box=box)
    resized = apply(Resize, ResizeOptions, cropped, size=[17, 23])
    boxed = apply(Letterbox, LetterboxOptions, resized, size=canvas, pad=0, placement=placement)
    scale = min(canvas[0] / 17, canvas[1] / 23)
    inner = [min(c, max(1, round(s * scale))) for c, s in zip(canvas, (17, 23), strict=True)]
    left, top = (
        ((canvas[0] - inner[0]) // 2, (canvas[1] - inner[1]) // 2)
        if placement == "center"
        else (0, 0)
    )
    for x, y in [(0, 0), (1, 1), (0.5, 0.25)]:
        in_canvas = (left + x * inner[0]) / canvas[0], (top + y * inner[1]) / canvas[1]
        assert in_source(boxed.view, *in_canvas) == pytest.approx(in_source(cropped.view, x, y))


@pytest.mark.parametrize(
    ("options", "given", "complaint"),
    [
        (ResizeOptions, {"size": [0, 10]}, "between 1 and 16384"),
        (LetterboxOptions, {"size": [10, 20000]}, "between 1 and 16384"),
        (CropOptions, {"box": [0.5, 0, 0.6, 1]}, "reaches out of the picture"),
        (CropOptions, {"box": [0, 0, 0, 1]}, "width and height above 0"),
        (CropOptions, {"box": [-0.1, 0, 0.5, 1]}, "left and top lie between"),
    ],
)
def test_impossible_options_are_refused(
    options: type[Options], given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        options.model_validate(given)
