"""What a scene looks like while nothing happens in it, learned pixel by pixel.

A running mean and a running spread for each pixel (Wren et al. 1997, "Pfinder"), both limited in
how far one picture can pull them, as Huber's estimators are (Huber 1964): a deviation counts as the
limit at most. So a thing that passes leaves hardly a trace, one that stays becomes part of the
scene, and what flickers all the time, a tree or a screen, raises its own limit until it is quiet.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.opencv import cv2

_SPREADS = 4.0
"""A deviation of more than so many times the usual one is motion."""
_EVERYWHERE = 0.6
"""Where more of the picture than this share deviates, the light changed, or the camera moved."""
_DARK = 8.0
"""Added to grey levels before they are divided, so that dark pixels weigh little in the gain."""
_GRID = 4
"""The gain is the median over every fourth pixel of every fourth row."""

_NEAR = np.ones((3, 3), np.uint8)

Grey = NDArray[np.uint8]
Levels = NDArray[np.float32]


class Background:
    """The learned scene. For pictures of one size and one thread."""

    def __init__(self, grey: Grey, *, warm_up_s: float, learn_s: float, contrast: float) -> None:
        """Begin with a picture.

        `warm_up_s`: for how long at first each picture weighs as much as those before it.
        `learn_s`: about how long something stays until it belongs to the scene, from then on.
        `contrast`: deviations of so many grey levels or fewer are never motion.
        """
        self._mean: Levels = grey.astype(np.float32)
        self._spread: Levels = np.full(grey.shape, contrast / _SPREADS, np.float32)
        self._contrast = np.float32(contrast)
        self._learn_s = learn_s
        self._warm_up_s = warm_up_s
        self._count = 1

    def remember(self) -> tuple[Levels, Levels, float, int]:
        """The scene, and how well it is known."""
        return self._mean, self._spread, self._warm_up_s, self._count

    def recall(self, memory: tuple[Levels, Levels, float, int]) -> None:
        """Know it again."""
        self._mean, self._spread, self._warm_up_s, self._count = memory

    def tune(self, contrast: float) -> None:
        """Another `contrast`."""
        self._contrast = np.float32(contrast)

    def moving(self, grey: Grey, step_s: float) -> tuple[NDArray[np.uint8], bool]:
        """Where a picture deviates from the scene, 255, else 0; and whether it does everywhere.

        `step_s`: the time since the picture before. A picture that deviates everywhere is the
        scene from then on.
        """
        expected = self._mean * _gain(grey, self._mean)
        deviation = np.subtract(grey, expected, dtype=np.float32)
        size = np.abs(deviation)
        limit = np.maximum(self._spread * _SPREADS, self._contrast)
        moving = np.asarray(cv2.compare(_beyond(grey, expected), limit, cv2.CMP_GT), np.uint8)
        everywhere = np.count_nonzero(size > limit) > _EVERYWHERE * size.size
        self._count += 1
        self._warm_up_s -= step_s
        if everywhere:
            self._mean = grey.astype(np.float32)
            return moving, True
        fresh = 1 / self._count if self._warm_up_s > 0 else 0.0
        np.minimum(size, limit, out=size)
        self._spread += _rate(fresh, step_s / 2 / self._learn_s) * (size - self._spread)
        self._mean = expected
        self._mean += _rate(fresh, step_s / self._learn_s) * np.copysign(size, deviation)
        return _without_specks(moving), False


def _rate(fresh: float, steps: float) -> np.float32:
    return np.float32(max(fresh, 1 - math.exp(-steps)))


def _gain(grey: Grey, mean: Levels) -> np.float32:
    """By how much the whole picture became brighter.

    A change of exposure multiplies all levels, whatever the gamma: (gain x light) ** gamma.
    """
    sample: NDArray[Any] = (grey[::_GRID, ::_GRID] + np.float32(_DARK)) / (
        mean[::_GRID, ::_GRID] + np.float32(_DARK)
    )
    middle = sample.size // 2
    return np.float32(np.partition(sample, middle, axis=None)[middle])


def _beyond(grey: Grey, expected: Levels) -> Levels:
    """By how much a pixel is lighter or darker than everything expected next to it, too.

    An edge that shakes by a pixel is no motion (Elgammal et al. 2000, "Non-parametric Model for
    Background Subtraction": false detections by small movements of the scene).
    """
    levels = grey.astype(np.float32)
    near = np.minimum(np.maximum(levels, cv2.erode(expected, _NEAR)), cv2.dilate(expected, _NEAR))
    return np.asarray(cv2.absdiff(levels, near), np.float32)


def _without_specks(moving: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without what is a pixel or a hair: of each pixel and its eight neighbours the majority."""
    return np.asarray(cv2.medianBlur(moving, 3), np.uint8)
