"""Who uses the cores: everybody else, and ourselves by measurement against the costs."""

import math
from collections.abc import Mapping, Sequence

from edgeapp.watchdog.ladder import CLOSED, StageKey, Tenant
from edgeapp.watchdog.tick import Work

BURST_S = 2.0
"""How fast a neighbour's load is believed when it rises."""
CALM_S = 8.0
"""How fast it is believed when it falls."""
MEAN_S = 200.0
"""Over which the load of others is taken as their usual one."""
PEAK_S = 1800.0
"""In which a peak of others is forgotten."""
RATIO_S = 60.0
"""Over which measured and expected own cores are compared."""
SETTLED_S = 8.0
"""After a change of settings, before own cores are compared again."""
RATIO_RANGE = (0.33, 3.0)
"""How wrong the costs may be."""

_LEAST_CORES = 0.05
"""Expected own cores below which a comparison says nothing."""


class Filtered:
    """A value that follows what is measured, with a time constant for each direction."""

    def __init__(self, rise_s: float, fall_s: float, value: float | None = None) -> None:
        self._rise_s = rise_s
        self._fall_s = fall_s
        self.value = value

    def add(self, measured: float, elapsed_s: float) -> float:
        """Follow a value that holds since `elapsed_s` ago."""
        if self.value is None:
            self.value = measured
        else:
            tau_s = self._rise_s if measured > self.value else self._fall_s
            self.value += (measured - self.value) * -math.expm1(-elapsed_s / tau_s)
        return self.value


class Load:
    """Filters what is told of the load, second by second."""

    def __init__(self) -> None:
        self.ratio = 1.0
        """Own cores as measured over those expected: corrects the costs."""
        self.foreign = 0.0
        """Cores that others use now."""
        self.foreign_mean = 0.0
        """Cores that others use in the long run."""
        self.foreign_peak = 0.0
        """Cores that others used at their worst, of late."""
        self._now = Filtered(BURST_S, CALM_S)
        self._mean = Filtered(MEAN_S, MEAN_S)
        self._ratio = Filtered(RATIO_S, RATIO_S, 1.0)
        self._settled_s = 0.0
        self._actual: tuple[object, ...] = ()

    def observe(
        self,
        elapsed_s: float,
        busy_cores: float | None,
        work: Work,
        tenants: Sequence[Tenant],
        *,
        rates: Mapping[StageKey, float],
        inflation: float,
    ) -> None:
        """Take in what happened in the last `elapsed_s`."""
        if busy_cores is not None:
            others = max(0.0, busy_cores - work.own_cores)
            self.foreign = self._now.add(others, elapsed_s)
            self.foreign_mean = self._mean.add(others, elapsed_s)
            fading = self.foreign_peak * math.exp(-elapsed_s / PEAK_S)
            self.foreign_peak = max(fading, self.foreign)
        actual = (*((stage.actual, stage.opening) for stage in work.stages.values()), work.paused)
        opening = any(stage.opening for stage in work.stages.values())
        settled = actual == self._actual and not opening
        self._actual = actual
        self._settled_s = self._settled_s + elapsed_s if settled else 0.0
        if self._settled_s < SETTLED_S:
            return
        expected = _expected(work, tenants, rates) * inflation
        if expected >= _LEAST_CORES:
            low, high = RATIO_RANGE
            measured = min(high, max(low, work.own_cores / expected))
            self.ratio = self._ratio.add(measured, elapsed_s)


def _expected(work: Work, tenants: Sequence[Tenant], rates: Mapping[StageKey, float]) -> float:
    """Cores that what runs now should use by its costs, at the full clock."""
    total = 0.0
    for tenant in tenants:
        if tenant.name in work.paused:
            continue
        total += tenant.base_cores
        for ladder in tenant.ladders:
            actual = work.stages[ladder.key].actual
            if actual.divisor != CLOSED:
                total += rates[ladder.key] / actual.divisor * ladder.rungs[actual.rung].cpu_s
    return total
