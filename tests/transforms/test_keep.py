from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import Detections, Tracks
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.keep import Keep

LABELS = ("person", "dog", "cat")


def found(*things: tuple[str, float, float]) -> Detections:
    """Detections of (label, score, side of its square)."""
    return Detections(
        np.array([[0, 0, side, side] for _, _, side in things], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in things], np.float32),
        np.array([LABELS.index(label) for label, _, _ in things], np.int32),
        LABELS,
    )


def kept(options: dict[str, Any], *pictures: Detections) -> list[list[str]]:
    """The labels that are passed on, of one picture a second."""
    ran = run_stage(Keep, options, packets(pictures))
    return [[LABELS[c] for c in value.classes] for value in ran.values]


def test_label_keeps_its_kind_and_passes_no_empty_picture() -> None:
    pictures = [found(("dog", 0.9, 0.5), ("person", 0.8, 0.5)), found(("cat", 0.7, 0.5)), found()]
    assert kept({"label": "person"}, *pictures) == [["person"]]
    assert kept({"label": ["cat", "dog"]}, *pictures) == [["dog"], ["cat"]]


def test_min_score_keeps_what_is_sure_enough() -> None:
    assert kept({"min_score": 0.5}, found(("dog", 0.5, 0.5), ("cat", 0.25, 0.5))) == [["dog"]]


def test_area_is_a_fraction_of_the_picture() -> None:
    picture = found(("dog", 0.9, 0.5), ("cat", 0.8, 0.1), ("person", 0.7, 1.0))
    assert kept({"min_area": 0.02}, picture) == [["dog", "person"]]
    assert kept({"max_area": 0.5}, picture) == [["dog", "cat"]]


def test_steady_waits_until_it_was_there_for_so_long_without_a_break() -> None:
    person, nobody = found(("person", 0.9, 0.5)), found()
    seen = run_stage(
        Keep, {"steady_s": 2}, packets([person, person, nobody, person, person, person, person])
    )
    assert [packet.seq for packet in seen.packets] == [5, 6]


def test_steady_survives_a_camera_that_drops_frames_but_not_one_that_was_reopened() -> None:
    person = found(("person", 0.9, 0.5))
    before = [packet._replace(lost=3) for packet in packets([person] * 3)]
    ran = run_stage(Keep, {"steady_s": 2}, [*before, *packets([person] * 2, epoch=1)])
    assert [packet.key[1:3] for packet in ran.packets] == [(0, 2)]


def test_a_label_that_the_model_does_not_know_drops_the_picture_and_says_so() -> None:
    ran = run_stage(Keep, {"label": "persn"}, packets([found(("person", 0.9, 0.5))]))
    assert ran.values == []
    assert ran.dropped == {"unknown_label": 1}


def test_an_empty_range_of_areas_is_refused() -> None:
    with pytest.raises(ValidationError, match="min_area is not larger"):
        kept({"min_area": 0.5, "max_area": 0.1})


def test_a_rule_keeps_the_detections_of_which_it_is_true() -> None:
    picture = found(("dog", 0.9, 0.5), ("cat", 0.8, 0.1), ("person", 0.7, 1.0))
    assert kept({"when": 'label in ["dog", "cat"] and area > 0.02'}, picture) == [["dog"]]
    assert kept({"when": "score < 0.85", "label": "person"}, picture) == [["person"]]
    assert kept({"when": "score > 0.95"}, picture) == []


def test_a_rule_knows_the_numbers_of_tracks_and_they_stay_tracks() -> None:
    picture = found(("dog", 0.9, 0.5), ("cat", 0.8, 0.1))
    tracks = Tracks(
        picture.xyxy, picture.scores, picture.classes, picture.labels, ids=np.array([4, 5])
    )
    ran = run_stage(Keep, {"when": "id == 5"}, packets([tracks]))
    [left] = ran.values
    assert isinstance(left, Tracks)
    assert left.ids.tolist() == [5]


def test_a_rule_about_a_label_that_the_model_does_not_know_is_told_once() -> None:
    ran = run_stage(Keep, {"when": 'label == "persn"'}, packets([found(("person", 0.9, 0.5))] * 3))
    assert ran.log.said("warning") == ["the rule names what does not come"]


def test_a_wrong_rule_is_refused() -> None:
    with pytest.raises(ValidationError, match="a detection has no field 'count'"):
        kept({"when": "count > 1"})
