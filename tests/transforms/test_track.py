"""Following things: each behaviour on a few boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import linear_sum_assignment

from edgeapp.api import Detections, Tracks, View
from edgeapp.testing import context, run_stage
from edgeapp.transforms._assignment import pairs
from edgeapp.transforms.track import MOST, Track, TrackOptions
from tests.transforms.moving import Row, box, detections, packet, picture, stream

PLAIN: dict[str, object] = {}


def ids(values: list[Detections], options: dict[str, object] = PLAIN) -> list[list[int]]:
    """The ids told for pictures, ten a second."""
    ran = run_stage(Track, options, stream(values))
    assert not ran.log.said("error")
    return [value.ids.tolist() for value in ran.values]


def walk(count: int, *, first: float = 0.1, step: float = 0.01) -> list[Row]:
    """Someone walking to the right."""
    return [box(first + step * n) for n in range(count)]


def test_a_new_thing_is_told_at_its_second_sight_and_keeps_its_id() -> None:
    assert ids([detections([row]) for row in walk(4)]) == [[], [1], [1], [1]]


def test_every_picture_is_answered_the_empty_ones_too() -> None:
    ran = run_stage(Track, PLAIN, stream([detections([])] * 3))
    assert all(isinstance(value, Tracks) and not len(value) for value in ran.values)
    assert len(ran.values) == 3


def test_what_comes_out_is_the_detection_as_it_was() -> None:
    """Box, score, label and picture are the model's; only the id is added."""
    seen = detections([box(0.5)], [0.75], image=picture())
    told = run_stage(Track, PLAIN, stream([seen, seen])).values[1]
    np.testing.assert_array_equal(told.xyxy, seen.xyxy)
    assert told.scores.tolist() == [0.75]
    assert told.image is seen.image


def test_what_shows_once_is_never_told() -> None:
    assert ids([detections([box(0.2)]), detections([]), detections([box(0.2)])]) == [[], [], []]


def test_min_hits_sets_how_often_it_must_show() -> None:
    shown = [detections([box(0.5)])] * 4
    assert ids(shown, {"min_hits": 4}) == [[], [], [], [1]]
    assert ids(shown, {"min_hits": 1}) == [[], [1], [1], [1]]


def test_a_weak_box_begins_nothing_but_keeps_what_is_known() -> None:
    """The idea of the paper: low scores count where something is expected already."""
    weak = detections([box(0.5)], [0.2])
    strong = detections([box(0.5)], [0.9])
    assert ids([weak] * 3) == [[], [], []]
    assert ids([strong, strong, weak, weak, strong]) == [[], [1], [1], [1], [1]]
    assert ids([strong, strong, weak], {"keep_score": 0.3}) == [[], [1], []]


def test_who_is_hidden_for_a_while_comes_back_under_the_same_id() -> None:
    """Walking on behind a pillar: expected where it comes out, not where it went in."""
    rows = walk(30, step=0.015)
    shown = [detections([]) if 10 <= n < 18 else detections([row]) for n, row in enumerate(rows)]
    told = ids(shown)
    assert told[9:19] == [[1], *[[]] * 8, [1]]


def test_who_stays_away_longer_than_lost_s_is_someone_else() -> None:
    here, nobody = detections([box(0.5)]), detections([])
    for away_s, last in ((0.7, 1), (1.3, 2)):
        away = [nobody] * round(away_s * 10)
        assert ids([here, here, *away, here, here], {"lost_s": 1.0})[-1] == [last]


def test_two_who_cross_keep_their_ids() -> None:
    right, left = walk(40, first=0.3), [box(0.7 - 0.01 * n, 0.83) for n in range(40)]
    shown = [detections([a, b]) for a, b in zip(right, left, strict=True)]
    assert all(one == [1, 2] for one in ids(shown)[1:])


