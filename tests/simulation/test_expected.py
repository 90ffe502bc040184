"""What a trace expects, and how it is said that it was missed."""

import pytest

from edgeapp.simulation.expected import missed
from edgeapp.simulation.score import Score
from edgeapp.simulation.spec import Expect


def score() -> Score:
    return Score(
        80.0,
        ticks=3600,
        credit=2700.0,
        over_s=12,
        avoidable_s=3,
        swaps=21,
        changes=50,
        changed_at_s=[5.0, 1003.0],
        wanted=1000.0,
        missed=2.0,
        infeasible_at_s=40.0,
        fired_at_s={"throttling": [604.0]},
        ended_s=3600.0,
    )


@pytest.mark.parametrize(
    ("met", "not_met", "said"),
    [
        ({"ratio_min": 0.93}, {"ratio_min": 0.95}, "of the best possible: 93.8 %, expected at l"),
        ({"utility_min": 0.75}, {"utility_min": 0.76}, "utility: 75.0 %, expected at least 76.0"),
        ({"over_s_max": 12}, {"over_s_max": 11}, "above the trip: 12 s, expected at most 11 s"),
        ({"avoidable_over_s_max": 3}, {"avoidable_over_s_max": 0}, "avoidably above the trip: 3 s"),
        ({"model_swaps_per_h_max": 21}, {"model_swaps_per_h_max": 20}, "swaps an hour: 21, expect"),
        ({"changes_max": 50}, {"changes_max": 49}, "changes: 50, expected at most 49"),
        ({"miss_max": 0.002}, {"miss_max": 0.001}, "missed answers: 0.2 %, expected at most 0.1 %"),
        ({"infeasible_within_s": 40}, {"infeasible_within_s": 30}, "said at 40 s, expected within"),
        (
            {"detects": {"throttling": (600.0, 5.0)}},
            {"detects": {"throttling": (600.0, 3.0), "contention": (0.0, 9.0)}},
            "throttling: fired 604 s, expected within 3 s after 600 s",
        ),
        ({"replan_within_s": (1000.0, 3.0)}, {"replan_within_s": (1000.0, 2.0)}, "nothing changed"),
        (
            {"battery_lasts_s": (3500.0, 3700.0)},
            {"battery_lasts_s": (3700.0, 3800.0)},
            "it ran for 3600 s, expected 3700 to 3800 s",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_each_expectation_is_met_or_said(
    met: dict[str, object], not_met: dict[str, object], said: str
) -> None:
    assert list(missed(Expect(**met), score(), 0.8)) == []  # type: ignore[arg-type]  # fields of it
    sentences = list(missed(Expect(**not_met), score(), 0.8))  # type: ignore[arg-type]  # as above
    assert said in sentences[0]
    assert len(sentences) == len(not_met.get("detects", "x"))  # type: ignore[arg-type]  # a dict


def test_nobody_asked_for_the_best_possible() -> None:
    assert list(missed(Expect(ratio_min=0.99), score(), None)) == []
