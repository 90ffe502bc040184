"""Linear programs of one shape, solved by an interior point method with predictor and corrector.

S. Mehrotra, "On the implementation of a primal-dual interior point method", 1992; with upper
bounds on the variables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOST_ROUNDS = 60
_GAP = 1e-5
_STEP = 0.9995
_SHORTEST = 1e-7


@dataclass(frozen=True, slots=True)
class Solved:
    """Where it ended: nearly optimal, and by how much is for the caller to judge."""

    amounts: Array
    """(blocks, pieces): of each piece, 0 to its length."""
    prices: Array
    """(limits,): what one more unit of each limit would be worth, never below 0."""


def solve(heat: Array, limits: Array, worth: Array, lengths: Array, penalty: Array) -> Solved:
    """Most of `sum(worth * amounts) - penalty @ excess`.

    Such that `heat @ amounts.sum(axis=1) <= limits + excess` and `0 <= amounts <= lengths`.

    Shapes: `heat` (limits, blocks), `worth` and `lengths` (blocks, pieces). Lengths of 0 are
    allowed.
    """
    point = _Point(heat, limits, worth, lengths, penalty)
    for _ in range(_MOST_ROUNDS):
        if point.advance():
            break
    return point.solved(lengths)


class _Point:
    """Where the search is: amounts, excess and room (`z`), room below the lengths (`v`), duals."""

    def __init__(
        self, heat: Array, limits: Array, worth: Array, lengths: Array, penalty: Array
    ) -> None:
        self._heat, self._limits = heat, limits
        self._shape = worth.shape
        self._many, self._rows = worth.size, len(limits)
        self._owner = np.repeat(np.arange(worth.shape[0]), worth.shape[1])
        self._cost = np.concatenate([-worth.ravel(), penalty, np.zeros(self._rows)])
        self._upper = np.maximum(lengths.ravel(), _SHORTEST)
        self._scale = max(1.0, float(np.abs(limits).max()))
        self.z = np.concatenate([self._upper / 2.0, np.full(2 * self._rows, self._scale)])
        self.v = self._upper / 2.0
        self.low = np.full(len(self.z), max(1e-2, float(np.abs(self._cost).max())))
        self.high = self.low[: self._many].copy()
        self.price = np.zeros(self._rows)

    def solved(self, lengths: Array) -> Solved:
        """What it stands for."""
        amounts = np.minimum(self.z[: self._many].reshape(self._shape), lengths)
        return Solved(amounts, np.maximum(0.0, -self.price))

    def advance(self) -> bool:
        """One round; True when there is nothing left to gain."""
        many = self._many
        miss = self._limits - self._times(self.z)
        room = self._upper - self.z[:many] - self.v
        slack = self._cost - self._transposed(self.price) - self.low
        slack[:many] += self.high
        gap = float(self.z @ self.low + self.v @ self.high)
        small = _GAP * (1.0 + abs(float(self._cost @ self.z)))
        if gap < small and np.abs(miss).max() < _GAP * self._scale:
            return True
        inverse, factor = self._factor()

        def step(low_aim: Array, high_aim: Array) -> tuple[Array, ...]:
            # z * d_low + low * dz = low_aim, v * d_high + high * dv = high_aim.
            right = slack - low_aim / self.z
            right[:many] += (high_aim - self.high * room) / self.v
            by = miss + self._times(inverse * right)
            d_price = factor.T @ (factor @ by)
            dz = inverse * (self._transposed(d_price) - right)
            dv = room - dz[:many]
            d_low = (low_aim - self.low * dz) / self.z
            return dz, dv, d_low, (high_aim - self.high * dv) / self.v, d_price

        dz, dv, d_low, d_high, _ = step(-self.z * self.low, -self.v * self.high)
        primal, dual = self._lengths(dz, dv, d_low, d_high)
        after = (self.z + primal * dz) @ (self.low + dual * d_low)
        after += (self.v + primal * dv) @ (self.high + dual * d_high)
        centre = gap / (len(self.z) + many) * (float(after) / gap) ** 3
        dz, dv, d_low, d_high, d_price = step(
            centre - self.z * self.low - dz * d_low, centre - self.v * self.high - dv * d_high
        )
        primal, dual = self._lengths(dz, dv, d_low, d_high)
        primal, dual = min(1.0, _STEP * primal), min(1.0, _STEP * dual)
        self.z, self.v = self.z + primal * dz, self.v + primal * dv
        self.low, self.high = self.low + dual * d_low, self.high + dual * d_high
        self.price = self.price + dual * d_price
        return False

    def _factor(self) -> tuple[Array, Array]:
        """Inverse weights of `z`, and the inverse of the triangle of the normal equations."""
        many, rows, heat = self._many, self._rows, self._heat
        weight = self.low / self.z
        weight[:many] += self.high / self.v
        inverse = 1.0 / weight
        normal = (heat * np.bincount(self._owner, inverse[:many], self._shape[0])) @ heat.T
        normal[np.diag_indices(rows)] += inverse[many : many + rows] + inverse[many + rows :]
        return inverse, np.linalg.inv(np.linalg.cholesky(normal))

    def _times(self, z: Array) -> Array:
        many, rows = self._many, self._rows
        load = np.bincount(self._owner, z[:many], self._shape[0])
        return np.asarray(self._heat @ load - z[many : many + rows] + z[many + rows :])

    def _transposed(self, price: Array) -> Array:
        return np.concatenate([(self._heat.T @ price)[self._owner], -price, price])

    def _lengths(self, dz: Array, dv: Array, d_low: Array, d_high: Array) -> tuple[float, float]:
        primal = min(_longest(self.z, dz), _longest(self.v, dv))
        return primal, min(_longest(self.low, d_low), _longest(self.high, d_high))


def _longest(at: Array, direction: Array) -> float:
    falling = direction < 0
    return min(1.0, float((-at[falling] / direction[falling]).min())) if falling.any() else 1.0
