"""An application as arithmetic: what its stages answer, cost and miss on a loaded device.

Each pipeline is one thread. Cores are shared fairly; models are loaded one after the other, on a
thread of low priority that takes what is left. What is late, or left over when a second ends, is worth nothing.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import CLOSED, Ladder, StageKey, Tenant
from edgeapp.watchdog.tick import Decision, StageWork, Work

LOAD_CORE_S = 1.0
"""CPU time of loading a model, at the full clock."""
LOAD_CORES = 0.5
"""Cores that loading takes at most."""
_NEARLY_NONE = 1e-9
_NOISE = 0.01
"""Relative standard deviation of measured times."""


@dataclass(frozen=True, slots=True)
class AppTick:
    """What a second came to."""

    work: Work
    busy_cores: float
    """In use by us and by others."""
    wanted_cores: float
    """What all would have used if there were enough cores."""
    utility: float
    """Of the answers in time, 0..1 of the weighted best."""
    wanted: float
    """Answers that our settings were to give."""
    missed: float
    """Those of them that were not given in time."""
    swaps: int
    """Models changed at the beginning of this second."""
    memory_mb: float
    """Of all loaded models, standbys included."""


class _Stage:
    """One model stage and what of its ladder is loaded."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.actual = Setting(len(ladder.rungs) - 1)
        self.warm: set[int] = set()
        """Empty until it is opened, with what is wanted first."""
        self.loading: int | None = None
        self.left_core_s = 0.0
        self._owed = [0.0, 0.0]

    def follow(self, wanted: Setting, standbys: bool) -> bool:
        """Come as close as possible at once, and load what is missing; whether the model changed."""
        opened = bool(self.warm)
        if not opened:
            self.actual = wanted
            self.warm = set(range(wanted.rung, min(wanted.rung + 2, len(self.ladder.rungs))))
        best = max(
            (rung for rung in self.warm if self.actual.rung <= rung <= wanted.rung),
            default=wanted.rung if wanted.rung in self.warm else self.actual.rung,
        )
        changed = best != self.actual.rung
        self.actual = Setting(best, wanted.divisor)
        ready = [wanted.rung]
        if standbys and wanted.rung + 1 < len(self.ladder.rungs):
            ready.append(wanted.rung + 1)
        self.warm &= {best, *ready}
        missing = [rung for rung in ready if rung not in self.warm]
        if self.loading not in missing:
            self.loading = missing[0] if missing else None
            self.left_core_s = LOAD_CORE_S
        return changed

    @property
    def memory_mb(self) -> float:
        """Of the models that are loaded."""
        return sum(self.ladder.rungs[rung].memory_mb for rung in self.warm)

    def load(self, core_s: float) -> None:
        """Spend CPU time, counted at the full clock, on what is being loaded."""
        if self.loading is None:
            return
        self.left_core_s -= core_s
        if self.left_core_s <= _NEARLY_NONE:
            self.warm.add(self.loading)
            self.loading = None

    def whole(self, answered: float, late: float) -> tuple[int, int]:
        """Whole packets; the fractions wait for the next second."""
        told = []
        for place, amount in enumerate((answered, late)):
            self._owed[place] += amount
            told.append(int(self._owed[place] + _NEARLY_NONE))
            self._owed[place] -= told[-1]
        return told[0], told[1]


