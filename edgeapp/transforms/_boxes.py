"""Boxes as arrays: how much they overlap, and which of them a picture shows."""

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import View

Floats = NDArray[np.float64]


def overlaps(some: NDArray[np.floating], others: NDArray[np.floating]) -> Floats:
    """Intersection over union of (n, 4) with (m, 4) boxes, left, top, right, bottom: (n, m)."""
    a, b = some[:, None, :].astype(np.float64), others[None, :, :].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    union = areas(some)[:, None] + areas(others)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float64)


def areas(xyxy: NDArray[np.floating]) -> Floats:
    """(n,) areas of (n, 4) boxes."""
    return np.asarray((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1), np.float64)


def shown(xyxy: NDArray[np.floating], view: View) -> NDArray[np.bool_]:
    """(n,): whether the middle of each box lies in what a picture shows.

    What lies outside the source picture counts where it left it.
    """
    middle = ((xyxy[:, :2] + xyxy[:, 2:]) / 2).clip(0.0, 1.0)
    first = np.array([view.left, view.top])
    last = first + np.array([view.width, view.height])
    slack = 1e-6  # views are composed of fractions
    return np.asarray(((middle >= first - slack) & (middle <= last + slack)).all(axis=1))
