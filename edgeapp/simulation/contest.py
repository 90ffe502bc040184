"""The governor on one simulated device, beside others on the same one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeapp.core.clock import Clock
from edgeapp.simulation.clairvoyant import clairvoyant
from edgeapp.simulation.expected import missed
from edgeapp.simulation.player import Moment, play
from edgeapp.simulation.policies import none, thresholds
from edgeapp.simulation.score import Score, best_fixed, run
from edgeapp.simulation.spec import Expect, Scenario
from edgeapp.simulation.tree import TreeSenses
from edgeapp.watchdog.governor import Governor

GOVERNOR = "governor"
_NOTHING = Expect()


@dataclass(frozen=True, slots=True)
class Contest:
    """What came of it."""

    scenario: Scenario
    scores: Mapping[str, Score]
    """The governor's first."""
    best: float | None
    """Utility of the clairvoyant; None: nobody asked."""
    misses: tuple[str, ...]
    """A sentence for each expectation that the governor missed."""

    @property
    def expected(self) -> bool:
        """Whether the trace expects anything."""
        return self.scenario.expect != _NOTHING

    def ratio(self, score: Score) -> float | None:
        """Utility over the clairvoyant's."""
        return score.utility / self.best if self.best else None

    @property
    def sentence(self) -> str:
        """How good the governor was, in a line."""
        score = self.scores[GOVERNOR]
        ratio = self.ratio(score)
        of = "" if ratio is None else f", {100 * ratio:.1f} % of the best possible"
        return (
            f"utility {100 * score.utility:.1f} %{of}; {score.over_s:,} s above the trip, "
            f"{score.avoidable_s:,} s of it avoidable; {score.swaps_per_h:.1f} model swaps an hour; "
            f"{100 * score.miss:.2f} % missed"
        )

    def facts(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "name": self.scenario.name,
            "seed": self.scenario.seed,
            "trip_c": self.scenario.limits.trip_c,
            "clairvoyant": self.best,
            "policies": {
                name: {
                    "utility": score.utility,
                    "ratio": self.ratio(score),
                    "over_s": score.over_s,
                    "avoidable_over_s": score.avoidable_s,
                    "model_swaps_per_h": score.swaps_per_h,
                    "changes": score.changes,
                    "miss": score.miss,
                    "greatest_c": score.greatest_c,
                    "infeasible_at_s": score.infeasible_at_s,
                    "ended_s": score.ended_s,
                }
                for name, score in self.scores.items()
            },
            "expect_missed": list(self.misses),
        }


def governed(scenario: Scenario, clock: Clock) -> Governor:
    """The real governor, for a scenario.

    Raises:
        LadderError: its tenants, limits or prior make no sense.
    """
    return Governor(scenario.tenants, scenario.limits, scenario.prior, clock)


def contest(
    scenario: Scenario,
    static_files: Mapping[str, str],
    *,
    watch: Callable[[Moment], None],
    alone: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Contest:
    """Let the governor run it, through files and the real readers; then the others, if not `alone`.

    `watch` is called at each tick of the governor's run; `tell`, with what is being done.

    Raises:
        LadderError: as of `governed`.
    """
    score = Score(scenario.limits.trip_c)

    def both(moment: Moment) -> None:
        score.note(moment)
        watch(moment)

    tell(f"{scenario.name}: governor")
    play(scenario, governed, both, read=TreeSenses(scenario, static_files).read)
    scores = {GOVERNOR: score}
    best: float | None = None
    if not alone:
        for name, policy in (("none", none), ("ladder", thresholds)):
            tell(f"{scenario.name}: {name}")
            scores[name] = run(scenario, policy)
        tell(f"{scenario.name}: best fixed choice")
        scores["best fixed"] = best_fixed(scenario)
        tell(f"{scenario.name}: best possible")
        best = clairvoyant(scenario).utility
    return Contest(scenario, scores, best, tuple(missed(scenario.expect, score, best)))
