"""Suppressing boxes that overlap, against the textbook's plain loop."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.models.decoders.detector_overlap import best_of_overlapping


def plain(xyxy: Any, scores: Any, classes: Any, max_iou: float) -> list[int]:
    """The textbook: box by box, in order of score."""
    kept: list[int] = []
    for n in sorted(range(len(scores)), key=lambda n: (-scores[n], n)):
        for k in kept:
            left, top = np.maximum(xyxy[n, :2], xyxy[k, :2])
            right, bottom = np.minimum(xyxy[n, 2:], xyxy[k, 2:])
            shared = max(0, right - left) * max(0, bottom - top)
            areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (xyxy[n], xyxy[k]))
            if classes[n] == classes[k] and shared > max_iou * (areas - shared):
                break
        else:
            kept.append(n)
    return kept


@st.composite
def heaps(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Boxes on a small grid, so that many overlap and some are equal."""
    count = draw(st.integers(0, 25))
    numbers = st.integers(0, 12)
    corners = [
        (x, y, x + w, y + h)
        for x, y, w, h in draw(
            st.lists(
                st.tuples(numbers, numbers, st.integers(1, 8), st.integers(1, 8)),
                min_size=count,
                max_size=count,
            )
        )
    ]
    scores = draw(st.lists(st.sampled_from([0.5, 0.6, 0.7]), min_size=count, max_size=count))
    classes = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    return (
        np.array(corners, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int32),
    )


@given(heaps(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_keeps_what_the_plain_loop_keeps(heap: tuple[Any, Any, Any], max_iou: float) -> None:
    kept = best_of_overlapping(*heap, max_iou=max_iou, max_count=1000)
    assert kept.tolist() == plain(*heap, max_iou)


@given(heaps(), st.integers(1, 5))
def test_count_limits_to_the_best(heap: tuple[Any, Any, Any], count: int) -> None:
    every = best_of_overlapping(*heap, max_iou=0.5, max_count=1000)
    some = best_of_overlapping(*heap, max_iou=0.5, max_count=count)
    assert some.tolist() == every.tolist()[:count]


def test_different_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], np.float32)
    kept = best_of_overlapping(
        boxes,
        np.array([0.5, 0.9, 0.8], np.float32),
        np.array([0, 1, 1], np.int32),
        max_iou=0.5,
        max_count=10,
    )
    assert kept.tolist() == [1, 0]


@pytest.mark.parametrize("count", [0, 5000])
def test_any_number_of_candidates_is_taken(count: int) -> None:
    generator = np.random.default_rng(1)
    corners = generator.random((count, 2), np.float32)
    kept = best_of_overlapping(
        np.concatenate((corners, corners + 0.01), axis=1),
        generator.random(count, np.float32),
        np.zeros(count, np.int32),
        max_iou=0.5,
        max_count=100,
    )
    assert len(kept) == min(count, 100)