def test_the_one_in_front_does_not_take_the_id_of_the_hidden_one() -> None:
    right, left = walk(40, first=0.3), [box(0.7 - 0.01 * n, 0.83) for n in range(40)]
    shown = [
        detections([b] if 17 <= n <= 23 else [a, b])
        for n, (a, b) in enumerate(zip(right, left, strict=True))
    ]
    told = ids(shown)
    assert told[20] == [2]
    assert told[-1] == [1, 2]


def test_a_person_does_not_become_a_car_unless_labels_may_change() -> None:
    shown = [detections([box(0.5)], kinds=[kind]) for kind in (1, 1, 2, 2, 2)]
    assert ids(shown) == [[], [1], [], [2], [2]]
    assert ids(shown, {"across_labels": True}) == [[], [1], [1], [1], [1]]


def test_other_labels_are_not_followed() -> None:
    """And a picture without the wanted one is answered all the same."""
    shown = [detections([box(0.2), box(0.7)], kinds=[0, 1])] * 2 + [
        detections([box(0.7)], kinds=[1])
    ]
    assert ids(shown, {"label": "person"}) == [[], [1], []]


def test_a_label_that_the_model_does_not_know_is_a_mistake() -> None:
    ran = run_stage(Track, {"label": ["person", "cow"]}, stream([detections([box(0.2)])]))
    assert ran.dropped == {"unknown_label": 1}


def test_another_variant_of_the_model_may_number_its_labels_in_another_way() -> None:
    ours = [detections([box(0.5)], kinds=[1])] * 3
    theirs = [detections([box(0.5)], kinds=[0], labels=("car",))] * 2
    assert ids([*ours, *theirs, *ours]) == [[], *[[1]] * 7]


@pytest.mark.parametrize("rate_hz", [2.0, 5.0, 15.0, 60.0])
def test_the_same_walk_is_followed_at_any_rate(rate_hz: float) -> None:
    """A body's width and a half in a second, with gaps in the stream."""
    shown = [
        packet(detections([box(0.1 + 0.13 * n / rate_hz)]), n / rate_hz, seq=n)
        for n in range(round(5 * rate_hz))
        if n % 7 != 4
    ]
    ran = run_stage(Track, PLAIN, shown)
    assert {one for value in ran.values[1:] for one in value.ids.tolist()} == {1}
    assert all(len(value) == 1 for value in ran.values[1:])


def test_who_stands_still_is_the_same_after_a_long_time_without_pictures() -> None:
    """As behind a motion gate: nothing moves, so nothing comes; then it is looked again."""
    shown = [packet(detections([box(0.5)]), t, seq=round(t)) for t in (0, 0.1, 0.2, 300, 300.1)]
    ran = run_stage(Track, PLAIN, shown)
    assert [value.ids.tolist() for value in ran.values] == [[], [1], [1], [1], [1]]


def test_what_a_picture_does_not_show_is_not_missed() -> None:
    """Cut-outs of the left half for ten seconds; on the right, someone stands all the time."""
    left = View(0.0, 0.0, 0.5, 1.0)
    whole = detections([box(0.2), box(0.8)], image=picture())
    part = detections([box(0.2)], image=picture(left, width=80))
    told = ids([whole, whole, *[part] * 100, whole])
    assert told[50] == [1]
    assert told[-1] == [1, 2]


def test_what_a_picture_does_show_is_missed() -> None:
    right = View(0.5, 0.0, 0.5, 1.0)
    whole = detections([box(0.2), box(0.8)], image=picture())
    part = detections([], image=picture(right, width=80))
    assert ids([whole, whole, *[part] * 30, whole, whole])[-1] == [1, 3]


def test_parts_of_one_picture_confirm_nothing_by_themselves() -> None:
    """Two overlapping cut-outs of one moment show a thing twice, and yet once."""
    one = packet(detections([box(0.5)], image=picture(View(0, 0, 0.7, 1))), 0.0)
    other = one._replace(value=detections([box(0.5)], image=picture(View(0.3, 0, 0.7, 1))), part=1)
    ran = run_stage(Track, PLAIN, [one, other, packet(detections([box(0.5)]), 0.1, seq=1)])
    assert [value.ids.tolist() for value in ran.values] == [[], [], [1]]


