"""Boxes as arrays: how much they overlap, and which of them a picture shows."""

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import View

Floats = NDArray[np.float64]


def overlaps(some: Floats, others: Floats) -> Floats:
    """Intersection over union of (n, 4) with (m, 4) boxes, left, top, right, bottom: (n, m).

    `others` may be (n, m, 4), a set of its own for each of `some`.
    """
    left, top, right, bottom = some.T[:, :, None]
    left2, top2, right2, bottom2 = np.moveaxis(others, -1, 0)
    wide = np.minimum(right, right2) - np.maximum(left, left2)
    high = np.minimum(bottom, bottom2) - np.maximum(top, top2)
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    union = (right - left) * (bottom - top) + (right2 - left2) * (bottom2 - top2) - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float64)


def shown(xyxy: Floats, view: View) -> NDArray[np.bool_]:
    """(n,): whether the middle of each box lies in what a picture shows.

    What lies outside the source picture counts where it left it.
    """
    middle = ((xyxy[:, :2] + xyxy[:, 2:]) / 2).clip(0.0, 1.0)
    first = np.array([view.left, view.top])
    last = first + np.array([view.width, view.height])
    slack = 1e-6  # views are composed of fractions
    return np.asarray(((middle >= first - slack) & (middle <= last + slack)).all(axis=1))
