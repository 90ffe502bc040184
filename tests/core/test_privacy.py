"""Polygons leave no pixel of what they hide, and hide little more."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeapp.api import Image, View
from edgeapp.core.privacy import Polygon, blacked_out, touched

Point = tuple[float, float]

WHOLE = View()
SQUARE: Polygon = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
TINY = 1e-6  # pixels: what rounding may decide either way

fractions = st.floats(0, 1) | st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0])
points = st.tuples(fractions, fractions)
polygons = st.lists(points, min_size=3, max_size=6).map(tuple)
sizes = st.tuples(st.integers(1, 11), st.integers(1, 11))
views = st.just(WHOLE) | st.builds(
    View, st.floats(-1, 0.9), st.floats(-1, 0.9), st.floats(0.1, 3), st.floats(0.1, 3)
)


def white(size: tuple[int, int], view: View = WHOLE) -> Image:
    return Image(np.full((size[1], size[0], 3), 255, np.uint8), view)


def black_in(image: Image) -> set[tuple[int, int]]:
    """The black pixels, as (column, row)."""
    rows, columns = np.nonzero((image.pixels == 0).all(axis=-1))
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def near(polygon: Polygon, size: tuple[int, int], view: View, reach: float) -> set[tuple[int, int]]:
    """The pixels whose square, made larger by `reach` on each side, a polygon touches.

    Pixel by pixel: an edge runs through it, or its middle lies inside.
    """
    corners = [
        ((x - view.left) / view.width * size[0], (y - view.top) / view.height * size[1])
        for x, y in polygon
    ]
    edges = [*pairwise(corners), (corners[-1], corners[0])]
    return {
        (column, row)
        for column, row in product(range(size[0]), range(size[1]))
        if any(runs_through(*edge, column, row, reach) for edge in edges)
        or inside((column + 0.5, row + 0.5), edges)
    }


def runs_through(a: Point, b: Point, column: int, row: int, reach: float) -> bool:
    """Whether a segment has a point in a square (Liang and Barsky)."""
    begin, end = 0.0, 1.0
    for axis, low in ((0, column), (1, row)):
        start, way = a[axis], b[axis] - a[axis]
        least, most = low - reach - start, low + 1 + reach - start
        if way == 0:
            if least > 0 or most < 0:
                return False
            continue
        first, last = sorted((least / way, most / way))
        begin, end = max(begin, first), min(end, last)
    return begin <= end


def inside(point: Point, edges: list[tuple[Point, Point]]) -> bool:
    """Whether a ray to the right crosses an odd number of edges."""
    x, y = point
    return (
        sum(
            (a[1] > y) != (b[1] > y) and x < a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1])
            for a, b in edges
        )
        % 2
        == 1
    )


@settings(max_examples=60, deadline=None)
@given(polygon=polygons, size=sizes, view=views)
@example(polygon=SQUARE, size=(8, 8), view=WHOLE)
@example(polygon=((0.0, 0.5), (1.0, 0.5), (1.0, 0.5)), size=(5, 4), view=WHOLE)  # a line
def test_every_pixel_touched_is_black_and_none_two_pixels_away(
    polygon: Polygon, size: tuple[int, int], view: View
) -> None:
    black = black_in(blacked_out(white(size, view), [polygon]))
    assert near(polygon, size, view, -TINY) <= black
    assert black <= near(polygon, size, view, 1 + TINY)


def test_the_whole_picture_can_be_black() -> None:
    everything: Polygon = ((0, 0), (1, 0), (1, 1), (0, 1))
    assert not blacked_out(white((7, 5)), [everything]).pixels.any()


def test_what_two_polygons_share_is_black_too() -> None:
    """Each is filled by itself: together their common part would count as outside."""
    other: Polygon = tuple((x + 0.125, y + 0.125) for x, y in SQUARE)
    both = black_in(blacked_out(white((16, 16)), [SQUARE, other]))
    assert both == black_in(blacked_out(white((16, 16)), [SQUARE])) | black_in(
        blacked_out(white((16, 16)), [other])
    )


def test_a_picture_that_shows_nothing_of_them_is_itself() -> None:
    image = white((10, 10), View(0.9, 0.9, 0.1, 0.1))
    assert blacked_out(image, [SQUARE]) is image
    assert blacked_out(image, []) is image


def test_the_picture_that_came_is_not_touched() -> None:
    image = white((8, 8))
    blacked_out(image, [SQUARE])
    assert image.pixels.all()


def test_grey_pictures_are_blacked_out_too() -> None:
    image = Image(np.full((8, 8), 255, np.uint8))
    assert not blacked_out(image, [SQUARE]).pixels[1:7, 1:7].any()


@pytest.mark.parametrize("zoom", [1e-3, 1e-6])
def test_a_view_of_a_speck_inside_is_all_black(zoom: float) -> None:
    """Corners far outside the picture are no trouble."""
    image = white((9, 7), View(0.5, 0.5, zoom, zoom))
    assert not blacked_out(image, [SQUARE]).pixels.any()


def test_equal_rows_are_one_block() -> None:
    """So a rectangle costs as little as it can, for each picture."""
    assert touched(SQUARE, (640, 360), WHOLE) == ((88, 272, 158, 482),)
