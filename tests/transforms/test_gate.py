from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import Detections, Score
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.gate import Gate, GateOptions


def passed(options: dict[str, float], values: Sequence[float]) -> list[float]:
    """The scores that pass, of one a second."""
    ran = run_stage(Gate, options, packets([Score(value) for value in values]))
    return [score.value for score in ran.values]


def test_without_more_options_it_passes_what_is_above() -> None:
    assert passed({"rise_above": 1}, [0.5, 1.5, 1.0, 2.0, 0.9]) == [1.5, 1.0, 2.0]


def test_hysteresis_passes_until_the_score_falls_below_the_lower_edge() -> None:
    assert passed({"rise_above": 0.8, "fall_below": 0.6}, [0.7, 0.9, 0.7, 0.61, 0.5, 0.7]) == [
        0.9,
        0.7,
        0.61,
    ]


def test_it_opens_only_after_the_score_was_high_for_long_enough() -> None:
    """Three seconds from the first high score on; a dip begins the wait again."""
    assert passed({"rise_above": 1, "for_s": 3}, [2, 3, 0, 4, 5, 6, 7, 8]) == [7, 8]


def test_between_the_edges_a_wait_starts_again() -> None:
    options = {"rise_above": 1, "fall_below": 0.5, "for_s": 2}
    assert passed(options, [2, 3, 0.7, 4, 5, 6]) == [6]


def test_scores_of_a_stage_that_learns_are_not_passed() -> None:
    scores = [Score(5.0), Score(0.0, ready=False), Score(0.5), Score(5.5)]
    ran = run_stage(Gate, {"rise_above": 1, "fall_below": 0.1}, packets(scores))
    assert [score.value for score in ran.values] == [5.0, 5.5]


def test_a_reopened_source_finds_the_gate_shut() -> None:
    stream = [
        *packets([Score(2.0), Score(2.1), Score(2.2)]),
        *packets([Score(2.3), Score(2.4), Score(2.5)], epoch=1),
    ]
    ran = run_stage(Gate, {"rise_above": 1, "for_s": 2}, stream)
    assert [score.value for score in ran.values] == [2.2, 2.5]


def test_a_lost_packet_does_not_silence_an_alarm() -> None:
    first, second, third = packets([Score(2.0), Score(2.1), Score(2.2)])
    ran = run_stage(Gate, {"rise_above": 1, "for_s": 1}, [first, second, third._replace(lost=4)])
    assert [score.value for score in ran.values] == [2.1, 2.2]


def test_edges_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValidationError, match="fall_below is not higher than rise_above"):
        run_stage(Gate, {"rise_above": 0.6, "fall_below": 0.8}, [])


def detections(*labels: str) -> Detections:
    """A picture with these things in it."""
    known = ("person", "dog")
    return Detections(
        np.zeros((len(labels), 4), np.float32),
        np.full(len(labels), 0.5, np.float32),
        np.array([known.index(label) for label in labels], np.int32),
        known,
    )


def test_a_rule_passes_any_payload_while_it_is_true() -> None:
    pictures = [detections("person"), detections("person", "person"), detections("dog", "dog")]
    ran = run_stage(Gate, {"when": 'count("person") > 1'}, packets(pictures))
    assert [packet.seq for packet in ran.packets] == [1]
    assert ran.values[0] is pictures[1]


def test_a_rule_must_be_true_for_so_long_and_shuts_at_once() -> None:
    some, none = detections("dog"), detections()
    stream = [some, none, some, some, some, some, none, some]
    ran = run_stage(Gate, {"when": "count > 0", "for_s": 2}, packets(stream))
    assert [packet.seq for packet in ran.packets] == [4, 5]


def test_score_and_rule_go_together() -> None:
    """Both open it, either shuts it; between the edges of the score the rule alone decides."""
    scores = [Score(value, parts={"t2": t2}) for value, t2 in [
        (2.0, 0.0), (2.0, 1.0), (0.7, 1.0), (0.7, 0.0), (0.7, 1.0), (2.0, 1.0), (0.1, 1.0),
    ]]  # fmt: skip
    options = {"rise_above": 1.0, "fall_below": 0.5, "when": 'parts["t2"] > 0.5'}
    ran = run_stage(Gate, options, packets(scores))
    assert [packet.seq for packet in ran.packets] == [1, 2, 5]


def test_an_undecided_rule_shuts_the_gate() -> None:
    ran = run_stage(Gate, {"when": 'parts["t2"] > 0 or value < 0'}, packets([Score(1.0)]))
    assert ran.values == []
    assert ran.dropped == {}


def test_rise_above_drops_what_is_no_score() -> None:
    ran = run_stage(Gate, {"rise_above": 1}, packets([detections("dog")]))
    assert ran.dropped == {"no_score": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give rise_above, or a rule"),
        ({"when": "ready", "fall_below": 1}, "fall_below goes with rise_above"),
        ({"when": "reddy"}, "did you mean 'ready'"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GateOptions.model_validate(options)
