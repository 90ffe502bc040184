"""Learning a device's heat by loading it in steps. What makes the load and reads is passed in."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import nan

from edgeapp.watchdog.fit import Fit, Sample, fit_prior
from edgeapp.watchdog.limits import Prior
from edgeapp.watchdog.tick import Reading, SensorReading

SAFE_K = 5.0
"""The load ends that far below the trip."""
SHORTEST_S = 240.0
"""Less does not show how slowly a board warms up."""
_ALONE, _ALL = 1, -1
_STEPS = ((0.15, 0), (0.25, _ALONE), (0.35, _ALL), (0.25, 0))
"""Shares of the time, and busy cores: all, where it says so."""
_LONGEST_LOST = 15
"""Ticks in a row without a temperature, under load."""


class Ended(StrEnum):
    """Why the load ended before its time."""

    NOT = ""
    HOT = "hot"
    UNDERVOLTAGE = "undervoltage"
    BLIND = "blind"
    """The sensor does not answer any more."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done at a moment."""

    busy: int
    """Cores that we keep busy."""
    die_c: float | None


class Calibration:
    """A load in steps, and what the device said to it; `tick` once a second. One thread.

    `load` is told how many cores to keep busy, at each change.
    """

    def __init__(
        self,
        load: Callable[[int], None],
        *,
        cores: int,
        trip_c: float,
        for_s: float,
        sensor: str,
    ) -> None:
        self.ended = Ended.NOT
        self.sensor = sensor
        self.samples: list[Sample] = []
        self._load = load
        self._cores = cores
        self._hottest_c = trip_c - SAFE_K
        self._for_s = for_s
        self._busy = 0
        self._lost = 0

    def tick(self, t_s: float, reading: Reading) -> Step | None:
        """Note what was read, and set the load; None: it is over, and nothing is loaded any more."""
        told = next((one for one in reading.sensors if one.name == self.sensor), None)
        die_c = None if told is None or told.problem else told.value_c
        cores = nan if reading.busy_cores is None else reading.busy_cores
        self.samples.append(Sample(t_s, die_c, cores * (reading.clock_ratio or 1.0)))
        self._watch(reading, die_c)
        if t_s >= self._for_s or self.ended is Ended.BLIND:
            self._set(0)
            return None
        self._set(0 if self.ended else self._planned(t_s))
        return Step(self._busy, die_c)

    def fit(self, base: Prior) -> Fit:
        """What was learned.

        Raises:
            FitError: too little; a sentence.
        """
        return fit_prior(self.samples, base)

    def _watch(self, reading: Reading, die_c: float | None) -> None:
        self._lost = 0 if die_c is not None else self._lost + 1
        if self.ended:
            return
        if hottest(reading) >= self._hottest_c:
            self.ended = Ended.HOT
        elif reading.undervoltage:
            self.ended = Ended.UNDERVOLTAGE
        elif self._lost >= _LONGEST_LOST:
            self.ended = Ended.BLIND

    def _planned(self, t_s: float) -> int:
        end_s = 0.0
        for share, busy in _STEPS:
            end_s += share * self._for_s
            if t_s < end_s:
                return self._cores if busy == _ALL else busy
        return 0

    def _set(self, busy: int) -> None:
        if busy != self._busy:
            self._load(busy)
            self._busy = busy


def die_sensor(reading: Reading) -> SensorReading | None:
    """The hottest sensor of the die; None: there is none that can be read."""
    told = [one for one in reading.sensors if one.kind == "die" and one.value_c is not None]
    return max(told, key=lambda one: one.value_c or 0.0, default=None)


def hottest(reading: Reading) -> float:
    """Of all sensors of the die that say something; absolute zero where none does."""
    return max(
        (one.value_c for one in reading.sensors if one.kind == "die" and one.value_c is not None),
        default=-273.15,
    )
