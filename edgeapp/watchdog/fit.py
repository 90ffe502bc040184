"""A prior from what was recorded: for `edgeapp calibrate` and `edgeapp thermal fit`.

For given time constants the die temperature is linear in the other four unknowns (where the board
began, where it settles when idle, what a core adds to the board and to the die), so that these come
from least squares; the two time constants are found by golden-section search (Kiefer, Proc. Amer.
Math. Soc. 4, 1953). Outliers are weighed down (Huber, Ann. Math. Statist. 35, 1964).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import exp, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.watchdog.limits import Prior

LEAST_SAMPLES = 60
LEAST_S = 180.0

_TAUS_S = (20.0, 3600.0)
_DIE_TAUS_S = (0.5, 20.0)
_LEAST_STEP_CORES = 0.3
_WORST_ERROR = 0.3
"""Standard error of a gain over the gain: above, it is not known."""
_HUBER = 1.5
_ROUNDS = 3
_STEPS = 14
_GOLDEN = (sqrt(5) - 1) / 2
_PLAUSIBLE_C = (-40.0, 150.0)
_MOST_CORES = 1024.0

_Array = NDArray[np.float64]


class FitError(ValueError):
    """The samples do not tell what is asked; a sentence that says why, and what to do."""


class Sample(NamedTuple):
    """One tick of a recording."""

    t_s: float
    die_c: float | None
    cores: float
    """Busy cores since the sample before, times their clock over the greatest."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found."""

    prior: Prior
    residual_c: float
    """Root mean square of what remains unexplained: the sensor's noise, and what two nodes are not."""
    gain_error: float
    """Standard error of the board's gain, over the gain."""
    samples: int
    skipped: int
    """Samples without a usable temperature, load or time."""


def fit_prior(samples: Iterable[Sample], base: Prior, *, ambient_c: float | None = None) -> Fit:
    """Fit a prior to a recording that holds at least one lasting change of load.

    Args:
        samples: In order of time; what cannot be used is skipped and counted.
        base: Kept for what cannot be seen: power, trip, and the share of the surroundings.
        ambient_c: Of the room while it was recorded; without it the temperature that idles are
            measured from is guessed so that `idle_k` stays what it is in `base`.

    Raises:
        FitError: too few samples, too little change of load, or no answer of the temperature to it.
    """
    usable, skipped = _usable(samples)
    times = np.array([sample.t_s for sample in usable])
    die = np.array([sample.die_c for sample in usable], dtype=np.float64)
    cores = np.array([sample.cores for sample in usable])
    _check_enough(times, cores)
    steps = np.diff(times, prepend=times[0])
    search = _Search(steps, die, cores)
    tau, die_tau = search.best()
    found, errors, residual = search.solve(tau, die_tau)
    _, offset, gain, die_gain = found.tolist()
    if gain <= 0 or errors[2] > _WORST_ERROR * gain:
        raise FitError(
            "the temperature does not follow the load in this recording: is it the sensor of the "
            "die, and was the load on all the time that was given?"
        )
    if tau > 3 * (times[-1] - times[0]):
        raise FitError(
            f"the recording of {times[-1] - times[0]:.0f} s is too short to see how slowly this "
            "device warms up: record at least twice as long"
        )
    ambient = offset - base.idle_k if ambient_c is None else ambient_c
    prior = replace(
        base,
        idle_k=offset - ambient,
        ambient_c=ambient,
        board_k_per_core=gain,
        board_tau_s=tau,
        die_k_per_core=max(die_gain, 0.05),
        die_tau_s=die_tau,
    )
    return Fit(prior, residual, float(errors[2] / gain), len(usable), skipped)


def _usable(samples: Iterable[Sample]) -> tuple[list[Sample], int]:
    usable: list[Sample] = []
    skipped = 0
    for sample in samples:
        t_s, die_c, cores = sample
        good = (
            isfinite(t_s)
            and (not usable or t_s > usable[-1].t_s)
            and die_c is not None
            and _PLAUSIBLE_C[0] < die_c < _PLAUSIBLE_C[1]
            and 0 <= cores <= _MOST_CORES
        )
        if good:
            usable.append(sample)
        else:
            skipped += 1
    return usable, skipped


def _check_enough(times: _Array, cores: _Array) -> None:
    lasts = float(times[-1] - times[0]) if len(times) else 0.0
    if len(times) < LEAST_SAMPLES or lasts < LEAST_S:
        raise FitError(
            f"{len(times)} usable samples over {lasts:.0f} s are too few to learn from: record at "
            f"least {LEAST_SAMPLES} over {LEAST_S:.0f} s"
        )
    low, high = np.quantile(cores, (0.05, 0.95))
    if high - low < _LEAST_STEP_CORES:
        raise FitError(
            f"the load hardly changes in this recording ({low:.2f} to {high:.2f} cores): what a "
            "core heats cannot be seen; record some minutes idle and some under full load"
        )


class _Search:
    """Least squares for every pair of time constants, and the best pair."""

    def __init__(self, steps: _Array, die: _Array, cores: _Array) -> None:
        self._steps = steps
        self._die = die
        self._cores = cores
        self._weights = np.ones_like(die)

    def best(self) -> tuple[float, float]:
        tau, die_tau = 300.0, 5.0
        for _ in range(_ROUNDS):
            tau = _golden(partial(self._cost, die_tau=die_tau), _TAUS_S)
            die_tau = _golden(partial(self._cost, tau), _DIE_TAUS_S)
            self._weigh(tau, die_tau)
        return tau, die_tau

    def solve(self, tau: float, die_tau: float) -> tuple[_Array, _Array, float]:
        """Board at the start, offset, gain, die gain; their standard errors; the residual."""
        columns = self._columns(tau, die_tau)
        weighted = columns * self._weights[:, None]
        found = np.linalg.lstsq(weighted, self._die * self._weights, rcond=None)[0]
        off = (self._die - columns @ found) * self._weights
        variance = float(off @ off) / max(1, len(off) - len(found) - 2)
        errors = np.sqrt(np.maximum(0.0, np.diag(np.linalg.pinv(weighted.T @ weighted)) * variance))
        return np.asarray(found), np.asarray(errors), sqrt(variance)

    def _cost(self, tau: float, die_tau: float) -> float:
        return self.solve(tau, die_tau)[2]

    def _weigh(self, tau: float, die_tau: float) -> None:
        columns = self._columns(tau, die_tau)
        found, _, _ = self.solve(tau, die_tau)
        off = np.abs(self._die - columns @ found)
        most = _HUBER * max(float(np.median(off)) / 0.6745, 0.05)
        self._weights = np.sqrt(np.minimum(1.0, most / np.maximum(off, 1e-9)))

    def _columns(self, tau: float, die_tau: float) -> _Array:
        gone = np.exp(-np.cumsum(self._steps) / tau)
        slow = _filtered(self._steps, self._cores, tau, 0.0)
        fast = _filtered(self._steps, self._cores, die_tau, float(self._cores[0]))
        return np.column_stack((gone, 1 - gone, slow, fast))


def _filtered(steps: _Array, cores: _Array, tau: float, start: float) -> _Array:
    value, out = start, []
    for step, load in zip(steps.tolist(), cores.tolist(), strict=True):
        value += (load - value) * (1 - exp(-step / tau))
        out.append(value)
    return np.array(out)


def _golden(cost: Callable[[float], float], bounds: tuple[float, float]) -> float:
    """Where the cost is least, on a logarithmic scale."""
    low, high = log(bounds[0]), log(bounds[1])
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(exp(left)), cost(exp(right))
    for _ in range(_STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(exp(right))
    return exp((low + high) / 2)
