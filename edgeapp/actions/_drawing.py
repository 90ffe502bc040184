"""Boxes and labels on a copy of a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Detections, Image, Tracks
from edgeapp.core.opencv import cv2

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PALETTE = (
    (0, 158, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
"""Colours (BGR) that colour-blind people can tell apart: Okabe and Ito 2008, without black."""
_BRIGHT = 140.0


def with_boxes(image: Image, found: Detections) -> NDArray[np.uint8]:
    """A copy of the picture, (height, width, 3), with the boxes that lie in it, best on top.

    Lines and letters grow with the picture. A label stands above its box, or inside at the top
    where there is no room above.
    """
    pixels = image.pixels
    canvas: Any = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels.copy()  # noqa: PLR2004 - grey
    width, height = image.size
    line = max(1, round(min(width, height) / 250))
    labels = []
    for n in reversed(range(len(found))):
        left, top, right, bottom = _in_pixels(found.xyxy[n], image)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            continue
        kind = int(found.classes[n])
        color = _PALETTE[kind % len(_PALETTE)]
        cv2.rectangle(canvas, (left, top), (right, bottom), color, line)
        name = found.labels[kind]
        if isinstance(found, Tracks):
            name += f" #{found.ids[n]}"
        labels.append((f"{name} {found.scores[n]:.0%}", (left, top), color))
    for text, corner, color in labels:  # last, so that no line crosses the letters
        _label(canvas, text, corner, color, line)
    return np.asarray(canvas, np.uint8)


def _in_pixels(xyxy: NDArray[np.float32], image: Image) -> tuple[int, int, int, int]:
    """A box in fractions of the source picture, in pixels of an image that shows some of it."""
    view, (width, height) = image.view, image.size
    x = (xyxy[[0, 2]] - view.left) / view.width * width
    y = (xyxy[[1, 3]] - view.top) / view.height * height
    return round(float(x[0])), round(float(y[0])), round(float(x[1])) - 1, round(float(y[1])) - 1


def _label(
    canvas: Any, text: str, corner: tuple[int, int], color: tuple[int, int, int], line: int
) -> None:
    shown = text.encode("ascii", "replace").decode()  # OpenCV's letters are ASCII
    height, width = canvas.shape[:2]
    size = max(0.4, min(width, height) / 900)
    (text_width, text_height), below = cv2.getTextSize(shown, _FONT, size, 1)
    margin = line + 1
    left, top = corner
    x = max(0, min(left, width - text_width - 2 * margin))
    y = top - text_height - below - 2 * margin
    if y < 0:
        y = max(0, top)
    opposite = x + text_width + 2 * margin, y + text_height + below + 2 * margin
    cv2.rectangle(canvas, (x, y), opposite, color, cv2.FILLED)
    blue, green, red = color
    bright = 0.114 * blue + 0.587 * green + 0.299 * red > _BRIGHT  # luma of ITU-R BT.601
    ink = (0, 0, 0) if bright else (255, 255, 255)
    at = x + margin, y + margin + text_height
    cv2.putText(canvas, shown, at, _FONT, size, ink, max(1, line // 2), cv2.LINE_AA)
