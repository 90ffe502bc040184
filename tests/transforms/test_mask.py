"""What a mask hides leaves no trace, wherever in the pipeline it stands."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Image, View
from edgeapp.core.privacy import Polygon, blacked_out
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.crop import Crop
from edgeapp.transforms.letterbox import Letterbox
from edgeapp.transforms.mask import Mask
from edgeapp.transforms.resize import Resize

SIZE = (97, 61)
DOOR = [[0.2, 0.1], [0.55, 0.0], [0.6, 0.7], [0.3, 0.9]]
CORNER = [[0.9, 0.95], [1.0, 0.8], [1.0, 1.0]]


def through(stage: Any, options: dict[str, Any], image: Image) -> Image:
    """What a stage makes of a picture."""
    ran = run_stage(stage, options, packets([image], rate_hz=1))
    [value] = ran.values
    assert isinstance(value, Image)
    return value


def planted(size: tuple[int, int], *regions: list[list[float]]) -> Image:
    """White where a region touches a pixel, in a black picture; found on a grid of samples."""
    columns, rows = size
    fine = 8  # samples on each side of a pixel
    x, y = np.meshgrid(
        (np.arange(columns * fine) + 0.5) / (columns * fine),
        (np.arange(rows * fine) + 0.5) / (rows * fine),
    )
    hit = np.zeros(x.shape, bool)
    for region in regions:
        odd = np.zeros(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(region, [*region[1:], region[0]], strict=True):
            if y0 != y1:
                with np.errstate(over="ignore"):  # of an edge that is nearly level: far away
                    crossing = x0 + (x1 - x0) * (y - y0) / (y1 - y0)
                odd ^= ((y0 > y) != (y1 > y)) & (x < crossing)
        hit |= odd
    pixels = np.asarray(hit.reshape(rows, fine, columns, fine).any(axis=(1, 3)))
    return Image(np.repeat(pixels[..., None] * np.uint8(255), 3, axis=2))


def test_the_planted_picture_shows_what_is_hidden() -> None:
    """Else the tests below would find nothing in any case."""
    assert 0.1 < (planted(SIZE, DOOR, CORNER).pixels > 0).mean() < 0.5


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (None, {}),
        (Resize, {"size": [40, 40]}),
        (Resize, {"size": [33, 20]}),
        (Resize, {"size": [96, 60]}),
        (Resize, {"size": [5, 3]}),
        (Letterbox, {"size": [48, 48], "pad": 0}),
        (Letterbox, {"size": [30, 64], "pad": 0, "placement": "top_left"}),
        (Crop, {"box": [0.25, 0.05, 0.31, 0.52]}),
        (Crop, {"box": [0.83, 0.71, 0.17, 0.29]}),
    ],
)
def test_no_trace_is_left_of_what_was_planted(stage: Any, options: dict[str, Any]) -> None:
    image = planted(SIZE, DOOR, CORNER)
    if stage is not None:
        image = through(stage, options, image)
        assert image.pixels.any()
    hidden = through(Mask, {"regions": {"door": DOOR, "corner": CORNER}}, image)
    assert not hidden.pixels.any()
    assert hidden.view == image.view


@settings(max_examples=25, deadline=None)
@given(
    corners=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    smaller=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_no_trace_is_left_in_smaller_pictures(
    corners: Polygon, size: tuple[int, int], smaller: tuple[int, int]
) -> None:
    """Any triangle, any size: what a shrunk pixel mixes at the edge is black as well."""
    image = planted(size, [list(corner) for corner in corners])
    shrunk = through(Resize, {"size": list(smaller)}, image)
    assert not blacked_out(shrunk, [tuple(corners)]).pixels.any()


def test_the_rest_of_the_picture_stays() -> None:
    white = Image(np.full((60, 100, 3), 255, np.uint8))
    hidden = through(Mask, {"regions": {"left": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}, white)
    assert not hidden.pixels[:, :50].any()
    assert hidden.pixels[:, 52:].all()


def test_regions_are_parts_of_the_source_picture() -> None:
    """The right half of a region that the view shows half of."""
    seen = Image(np.full((10, 10, 3), 255, np.uint8), View(0.5, 0, 0.5, 1))
    region = [[0.25, 0], [0.75, 0], [0.75, 1], [0.25, 1]]
    hidden = through(Mask, {"regions": {"middle": region}}, seen)
    assert not hidden.pixels[:, :5].any()
    assert hidden.pixels[:, 7:].all()


@pytest.mark.parametrize(
    ("region", "complaint"),
    [
        ([[0, 0], [1, 1]], r"(?s)regions\.door.*at least 3"),
        ([[0, 0], [1.2, 0], [0, 1]], r"(?s)regions\.door.*between 0 and 1"),
        ([[0, 0], [0.5, 0.5], [1, 1]], r"(?s)regions\.door.*on one line"),
        ([[0, 0], [1, 0.9], [1, 0], [0, 1]], r"(?s)regions\.door.*edges cross"),
    ],
)
def test_a_region_that_is_no_polygon_is_refused_by_name(
    region: list[list[float]], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        run_stage(Mask, {"regions": {"door": region}}, [])


def test_a_mask_without_regions_is_refused() -> None:
    with pytest.raises(ValidationError, match="regions"):
        run_stage(Mask, {"regions": {}}, [])
