"""Blacking out parts of pictures for privacy: what is within a polygon leaves no pixel behind.

Numpy only. The runtime does the same to what it taps and records upstream of the stage that masks.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.payload import Image, View

Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) as fractions 0..1 of the source picture, in order; the last joins the first."""


class Block(NamedTuple):
    """A rectangle of pixels: rows `top` up to `bottom`, columns `left` up to `right`."""

    top: int
    bottom: int
    left: int
    right: int


def blacked_out(image: Image, polygons: Sequence[Polygon]) -> Image:
    """The picture with every polygon black; itself where it shows nothing of them.

    Polygons are fractions of the *source* picture; the image's view says where they lie in it.
    Black is every pixel whose area a polygon touches, and one more around it, since a picture made
    smaller mixes what falls together at the edge. One made larger spreads it further: mask first.
    Any thread; no memory but a cache of shapes.
    """
    blocks = [b for polygon in polygons for b in touched(polygon, image.size, image.view)]
    if not blocks:
        return image
    pixels = image.pixels.copy()
    for top, bottom, left, right in blocks:
        pixels[top:bottom, left:right] = 0
    return Image(pixels, image.view)


@lru_cache(maxsize=64)
def touched(polygon: Polygon, size: tuple[int, int], view: View) -> tuple[Block, ...]:
    """The pixels that a polygon touches, and one more around them, as rectangles.

    `size`: width and height of the picture in pixels. Exact: a pixel is touched when an edge runs
    through its square, closed on all sides, or when its middle lies inside (even-odd rule).
    """
    width, height = size
    x, y = np.array(polygon, np.float64).T
    x = (x - view.left) / view.width * width
    y = (y - view.top) / view.height * height
    # From one pixel outside on: what is touched there reaches in with its margin.
    top, bottom = max(-1, floor(y.min()) - 2), min(height + 1, ceil(y.max()) + 2)
    if top >= bottom or x.max() < -1 or x.min() > width + 1:
        return ()
    rows, columns = bottom - top, width + 2
    edges = np.zeros((rows, columns + 1), np.int32)  # +1 where a stretch begins, -1 behind it
    inside = np.zeros((rows, columns + 1), np.int32)  # 1 from each crossing on
    x, y = x + 1, y - top
    for edge in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        _mark_edge(edge, edges)
        _mark_crossings(edge, inside)
    mask = (edges.cumsum(axis=1) > 0) | (inside.cumsum(axis=1) % 2 == 1)
    mask = _grown(mask[:, :columns])[:, 1:-1]
    first = max(0, top)
    return tuple(_blocks(mask[first - top : height - top], first))


def _mark_edge(edge: tuple[float, ...], marks: NDArray[np.int32]) -> None:
    """The stretch of each row of pixels through which an edge runs."""
    rows, columns = marks.shape
    x0, y0, x1, y1 = edge if edge[1] <= edge[3] else (*edge[2:], *edge[:2])
    row = np.arange(max(0, ceil(y0) - 1), min(rows, floor(y1) + 1))
    if y1 > y0:
        begin, end = (np.clip((row + step - y0) / (y1 - y0), 0, 1) for step in (0, 1))
        ends = x0 + (x1 - x0) * begin, x0 + (x1 - x0) * end
    else:
        ends = np.full(len(row), x0), np.full(len(row), x1)
    low, high = np.minimum(*ends), np.maximum(*ends)
    seen = (high >= 0) & (low <= columns - 1)
    row, low, high = row[seen], low[seen], high[seen]
    # Closed squares: an edge on the line between two pixels touches both.
    np.add.at(marks, (row, np.clip(np.ceil(low) - 1, 0, columns - 1).astype(np.intp)), 1)
    np.add.at(marks, (row, np.clip(np.floor(high) + 1, 0, columns - 1).astype(np.intp)), -1)


def _mark_crossings(edge: tuple[float, ...], marks: NDArray[np.int32]) -> None:
    """Where an edge crosses the middle of each row: the first pixel whose middle lies behind."""
    rows, columns = marks.shape
    x0, y0, x1, y1 = edge if edge[1] <= edge[3] else (*edge[2:], *edge[:2])
    row = np.arange(max(0, ceil(y0 - 0.5)), min(rows, ceil(y1 - 0.5)))
    if not len(row):
        return
    x = x0 + (x1 - x0) * (row + 0.5 - y0) / (y1 - y0)
    np.add.at(marks, (row, np.clip(np.ceil(x - 0.5), 0, columns - 1).astype(np.intp)), 1)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With every neighbour of a pixel that is set, the diagonal ones too."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown


def _blocks(mask: NDArray[np.bool_], first: int) -> Iterator[Block]:
    """A mask as rectangles; equal rows go together. `first`: the number of its first row."""
    change = np.flatnonzero((mask[1:] != mask[:-1]).any(axis=1)) + 1
    starts = [0, *change.tolist(), len(mask)]
    for top, bottom in pairwise(starts):
        if top == bottom:
            continue
        row: NDArray[Any] = np.diff(mask[top].astype(np.int8), prepend=0, append=0)
        ends = zip(np.flatnonzero(row == 1), np.flatnonzero(row == -1), strict=True)
        for left, right in ends:
            yield Block(first + top, first + bottom, int(left), int(right))
