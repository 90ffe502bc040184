"""Where points lie with regard to polygons and lines on the picture."""

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Floats = NDArray[np.float64]


def contains(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    """(n,): whether (n, 2) points lie in a (k, 2) polygon, by the even-odd rule."""
    x, y = points[:, 0, None], points[:, 1, None]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    beside = (y0 > y) != (y1 > y)
    slope = (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    left_of_edge = x < x0 + (y - y0) * slope
    return np.asarray((beside & left_of_edge).sum(axis=1) % 2 == 1)


def turn(begin: Point, end: Point, point: Point) -> float:
    """Above 0 where a point is right of the way from `begin` to `end`, as seen on the picture.

    Divided by the length of that way, it is the distance from the line.
    """
    along = end[0] - begin[0], end[1] - begin[1]
    return along[0] * (point[1] - begin[1]) - along[1] * (point[0] - begin[0])