def test_a_reopened_source_begins_afresh_with_other_ids() -> None:
    shown = [detections([box(0.5)])] * 3
    ran = run_stage(Track, PLAIN, [*stream(shown), *stream(shown, epoch=1)])
    assert [value.ids.tolist() for value in ran.values] == [[], [1], [1], [], [2], [2]]


def test_a_rebuilt_stage_gives_no_id_again() -> None:
    """After a fault the runtime builds a new stage, which knows nothing of the old one."""
    crowd = detections([box(0.1 + 0.2 * n) for n in range(4)])
    told: set[int] = set()
    count = 0
    packets = [packet(crowd, 0.1 * n, seq=n % 50, epoch=n // 50) for n in range(150)]
    for begin in range(0, 150, 7):
        stage = Track(TrackOptions(), context())
        new = {one for p in packets[begin : begin + 7] for one in stage.process(p).ids.tolist()}
        told |= new
        count += len(new)
    assert len(told) == count >= 80


def test_more_things_than_can_be_followed_are_left_out() -> None:
    """A picture full of boxes costs bounded time and memory; the best scores count."""
    rows = [(x / 40, y / 10, x / 40 + 0.02, y / 10 + 0.08) for x in range(40) for y in range(10)]
    scores = [0.99 - 0.0005 * n for n in range(400)]
    told = ids([detections(rows, scores)] * 3)
    assert len(told[-1]) == MOST


def test_a_low_keep_score_is_below_the_enter_score() -> None:
    with pytest.raises(ValidationError, match="keep_score is not higher than enter_score"):
        run_stage(Track, {"enter_score": 0.3, "keep_score": 0.4}, [])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_ids_are_unique_and_belong_to_detections_of_the_picture(seed: int) -> None:
    """Whatever comes: boxes of any shape, times that stand still or leap, cut-outs, epochs."""
    chance = np.random.default_rng(seed)
    views = [View(), View(0.2, 0.2, 0.5, 0.5), View(-0.2, 0, 1.4, 1)]
    stage, t_s, epoch = Track(TrackOptions(), context()), 0.0, 0
    ended: set[int] = set()
    running: set[int] = set()
    known = chance.random((6, 4))
    for n in range(12):
        t_s += chance.choice([0.0, 0.04, 0.1, 1.0, 1e5])
        if chance.random() < 0.1:
            epoch, ended, running = epoch + 1, ended | running, set()
        corners = (known if chance.random() < 0.7 else chance.random((6, 4)))[: chance.integers(7)]
        rows = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners.tolist()]
        seen = detections(
            rows,
            chance.random(len(rows)).tolist(),
            kinds=chance.integers(0, 2, len(rows)).tolist(),
            image=picture(views[chance.integers(3)], 16, 9),
        )
        told = stage.process(packet(seen, t_s, seq=n, epoch=epoch))
        one = told.ids.tolist()
        assert len(set(one)) == len(one)
        assert not ended & set(one)
        assert {*map(tuple, told.xyxy.tolist())} <= {*map(tuple, seen.xyxy.tolist())}
        running |= set(one)


@given(seed=st.integers(0, 2**32 - 1), limit=st.sampled_from([0.3, 0.8, 1.1]))
@settings(max_examples=40, deadline=None)
def test_pairs_cost_as_little_as_scipy_says(seed: int, limit: float) -> None:
    """Ties included: coarse costs are equal more often than not."""
    chance = np.random.default_rng(seed)
    for steps in (4, 10_000):
        cost = np.round(chance.random(chance.integers(0, 12, 2)) * steps) / steps
        rows, columns = pairs(cost, limit)
        gain = np.minimum(cost - limit, 0)
        assert (gain[rows, columns] < 0).all()
        assert len({*rows.tolist()}) == len({*columns.tolist()}) == len(rows)
        best = gain[linear_sum_assignment(gain)].sum()
        assert (cost[rows, columns] - limit).sum() == pytest.approx(best, abs=1e-9)
