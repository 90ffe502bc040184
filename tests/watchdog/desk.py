"""A governor on a desk: a toy device and a toy application that obeys, second by second."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgeapp.core.clock import FakeClock
from edgeapp.core.dial import Setting
from edgeapp.watchdog import (
    Decision,
    Governor,
    Ladder,
    Limits,
    Prior,
    Reading,
    Rung,
    SensorReading,
    StageKey,
    StageWork,
    Tenant,
    Work,
)
from tests.watchdog.toy_plant import ToyPlant

CAMERA: StageKey = ("camera", "detect")
EARS: StageKey = ("ears", "listen")


def tenant(key: StageKey, rate_hz: float, best_s: float, *, critical: bool = False) -> Tenant:
    """A pipeline with one model stage of three rungs."""
    rungs = tuple(
        Rung(f"v{place}", best_s * share, accuracy, best_s * share * 1.1, 100.0 * share)
        for place, (share, accuracy) in enumerate(((1.0, 0.9), (0.5, 0.84), (0.2, 0.75)))
    )
    return Tenant(key[0], (Ladder(*key, rungs, rate_hz, deadline_s=0.6),), critical=critical)


TENANTS = (tenant(CAMERA, 5.0, 0.16, critical=True), tenant(EARS, 4.0, 0.2))


@dataclass
class Desk:
    """Everything that a test may change between ticks."""

    tenants: tuple[Tenant, ...] = TENANTS
    limits: Limits = field(default_factory=lambda: Limits(cores=4))
    prior: Prior = field(default_factory=lambda: Prior("raspberry-pi-4"))
    plant: ToyPlant = field(default_factory=ToyPlant)
    foreign: float = 0.1
    told: Mapping[str, object] = field(default_factory=dict)
    """Fields of the reading that are not as the device would say them."""
    stages: Mapping[StageKey, Mapping[str, object]] = field(default_factory=dict)
    """The same for the work of stages."""
    paused: frozenset[str] = frozenset()
    """By a person."""

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.governor = Governor(self.tenants, self.limits, self.prior, self.clock)
        self.decision: Decision | None = None
        self.wants = {
            ladder.key: Setting(0) for tenant in self.tenants for ladder in tenant.ladders
        }
        self.swaps = 0
        self.hottest_c = 0.0

    def own_cores(self) -> float:
        """What the application uses at the full clock."""
        stopped = self.paused | (self.decision.paused if self.decision else frozenset())
        return sum(
            ladder.rate_hz / want.divisor * ladder.rungs[want.rung].cpu_s
            for tenant in self.tenants
            if tenant.name not in stopped
            for ladder in tenant.ladders
            if (want := self.wants[ladder.key]).divisor
        )

    def tick(self, seconds: float = 1.0) -> Decision:
        """Let time pass, tell the governor of it, and obey."""
        own = min(self.own_cores() / self.plant.ratio, self.limits.cores - 0.1)
        busy = min(own + self.foreign, float(self.limits.cores))
        self.plant.tick(busy, seconds)
        self.hottest_c = max(self.hottest_c, self.plant.die_c)
        self.clock.advance(seconds)
        reading = Reading(
            sensors=(SensorReading("cpu-thermal", "die", self.plant.read()),),
            busy_cores=busy,
            clock_ratio=self.plant.ratio,
        )
        reading = replace(reading, **self.told)  # type: ignore[arg-type]  # by tests
        decision = self.governor.step(reading, self._work(own))
        for key, want in decision.settings.items():
            self.swaps += self.decision is not None and want.rung != self.wants[key].rung
        self.wants = dict(decision.settings)
        self.decision = decision
        return decision

    def run(self, seconds: int) -> Decision:
        """So many ticks; the last decision."""
        for _ in range(seconds):
            decision = self.tick()
        return decision

    def _work(self, own: float) -> Work:
        stages = {}
        for tenant in self.tenants:
            for ladder in tenant.ladders:
                want = self.wants[ladder.key]
                cpu_s = ladder.rungs[want.rung].cpu_s / self.plant.ratio
                stage = StageWork(ladder.rate_hz, want, cpu_s=cpu_s, wall_s=cpu_s * 1.1)
                told = self.stages.get(ladder.key, {})
                stages[ladder.key] = replace(stage, **told)  # type: ignore[arg-type]  # by tests
        ours = self.decision.paused if self.decision else frozenset()
        return Work(own, stages, self.paused | ours)
