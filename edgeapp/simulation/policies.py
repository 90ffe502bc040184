"""What the governor is compared with: nobody, one fixed choice, and a ladder of thresholds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product

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


class Thresholds:
    """A ladder with hysteresis: all pipelines a level down when hot, one up when cool.

    The constants were tuned by hand on the tuning seeds.
    """

    def __init__(
        self,
        tenants: Sequence[Tenant],
        *,
        down_c: float = 78.0,
        up_c: float = 70.0,
        down_every_s: int = 5,
        up_every_s: int = 120,
    ) -> None:
        self._levels = levels_of(tenants)
        self._down_c, self._up_c = down_c, up_c
        self._down_every_s, self._up_every_s = down_every_s, up_every_s
        self._level = 0
        self._since_s = up_every_s

    def step(self, reading: Reading, work: Work) -> Decision:
        """One level at a time, by the hottest sensor; what cannot be read changes nothing."""
        told = [one.value_c for one in reading.sensors if one.value_c is not None]
        self._since_s += 1
        last = len(self._levels) - 1
        if told and max(told) >= self._down_c and self._since_s >= self._down_every_s:
            self._go(min(self._level + 1, last))
        elif told and max(told) < self._up_c and self._since_s >= self._up_every_s:
            self._go(max(self._level - 1, 0))
        return plain_decision(self._levels[self._level])

    def _go(self, level: int) -> None:
        if level != self._level:
            self._level, self._since_s = level, 0


def thresholds(scenario: Scenario, _clock: Clock) -> Thresholds:
    """The ladder with hysteresis, as tuned."""
    return Thresholds(scenario.tenants)


def levels_of(tenants: Sequence[Tenant]) -> list[dict[StageKey, Setting]]:
    """All ladders together: rung by rung, then at lower and lower rates."""
    ladders = [ladder for tenant in tenants for ladder in tenant.ladders]
    steps = [(rung, 1) for rung in range(max(len(ladder.rungs) for ladder in ladders))]
    lowest = steps[-1][0]
    steps += [(lowest, rate) for rate in sorted({d for one in ladders for d in one.divisors})[1:]]
    return [
        {
            ladder.key: Setting(
                min(rung, len(ladder.rungs) - 1), max(d for d in ladder.divisors if d <= rate)
            )
            for ladder in ladders
        }
        for rung, rate in steps
    ]


def fixed_choices(tenants: Sequence[Tenant]) -> list[tuple[float, float, dict[StageKey, Setting]]]:
    """All choices of settings that are worth more than each cheaper one: cores, utility, settings.

    For a few ladders only: the product of their settings is gone through.
    """
    parts = []
    weights = sum(tenant.weight for tenant in tenants)
    for tenant in tenants:
        for ladder in tenant.ladders:
            share = tenant.weight / weights / len(tenant.ladders)
            parts.append(
                [
                    (
                        ladder.rate_hz / divisor * ladder.rungs[rung].cpu_s,
                        share * ladder.utility(Setting(rung, divisor)),
                        ladder.key,
                        Setting(rung, divisor),
                    )
                    for rung in range(len(ladder.rungs))
                    for divisor in ladder.divisors
                ]
            )
    joint = [
        (sum(one[0] for one in mix), sum(one[1] for one in mix), {one[2]: one[3] for one in mix})
        for mix in product(*parts)
    ]
    joint.sort(key=lambda one: (one[0], -one[1]))
    kept: list[tuple[float, float, dict[StageKey, Setting]]] = []
    for cores, worth, settings in joint:
        if not kept or worth > kept[-1][1]:
            kept.append((cores, worth, settings))
    return kept


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
