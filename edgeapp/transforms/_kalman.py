"""Where things are expected: a Kalman filter of constant velocity for many boxes at once.

The noise grows with the size of the thing, as in SORT and its successors, and with time: their
constants are for each frame of a video of 30 a second, here they are for each second, so that
uneven rates and left-out frames make no difference.

The four numbers of a box (centre x, y, width, height) move independently with the same noise, so
that one covariance of position and speed, (p, c, q), serves all four.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FRAMES_A_SECOND = 30
_SEEN = (1 / 20) ** 2
"""Variance of a measured side, in squares of the thing's size; as in ByteTrack's filter."""
_DRIFT = _FRAMES_A_SECOND * (1 / 20) ** 2
"""By how much the variance of position grows in a second, beside what speed makes of it."""
_PUSH = _FRAMES_A_SECOND * (_FRAMES_A_SECOND / 160) ** 2
"""By how much the variance of speed (sizes per second) grows in a second."""
_FIRST = (2 / 20) ** 2, 0.0, (10 * _FRAMES_A_SECOND / 160) ** 2
"""The covariance of what was seen once."""
_LEAST = 1e-6
"""No side gets shorter."""


@dataclass(slots=True)
class Motion:
    """What is known of where n things are and how they move."""

    at: Floats
    """(n, 4): centre x, centre y, width, height, all in one unit of length."""
    speed: Floats
    """(n, 4): the same per second."""
    covariance: Floats
    """(n, 3): of position, of position and speed, of speed."""

    @classmethod
    def seen(cls, boxes: Floats) -> "Motion":
        """Things that were seen for the first time; `boxes` as in `at`."""
        size = boxes[:, 2:].max(axis=1, initial=_LEAST)[:, None]
        return Motion(boxes.copy(), np.zeros_like(boxes), size**2 * np.array(_FIRST))

    def predict(self, seconds: float) -> None:
        """Let time pass."""
        self.at += self.speed * seconds
        np.maximum(self.at[:, 2:], _LEAST, out=self.at[:, 2:])
        square = self.at[:, 2:].max(axis=1, initial=_LEAST) ** 2
        p, c, q = self.covariance.T
        p += (2 * c + q * seconds) * seconds + square * (_DRIFT + _PUSH * seconds**2 / 3) * seconds
        c += q * seconds + square * _PUSH * seconds**2 / 2
        q += square * _PUSH * seconds

    def correct(self, which: NDArray[np.int64], boxes: Floats) -> None:
        """See some of them again."""
        square = boxes[:, 2:].max(axis=1, initial=_LEAST) ** 2
        p, c, q = self.covariance[which].T
        spread = p + square * _SEEN
        off = boxes - self.at[which]
        self.at[which] += (p / spread)[:, None] * off
        self.speed[which] += (c / spread)[:, None] * off
        left = 1 - p / spread
        self.covariance[which] = np.stack([p * left, c * left, q - c * c / spread], axis=1)

    def pick(self, which: NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    def with_more(self, more: Self) -> Self:
        """These and others behind them."""
        return type(self)(
            *(
                np.concatenate([getattr(self, field.name), getattr(more, field.name)])
                for field in fields(self)
            )
        )
