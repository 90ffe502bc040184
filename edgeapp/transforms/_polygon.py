"""Polygons as options: checked when the pipeline is."""

from itertools import combinations
from typing import Annotated

from pydantic import AfterValidator, Field

from edgeapp.core.privacy import Polygon

Corner = tuple[float, float]

_MOST_CORNERS = 100


def _sound(corners: Polygon) -> Polygon:
    """Refuse what encloses nothing, or has no clear inside."""
    if any(not 0 <= side <= 1 for corner in corners for side in corner):
        raise ValueError("corners are fractions of the picture: x and y lie between 0 and 1")
    if len(set(corners)) != len(corners):
        raise ValueError("every corner is named once; the last one joins the first by itself")
    edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
    if any(_cross(one, other) for one, other in combinations(edges, 2)):
        raise ValueError("its edges cross: name the corners in the order in which they are joined")
    if abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in edges)) < 1e-9:  # noqa: PLR2004 - twice the area
        raise ValueError("the corners lie on one line: they enclose nothing")
    return corners


def _cross(one: tuple[Corner, Corner], other: tuple[Corner, Corner]) -> bool:
    """Whether two edges have a point in common that is within both."""
    sides = [_side(*one, corner) * _side(*one, far) for corner, far in (other, other[::-1])]
    turned = [_side(*other, corner) * _side(*other, far) for corner, far in (one, one[::-1])]
    return min(sides) < 0 and min(turned) < 0


def _side(start: Corner, end: Corner, point: Corner) -> float:
    """Above 0 on one side of a line, below on the other, 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


PolygonOption = Annotated[
    tuple[Corner, ...],
    Field(min_length=3, max_length=_MOST_CORNERS),
    AfterValidator(_sound),
]
"""An option: the corners [x, y] of a polygon in order, as fractions of the source picture."""
