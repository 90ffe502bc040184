"""Who uses the cores: everybody else, and ourselves by measurement against the costs."""

import math
from collections import deque
from collections.abc import Mapping, Sequence

from edgeapp.watchdog.bursts import Bursts
from edgeapp.watchdog.ladder import CLOSED, StageKey, Tenant
from edgeapp.watchdog.tick import Work

SPIKE_TICKS = 3
"""Of which the median is taken: what others do for a second is no load."""
CALM_S = 1.0
"""How fast a lower load of others is believed; a higher one is at once."""
RATIO_S = 60.0
"""Over which measured and expected own cores are compared."""
SETTLED_S = 8.0
"""After a change of settings, before own cores are compared again."""
RATIO_RANGE = (0.33, 3.0)
"""How wrong the costs may be."""

_LEAST_CORES = 0.05
"""Expected own cores below which a comparison says nothing."""


class Filtered:
    """A value that follows what is measured, with a time constant."""

    def __init__(self, tau_s: float, value: float | None = None) -> None:
        self._tau_s = tau_s
        self.value = value

    def add(self, measured: float, elapsed_s: float) -> float:
        """Follow a value that holds since `elapsed_s` ago."""
        if self.value is None:
            self.value = measured
        else:
            self.value += (measured - self.value) * -math.expm1(-elapsed_s / self._tau_s)
        return self.value


class Load:
    """Filters what is told of the load, second by second."""

    def __init__(self) -> None:
        self.ratio = 1.0
        """Own cores as measured over those expected: corrects the costs."""
        self.foreign = 0.0
        """Cores that others use now."""
        self.bursts = Bursts()
        """How others use the cores in the long run."""
        self._others = deque[float](maxlen=SPIKE_TICKS)
        self._now = Filtered(CALM_S)
        self._ratio = Filtered(RATIO_S, 1.0)
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
            self._others.append(others)
            usual = sorted(self._others)[len(self._others) // 2]
            if usual > self.foreign:
                self._now.value = usual
            self.foreign = self._now.add(usual, elapsed_s)
            self.bursts.look(elapsed_s, usual)
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
