"""Forecasts are held against what came: a model that errs more than it thinks learns to doubt itself.

No device is made of two nodes, so what a filter computes as its own uncertainty is too small in one
place and too large in another. Forecasts made some time ago are carried on under the load that
really was and compared with what was measured; the stated uncertainty is stretched so that a given
share of them holds (adaptive conformal inference: Gibbs and Candes, NeurIPS 2021).
"""

from dataclasses import dataclass
from math import exp, log, sqrt

HORIZONS_S = (30.0, 300.0)
_NEAR_S, _FAR_S = HORIZONS_S
_WIDTH = log(_FAR_S / _NEAR_S)

_EVERY_S = (10.0, 30.0)
"""How often a forecast is set aside for later, for each horizon."""
_SIGMAS = 2.0
_MISSES = 0.06
"""Share of forecasts that may be off by more than `_SIGMAS`."""
_RATE = 0.15
_FIRST = 1.3
_LEAST, _MOST = 1.0, 2.5


@dataclass(frozen=True, slots=True)
class Line:
    """A forecast as a function of the load u: mean0 + mean1 * u, variance a + 2 b u + c u²."""

    mean0: float
    mean1: float
    a: float
    b: float
    c: float

    def at(self, cores: float) -> tuple[float, float]:
        """Mean and standard deviation for a load."""
        variance = self.a + (2 * self.b + self.c * cores) * cores
        return self.mean0 + self.mean1 * cores, sqrt(max(0.0, variance))


@dataclass(slots=True)
class State:
    """What a forecast starts from."""

    board_c: float
    filtered_cores: float
    offset_c: float
    trend_c_per_s: float
    gain: float
    die_gain: float
    tau_s: float
    die_tau_s: float

    def advance(self, dt: float, cores: float) -> None:
        """Let time pass under a load."""
        self.offset_c += self.trend_c_per_s * dt
        aim = self.offset_c + self.gain * cores
        self.board_c += (aim - self.board_c) * (1 - exp(-dt / self.tau_s))
        self.filtered_cores += (cores - self.filtered_cores) * (1 - exp(-dt / self.die_tau_s))

    @property
    def die_c(self) -> float:
        """Temperature of the die."""
        return self.board_c + self.die_gain * self.filtered_cores


@dataclass(slots=True)
class _Probe:
    """A forecast on its way to being checked."""

    state: State
    line: Line
    age_s: float = 0.0
    core_s: float = 0.0


class Hindsight:
    """How much the stated uncertainty must be stretched, at the horizons that matter."""

    def __init__(self) -> None:
        self._logs = [log(_FIRST)] * len(HORIZONS_S)
        self._probes: tuple[list[_Probe], ...] = tuple([] for _ in HORIZONS_S)
        self._since_s = list(_EVERY_S)

    def stretch(self, horizon_s: float) -> float:
        """Factor for the standard deviation at a horizon."""
        low, high = self._logs
        if horizon_s <= _NEAR_S:
            return exp(low)
        share = log(horizon_s / _NEAR_S) / _WIDTH
        return exp(low + (high - low) * min(1.0, share))

    def forget(self) -> None:
        """Something changed that could not be foreseen: forecasts under way say nothing."""
        for probes in self._probes:
            probes.clear()

    def advance(self, dt: float, cores: float) -> None:
        """Let time pass for the forecasts under way."""
        for i, probes in enumerate(self._probes):
            self._since_s[i] += dt
            for probe in probes:
                probe.state.advance(dt, cores)
                probe.age_s += dt
                probe.core_s += dt * cores

    def check(self, die_c: float) -> None:
        """Settle the forecasts that are due: this is what came."""
        for i, probes in enumerate(self._probes):
            while probes and probes[0].age_s >= HORIZONS_S[i]:
                probe = probes.pop(0)
                _, sigma = probe.line.at(probe.core_s / probe.age_s)
                off = abs(die_c - probe.state.die_c)
                missed = off > _SIGMAS * sigma * exp(self._logs[i])
                stretched = self._logs[i] + _RATE * (missed - _MISSES)
                self._logs[i] = min(max(stretched, log(_LEAST)), log(_MOST))

    def due(self) -> tuple[int, ...]:
        """Horizons, by index, of which a new forecast shall be set aside now."""
        return tuple(i for i, since_s in enumerate(self._since_s) if since_s >= _EVERY_S[i])

    def set_aside(self, index: int, state: State, line: Line) -> None:
        """Keep a forecast, made with its own, unstretched uncertainty."""
        self._since_s[index] = 0.0
        self._probes[index].append(_Probe(state, line))
