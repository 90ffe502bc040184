"""A recording, shown to the governor: what it would have done. Nothing changes by what it does."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgeapp.core.clock import Clock, FakeClock
from edgeapp.core.dial import Setting
from edgeapp.simulation.player import TICK_S, Policy
from edgeapp.simulation.trace import Trace
from edgeapp.simulation.tree import RecordedSenses
from edgeapp.watchdog.ladder import StageKey, Tenant
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.tick import Decision, Reading, StageWork, Work

PolicyFor = Callable[[Sequence[Tenant], Limits, Prior, Clock], Policy]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One tick: what was recorded, and what would have been done."""

    t_s: float
    reading: Reading
    own_cores: float
    """That edgeapp used when it was recorded."""
    decision: Decision

    @property
    def die_c(self) -> float | None:
        """The hottest of what the die's sensors said; of all, where none is the die's."""
        told = [one for one in self.reading.sensors if one.value_c is not None and not one.problem]
        die = [one for one in told if one.kind == "die"] or told
        return max((one.value_c for one in die if one.value_c is not None), default=None)


@dataclass(slots=True)
class ReplaySummary:
    """What a replay came to; `note` is given each tick of it."""

    trip_c: float
    ticks: int = 0
    over_s: int = 0
    """Seconds at the trip or above, as recorded."""
    without_heat: int = 0
    """Seconds of which no temperature is known."""
    greatest_c: float | None = None
    changes: int = 0
    swaps: int = 0
    urgent: int = 0
    infeasible: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    """Seconds at each level."""
    binding: Counter[str] = field(default_factory=Counter)
    """Seconds in which each of the constraints was the tightest."""
    detectors: Counter[str] = field(default_factory=Counter)
    """How often each of them began to fire."""
    _before: Decision | None = None

    def note(self, tick: Replayed) -> None:
        """Count one tick."""
        decision, before = tick.decision, self._before
        self.ticks += 1
        if tick.die_c is None:
            self.without_heat += 1
        else:
            self.greatest_c = max(
                tick.die_c, tick.die_c if self.greatest_c is None else self.greatest_c
            )
            self.over_s += tick.die_c >= self.trip_c
        self.urgent += decision.urgent
        self.infeasible += decision.infeasible
        self.levels[decision.level] += 1
        self.binding[decision.binding] += 1
        fired = set(decision.detectors) - set(before.detectors if before else ())
        self.detectors.update(fired)
        if before is not None:
            self.changes += (before.settings, before.paused) != (decision.settings, decision.paused)
            self.swaps += sum(
                setting.rung != before.settings[key].rung
                for key, setting in decision.settings.items()
            )
        self._before = decision


def replay(
    trace: Trace,
    policy_for: PolicyFor,
    tenants: Sequence[Tenant],
    limits: Limits,
    prior: Prior,
    *,
    watch: Callable[[Replayed], None],
) -> None:
    """Show a recording to a policy, second for second; `watch` is called once a tick.

    What it wants is done at once as far as it is told, and costs nothing: load and heat are those of
    the recording.
    """
    assert trace.samples is not None
    senses = RecordedSenses(trace, limits.cores)
    clock = FakeClock()
    policy = policy_for(tenants, limits, prior, clock)
    rates = {ladder.key: ladder.rate_hz for tenant in tenants for ladder in tenant.ladders}
    settings: dict[StageKey, Setting] = {key: Setting(0) for key in rates}
    paused: frozenset[str] = frozenset()
    t_s = trace.samples.t_s[0]
    while t_s <= trace.duration_s:
        reading = senses.read(t_s)
        own = trace.samples.at(t_s).get("own_cpu")
        own_cores = float(own) if isinstance(own, int | float) else 0.0
        stages = {key: StageWork(rate, settings[key]) for key, rate in rates.items()}
        decision = policy.step(reading, Work(own_cores, stages, paused))
        settings, paused = dict(decision.settings), decision.paused
        watch(Replayed(t_s, reading, own_cores, decision))
        clock.advance(TICK_S)
        t_s += TICK_S
