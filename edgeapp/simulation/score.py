"""What a run is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeapp.simulation.player import Moment, PolicyOf, play
from edgeapp.simulation.policies import Fixed, fixed_choices
from edgeapp.simulation.senses import Read
from edgeapp.simulation.spec import Scenario

_TRIED = 8
"""Fixed choices that are tried before the neighbours of the best of them."""


@dataclass(slots=True)
class Score:
    """Sums over a run; `note` is given each moment of it."""

    trip_c: float
    ticks: int = 0
    credit: float = 0.0
    """Sum of `Moment.credit`: of answers in time, at a full clock, less what heat costs."""
    in_time: float = 0.0
    """Sum of the utility whatever the hardware did."""
    over_s: int = 0
    """Seconds with the die at the trip or above."""
    avoidable_s: int = 0
    """Those of them with something left to be reduced."""
    swaps: int = 0
    changes: int = 0
    """Ticks at which anything wanted differed from the tick before."""
    changed_at_s: list[float] = field(default_factory=list)
    wanted: float = 0.0
    missed: float = 0.0
    greatest_c: float = -273.0
    infeasible_at_s: float | None = None
    fired_at_s: dict[str, list[float]] = field(default_factory=dict)
    """Times at which a detector began to fire."""
    paused: set[str] = field(default_factory=set)
    """Pipelines that were paused, or whose gates were closed, at any time."""
    ended_s: float = 0.0
    _before: tuple[object, object] | None = None
    _firing: frozenset[str] = frozenset()

    def note(self, moment: Moment) -> None:
        """Count one tick."""
        decision, state, app = moment.decision, moment.state, moment.app
        t_s = self.ended_s
        self.ticks += 1
        self.credit += moment.credit
        self.in_time += app.utility
        die_c = next(iter(state.nodes_c.values()))
        self.greatest_c = max(self.greatest_c, die_c)
        if die_c >= self.trip_c:
            self.over_s += 1
            self.avoidable_s += not moment.floor
        self.swaps += app.swaps
        self.wanted += app.wanted
        self.missed += app.missed
        wanted = decision.settings, decision.paused
        if self._before is not None and wanted != self._before:
            self.changes += 1
            self.changed_at_s.append(t_s)
        if wanted != self._before:
            self.paused |= decision.paused
            self.paused |= {key[0] for key, one in decision.settings.items() if one.divisor == 0}
        self._before = wanted
        if decision.infeasible and self.infeasible_at_s is None:
            self.infeasible_at_s = t_s
        firing = frozenset(decision.detectors)
        if firing != self._firing:
            for name in firing - self._firing:
                self.fired_at_s.setdefault(name, []).append(t_s)
            self._firing = firing
        self.ended_s = state.t_s

    @property
    def utility(self) -> float:
        """Mean, 0..1."""
        return self.credit / max(1, self.ticks)

    @property
    def swaps_per_h(self) -> float:
        """Model changes an hour."""
        return 3600.0 * self.swaps / max(1, self.ticks)

    @property
    def miss(self) -> float:
        """Share of the wanted answers that did not come in time."""
        return self.missed / self.wanted if self.wanted > 0 else 0.0


def run(scenario: Scenario, policy_of: PolicyOf, *, read: Read | None = None) -> Score:
    """Play a scenario and judge it."""
    score = Score(scenario.limits.trip_c)
    play(scenario, policy_of, score.note, read=read)
    return score


def best_fixed(scenario: Scenario) -> Score:
    """What the best choice that is never changed comes to, for whoever knew the world before."""
    return one_for_all([scenario])[0]


def one_for_all(scenarios: Sequence[Scenario]) -> list[Score]:
    """What the best single choice for all of these worlds comes to in each of them.

    Worth rises with load until devices get too hot, and then falls: some of all sensible choices
    are tried, and then the neighbours of the best of them. All have the same pipelines.
    """
    choices = fixed_choices(scenarios[0].tenants)
    tried: dict[int, list[Score]] = {}

    def worth(place: int) -> float:
        if place not in tried:
            settings = choices[place][2]
            tried[place] = [run(one, lambda _one, _clock: Fixed(settings)) for one in scenarios]
        return sum(score.utility for score in tried[place])

    step = max(1, len(choices) // _TRIED)
    best = max(range(0, len(choices), step), key=worth)
    while step > 1:
        step //= 2
        near = [place for place in (best - step, best, best + step) if 0 <= place < len(choices)]
        best = max(near, key=worth)
    return tried[best]
