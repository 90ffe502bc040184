from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import Image
from edgeapp.plan.registry import register
from edgeapp.sources._conveyor_scene import LABELS, Truth, scene
from edgeapp.sources.conveyor import Conveyor, ConveyorOptions
from edgeapp.testing.stage import run_source

SMALL = (160, 90)


def _truths(seed: int, count: int, **options: Any) -> list[Truth]:
    return [truth for _, truth in islice(scene(seed, size=SMALL, **options), count)]


def test_it_emits_pictures_on_the_grid_of_its_rate_and_ends() -> None:
    ran = run_source(
        Conveyor, {"size": (320, 180), "rate_hz": 20, "duration_s": 1.5, "speed": "fast"}
    )
    assert [packet.t_ns for packet in ran.packets] == [i * 50_000_000 for i in range(30)]
    assert all(isinstance(value, Image) and value.size == (320, 180) for value in ran.values)


def test_without_a_duration_it_goes_on() -> None:
    assert len(run_source(Conveyor, {"size": SMALL, "speed": "fast"}, limit=400).packets) == 400


def test_in_real_time_each_picture_comes_when_it_is_due() -> None:
    """Waiting moves the fake clock, which stamps each packet."""
    ran = run_source(Conveyor, {"size": SMALL, "rate_hz": 10, "duration_s": 2})
    late = {packet.taken_ns - packet.t_ns for packet in ran.packets}
    assert len(ran.packets) == 20
    assert len(late) == 1


def test_it_is_live_only_in_real_time() -> None:
    """A live source has a link that drops; in a fast run nothing may be lost."""
    live = register(Conveyor).live
    assert live(ConveyorOptions.model_validate({}))
    assert not live(ConveyorOptions.model_validate({"speed": "fast"}))


@pytest.mark.parametrize("size", [(63, 64), (640, 5000), (-1, 100)])
def test_a_size_that_cannot_be_drawn_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="width and height are 64 to 4096 pixels"):
        ConveyorOptions.model_validate({"size": size})


@pytest.mark.parametrize("size", [(64, 64), (97, 431), (1280, 720), (640, 64)])
def test_any_other_size_can_be_drawn(size: tuple[int, int]) -> None:
    for pixels, _ in islice(scene(3, size=size), 3):
        assert pixels.shape == (size[1], size[0], 3)


def test_a_seed_gives_the_same_pictures_and_another_seed_others() -> None:
    def pictures(seed: int) -> list[Any]:
        return [pixels.copy() for pixels, _ in islice(scene(seed, size=SMALL), 20)]

    first, again, other = pictures(5), pictures(5), pictures(6)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_pictures_are_arrays_of_their_own() -> None:
    """An emitted picture is frozen: drawing the next one must not need it."""
    kept = []
    for pixels, _ in islice(scene(5, size=SMALL), 20):
        pixels.flags.writeable = False
        kept.append((pixels, pixels.copy()))
    assert all(np.array_equal(pixels, copy) for pixels, copy in kept)


def test_the_truth_lies_in_the_picture() -> None:
    for truth in _truths(2, 100, rate_hz=2.0):
        assert truth.xyxy.dtype == np.float32
        assert truth.classes.dtype == np.int32
        assert len(truth.xyxy) == len(truth.classes) == len(truth.visible)
        assert (truth.xyxy >= 0).all()
        assert (truth.xyxy <= 1).all()
        assert (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all()
        assert (truth.visible > 0).all()
        assert (truth.visible <= 1).all()


def test_bottles_travel_to_the_right_at_the_pace_of_the_belt_and_do_not_overlap() -> None:
    truths = _truths(2, 60, rate_hz=25.0)
    steps = set()
    for before, after in pairwise(truths):
        whole = [t.xyxy[t.visible == 1] for t in (before, after)]
        count = min(len(boxes) for boxes in whole)
        if count and len(whole[0]) == len(whole[1]):
            moved = (whole[1][:, 0] - whole[0][:, 0]) * SMALL[0]
            steps |= {round(float(step)) for step in moved}
        lefts, rights = after.xyxy[:, 0], after.xyxy[:, 2]
        assert (lefts[:-1] >= rights[1:]).all()
    assert steps <= {1, 2}, "between 0.42 and 0.55 of the height in a second"
    assert steps


@pytest.mark.parametrize("faulty", [0.0, 0.5, 1.0])
def test_the_asked_share_of_bottles_is_faulty(faulty: float) -> None:
    kinds = np.concatenate([t.classes for t in _truths(4, 60, rate_hz=0.2, faulty=faulty)])
    assert np.mean(kinds > 0) == pytest.approx(faulty, abs=0.1)
    assert set(kinds) == set(range(len(LABELS))) - ({0} if faulty == 1 else set()) - (
        {1, 2} if faulty == 0 else set()
    )


def test_above_the_belt_only_what_the_truth_names_moves() -> None:
    """The boxes hold every bottle: outside of them two pictures differ by light and noise alone."""
    size = (640, 360)
    pictures = list(islice(scene(9, size=size, rate_hz=2.0), 12))
    belt = round(0.76 * size[1])
    for (before, was), (after, now) in pairwise(pictures):
        outside = np.ones((size[1], size[0]), bool)
        for box in np.concatenate((was.xyxy, now.xyxy)):
            left, top, right, bottom = np.rint(box * np.array(size * 2)).astype(int)
            outside[top:bottom, left:right] = False
        changed = np.abs(after.astype(int) - before).max(axis=2)[:belt]
        # 20 of noise, and of light 5 %, or 20 % more when it drops.
        assert np.percentile(changed[outside[:belt]], 99.5) < 80
        assert np.percentile(changed[~outside[:belt]], 90) > 80
