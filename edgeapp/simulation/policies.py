"""What the governor is compared with: nobody, one fixed choice, and a ladder of thresholds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from edgeapp.core.clock import Clock
from edgeapp.core.dial import Setting
from edgeapp.simulation.spec import Scenario
from edgeapp.watchdog.ladder import StageKey, Tenant
from edgeapp.watchdog.tick import Decision, Reading, Work

Settings = Mapping[StageKey, Setting]


def best_of(tenants: Sequence[Tenant]) -> dict[StageKey, Setting]:
    """The best rung at the full rate everywhere."""
    return {ladder.key: Setting(0) for tenant in tenants for ladder in tenant.ladders}


def plain_decision(settings: Settings, *, changed: bool = False) -> Decision:
    """A decision that gives no reasons."""
    return Decision(
        settings=settings,
        paused=frozenset(),
        urgent=False,
        changed=changed,
        keep_standbys=True,
        level="nominal",
        reason="",
        binding="none",
        detectors=(),
        infeasible=False,
        die_c=None,
        headroom=None,
        trip_in_s=None,
        forecast_30s_c=None,
        forecast_300s_c=None,
        cores_allowed=0.0,
        cores_chosen=0.0,
        utility=0.0,
        next_best="",
        swap_price=0.0,
        swaps_last_h=0,
    )


class Fixed:
    """The same at all times."""

    def __init__(self, settings: Settings) -> None:
        self._decision = plain_decision(settings)

    def step(self, reading: Reading, work: Work) -> Decision:
        """What was chosen once and for all."""
        return self._decision


def none(scenario: Scenario, _clock: Clock) -> Fixed:
    """No governor: the best of all, and the hardware's throttle."""
    return Fixed(best_of(scenario.tenants))


class RandomWalk:
    """Wanders over all settings; for tests of bounds."""

    def __init__(self, tenants: Sequence[Tenant], rng: random.Random, every_s: int = 20) -> None:
        self._ladders = [ladder for tenant in tenants for ladder in tenant.ladders]
        self._settings = best_of(tenants)
        self._rng = rng
        self._every_s = every_s
        self._ticks = 0

    def step(self, reading: Reading, work: Work) -> Decision:
        """One stage goes elsewhere now and then."""
        if self._ticks % self._every_s == 0:
            ladder = self._rng.choice(self._ladders)
            rung = self._rng.randrange(len(ladder.rungs))
            divisor = self._rng.choice(ladder.divisors)
            self._settings = {**self._settings, ladder.key: Setting(rung, divisor)}
        self._ticks += 1
        return plain_decision(self._settings)