class AppModel:
    """An application on a device of so many cores; not for several threads."""

    def __init__(self, tenants: Sequence[Tenant], cores: int, rng: random.Random) -> None:
        self.tenants = tuple(tenants)
        self._cores = cores
        self._rng = rng
        self._stages = {
            ladder.key: _Stage(ladder) for tenant in tenants for ladder in tenant.ladders
        }
        self._weights = sum(tenant.weight for tenant in tenants)
        self._paused: frozenset[str] = frozenset()

    def first_work(self) -> Work:
        """What is told before the first second."""
        stages = {
            key: StageWork(stage.ladder.rate_hz, stage.actual)
            for key, stage in self._stages.items()
        }
        return Work(0.0, stages)

    def obey(self, decision: Decision) -> int:
        """Take over what was decided; how many models changed at once."""
        self._paused = decision.paused
        return sum(
            stage.follow(decision.settings[key], decision.keep_standbys)
            for key, stage in self._stages.items()
        )

    def tick(self, clock_ratio: float, foreign_cores: float, swaps: int = 0) -> AppTick:
        """One second at a clock ratio, beside others who want so many cores."""
        running = [tenant for tenant in self.tenants if tenant.name not in self._paused]
        demands = [self._demand(tenant) / clock_ratio for tenant in running]
        wants = [min(demand, 1.0) for demand in demands] + list(threads(foreign_cores))
        level = fair_level(wants, self._cores)
        used = [min(want, level) for want in wants]
        waiting = [stage for stage in self._stages.values() if stage.loading is not None]
        loaders = sorted(waiting, key=lambda stage: stage.left_core_s)[:1]  # one at a time
        load_each = min(LOAD_CORES, max(0.0, self._cores - sum(used))) if loaders else 0.0
        opening = {stage.ladder.key for stage in loaders}
        for stage in loaders:
            stage.load(load_each * clock_ratio)
        work: dict[StageKey, StageWork] = {}
        utility = wanted = missed = 0.0
        for place, tenant in enumerate(running):
            served = used[place] / demands[place] if demands[place] > 0 else 1.0
            for ladder in tenant.ladders:
                stage = self._stages[ladder.key]
                told, worth, due, failed = self._answer(stage, served, clock_ratio, level)
                work[ladder.key] = told
                utility += tenant.weight * worth / len(tenant.ladders)
                wanted += due
                missed += failed
        for key, stage in self._stages.items():
            told = work.get(key) or StageWork(stage.ladder.rate_hz, stage.actual)
            work[key] = _opening(told) if key in opening else told
        loading = load_each * len(loaders)
        own = sum(used[: len(running)]) + loading
        return AppTick(
            Work(own, work, self._paused),
            sum(used) + loading,
            sum(wants) + loading,
            utility / self._weights,
            wanted,
            missed,
            swaps,
            sum(stage.memory_mb for stage in self._stages.values()),
        )

    def at_floor(self) -> bool:
        """Whether every stage that runs has its cheapest model at its lowest rate."""
        return all(
            actual.divisor == CLOSED
            or (actual.rung == len(ladder.rungs) - 1 and actual.divisor >= ladder.divisors[-1])
            for tenant in self.tenants
            if tenant.name not in self._paused
            for ladder in tenant.ladders
            for actual in (self._stages[ladder.key].actual,)
        )

    def _demand(self, tenant: Tenant) -> float:
        return tenant.base_cores + sum(
            packets(ladder, actual) * ladder.rungs[actual.rung].cpu_s
            for ladder in tenant.ladders
            for actual in (self._stages[ladder.key].actual,)
        )

    def _answer(
        self, stage: _Stage, served: float, ratio: float, level: float
    ) -> tuple[StageWork, float, float, float]:
        ladder, actual = stage.ladder, stage.actual
        rung = ladder.rungs[actual.rung]
        due = packets(ladder, actual)
        if due == 0:
            return StageWork(ladder.rate_hz, actual), 0.0, 0.0, 0.0
        good = in_time(ladder, actual, served, ratio, level)
        answered, late = stage.whole(due * min(1.0, served), due * (1.0 - good))
        calls = due * min(1.0, served) > 0
        noise = 1.0 + _NOISE * self._rng.gauss(0.0, 1.0)
        cpu_s = rung.cpu_s / ratio * noise
        told = StageWork(
            ladder.rate_hz,
            actual,
            answered=answered,
            late=late,
            cpu_s=cpu_s if calls else None,
            wall_s=cpu_s / level * 1.02 if calls else None,
        )
        return told, good * ladder.utility(actual), due, due * (1.0 - good)


def packets(ladder: Ladder, setting: Setting) -> float:
    """Answers that a setting gives each second."""
    return 0.0 if setting.divisor == CLOSED else ladder.rate_hz / setting.divisor


def in_time(ladder: Ladder, setting: Setting, served: float, ratio: float, level: float) -> float:
    """Share of the answers given in time.

    `served`: cores got over cores needed; below 1 the queue is full, so that each packet waits for
    the one before it. `level`: cores that a thread which never sleeps gets, 0..1.
    """
    wall_s = ladder.rungs[setting.rung].wall_s / ratio / level
    age_s = wall_s if served >= 1.0 - _NEARLY_NONE else 2.0 * wall_s
    if ladder.deadline_s is not None and age_s > ladder.deadline_s:
        return 0.0
    return min(1.0, served)


def threads(cores: float) -> Iterable[float]:
    """The load of others as threads: as many whole ones as fit, and the rest."""
    while cores > _NEARLY_NONE:
        yield min(1.0, cores)
        cores -= 1.0


def fair_level(wants: Sequence[float], cores: float) -> float:
    """What a thread that never sleeps gets when cores are shared fairly; 1 where all have enough."""
    left, waiting = cores, len(wants)
    for want in sorted(wants):
        level = left / waiting
        if want > level:
            return level
        left -= want
        waiting -= 1
    return 1.0


def _opening(told: StageWork) -> StageWork:
    return StageWork(
        told.rate_hz,
        told.actual,
        answered=told.answered,
        late=told.late,
        cpu_s=told.cpu_s,
        wall_s=told.wall_s,
        opening=True,
    )


def floor_of(tenants: Iterable[Tenant]) -> Mapping[StageKey, Setting]:
    """The cheapest model at the greatest divisor everywhere."""
    return {
        ladder.key: Setting(len(ladder.rungs) - 1, ladder.divisors[-1])
        for tenant in tenants
        for ladder in tenant.ladders
    }
