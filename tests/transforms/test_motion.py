"""Motion: what passes while something moves, and while nothing does."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Image, Packet, View
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.motion import Motion

RATE_HZ = 10.0
SIZE = (320, 180)
CALM: dict[str, Any] = {"warm_up_s": 1.0, "hold_s": 1.0, "idle_s": 2.0}

Draw = Callable[[int, np.ndarray[Any, np.dtype[np.float32]]], None]


def scene(count: int, draw: Draw | None = None, *, size: tuple[int, int] = SIZE) -> list[Image]:
    """Pictures of a still, noisy scene, onto which `draw(number, levels)` draws."""
    chance = np.random.default_rng(7)
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    still = 90 + 40 * np.sin(x / 17) + 30 * np.cos(y / 11)
    images = []
    for number in range(count):
        levels = (still + chance.normal(0, 3, still.shape)).astype(np.float32)
        if draw:
            draw(number, levels)
        grey = levels.clip(0, 255).astype(np.uint8)
        images.append(Image(np.repeat(grey[..., None], 3, axis=2)))
    return images


def passed(images: Sequence[Image], **options: Any) -> list[int]:
    """The numbers of the pictures that go on."""
    ran = run_stage(Motion, CALM | options, packets(images, rate_hz=RATE_HZ))
    assert not ran.dropped
    assert ran.meters.faults == 0
    assert all(packet.lost == 0 for packet in ran.packets)
    return [packet.seq for packet in ran.packets]


def square(left: float, top: float, side: int = 24) -> Draw:
    """A bright square that stands still."""

    def draw(_number: int, levels: Any) -> None:
        levels[round(top) : round(top) + side, round(left) : round(left) + side] += 70

    return draw


def walking(begin: int, end: int, side: int = 24) -> Draw:
    """A bright square that comes from the left, two pixels further in each picture."""

    def draw(number: int, levels: Any) -> None:
        if begin <= number < end:
            square(10 + 2 * (number - begin), 60, side)(number, levels)

    return draw


def test_in_a_still_scene_a_picture_passes_now_and_then() -> None:
    """Everything for a second, then one in two seconds, in spite of the noise."""
    assert passed(scene(100)) == [*range(10), 29, 49, 69, 89]


def test_what_moves_passes_at_once_and_for_a_while_afterwards() -> None:
    numbers = passed(scene(120, walking(40, 70)))
    assert set(range(40, 80)) <= set(numbers)
    assert len(set(numbers) - set(range(40, 81))) <= 10 + 4  # warming up, and one in two seconds


def test_what_stands_still_belongs_to_the_scene_after_a_while() -> None:
    """It comes and stays: motion for about `learn_s`, which is 80 pictures here."""

    def draw(number: int, levels: Any) -> None:
        if 20 <= number < 200:
            square(100, 60)(number, levels)

    numbers = passed(scene(220, draw), learn_s=8.0)
    first_held = next(number for number in range(20, 200) if number not in numbers)
    assert 20 + 40 <= first_held <= 20 + 120


def test_light_switched_on_is_motion_for_a_moment_only() -> None:
    def draw(number: int, levels: Any) -> None:
        if number >= 40:
            levels[:] = 60 + levels * 0.4  # flatter as well, so that no gain explains it

    assert set(range(40, 51)) <= set(numbers := passed(scene(100, draw)))
    assert len([number for number in numbers if number > 50]) <= 3


def test_slow_exposure_is_no_motion() -> None:
    """A camera that makes everything darker by half within three seconds, and brighter again."""

    def draw(number: int, levels: Any) -> None:
        levels *= 1 - 0.5 * np.clip(min(number - 30, 90 - number) / 30, 0, 1)

    assert passed(scene(120, draw)) == passed(scene(120))


def test_what_flickers_all_the_time_becomes_quiet() -> None:
    """A tree in the wind: at first it moves, later it is as the scene is."""

    def draw(number: int, levels: Any) -> None:
        if number >= 30 and number % 3:
            levels[20:70, 200:260] += 45

    numbers = passed(scene(400, draw), learn_s=8.0)
    assert set(range(31, 60)) <= set(numbers)
    assert len([n for n in numbers if n >= 300]) <= 8


def test_something_small_is_ignored() -> None:
    images = scene(100, walking(40, 70, side=8))
    quiet = passed(scene(100))
    assert passed(images, min_area=0.005) == quiet
    assert set(range(42, 70)) <= set(passed(images, min_area=0.0005))


def test_nothing_counts_where_it_is_ignored() -> None:
    """The walk lies in the left part, at half the height."""
    images = scene(100, walking(40, 70))
    quiet = passed(scene(100))
    assert passed(images, ignore={"path": [[0, 0.3], [0.4, 0.3], [0.4, 0.5], [0, 0.5]]}) == quiet
    assert passed(images, ignore={"sky": [[0, 0], [1, 0], [1, 0.2]]}) != quiet


def test_what_is_ignored_lies_in_the_source_picture() -> None:
    """The same walk, in a view of the lower right quarter of the source."""
    view = View(0.5, 0.5, 0.5, 0.5)
    images = [Image(image.pixels, view) for image in scene(100, walking(40, 70))]
    quiet = passed(scene(100))
    path = [[0.5, 0.65], [0.7, 0.65], [0.7, 0.75], [0.5, 0.75]]
    assert passed(images, ignore={"path": path}) == quiet
    elsewhere = [[0, 0.3], [0.4, 0.3], [0.4, 0.5], [0, 0.5]]
    assert passed(images, ignore={"path": elsewhere}) != quiet


def test_a_region_is_the_square_around_what_moves_and_knows_where_it_is() -> None:
    images = scene(80, walking(40, 70))
    ran = run_stage(Motion, CALM | {"where": "region"}, packets(images, rate_hz=RATE_HZ))
    by_number = {packet.seq: packet.value for packet in ran.packets}
    assert by_number[5] is images[5]
    for number in range(45, 70):
        part = by_number[number]
        left, top = (
            round(part.view.left * SIZE[0]),
            round(part.view.top * SIZE[1]),
        )
        assert part.size[0] == part.size[1]
        assert part.size[0] >= 90  # half the shorter side, by default
        assert left <= 10 + 2 * (number - 40)
        assert left + part.size[0] >= 10 + 2 * (number - 40) + 24
        assert top <= 60
        assert top + part.size[1] >= 84
        assert part.view.width * SIZE[0] == pytest.approx(part.size[0])
        shown = images[number].pixels[top : top + part.size[1], left : left + part.size[0]]
        assert np.array_equal(part.pixels, shown)


def test_a_region_that_would_be_most_of_the_picture_is_the_picture() -> None:
    def draw(number: int, levels: Any) -> None:
        if number >= 40:
            levels[10:40, 10 + number % 5 : 40] += 70
            levels[140:170, 280 + number % 5 : 310] += 70

    images = scene(50, draw)
    ran = run_stage(Motion, CALM | {"where": "region"}, packets(images, rate_hz=RATE_HZ))
    assert ran.packets[-1].value is images[49]


def test_the_scene_is_learned_afresh_when_the_source_was_reopened() -> None:
    first = list(packets(scene(50), rate_hz=RATE_HZ))
    again = [packet._replace(epoch=1) for packet in packets(scene(50), rate_hz=RATE_HZ)]
    ran = run_stage(Motion, CALM, [*first, *again])
    assert [p.seq for p in ran.packets if p.epoch == 1] == [
        p.seq for p in ran.packets if p.epoch == 0
    ]


def test_another_view_is_another_scene() -> None:
    images = scene(60)
    moved = [Image(image.pixels, View(0, 0, 0.5, 0.5)) for image in images[30:]]
    assert set(range(30, 40)) <= set(passed([*images[:30], *moved]))


@settings(max_examples=20, deadline=None)
@given(
    moves=st.lists(st.booleans(), min_size=30, max_size=60),
    idle_s=st.sampled_from([0.3, 1.0, 2.5]),
    rate_hz=st.sampled_from([3.0, 10.0]),
)
def test_the_wait_for_a_picture_has_an_end(
    moves: list[bool], idle_s: float, rate_hz: float
) -> None:
    """Whatever moves: between two pictures lie `idle_s` and one period at most."""

    def draw(number: int, levels: Any) -> None:
        if moves[number]:
            square(number % 40, 5, 14)(number, levels)

    images = scene(len(moves), draw, size=(64, 36))
    given = list(packets(images, rate_hz=rate_hz))
    ran = run_stage(Motion, {"idle_s": idle_s, "warm_up_s": 0.0, "hold_s": 0.0}, given)
    times = [packet.t_ns for packet in ran.packets] + [given[-1].t_ns]
    waits = np.diff(times)
    assert (waits <= idle_s * 1e9 + 1e9 / rate_hz + 1).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (319, 7), (321, 241), (643, 5), (1, 700)])
@pytest.mark.parametrize("where", ["whole", "region"])
def test_pictures_of_any_size_and_grey_ones_too(size: tuple[int, int], where: str) -> None:
    chance = np.random.default_rng(1)
    shape = (size[1], size[0])
    images = [Image(chance.integers(0, 256, shape).astype(np.uint8)) for _ in range(4)]
    ran = run_stage(
        Motion,
        {
            "warm_up_s": 0.0,
            "min_area": 0.0,
            "where": where,
            "ignore": {"a": [[0, 0], [0.1, 0], [0, 0.1]]},
        },
        packets(images, rate_hz=RATE_HZ),
    )
    assert ran.meters.faults == 0
    assert ran.packets


def test_a_polygon_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"(?s)ignore\.road.*on one line"):
        run_stage(Motion, {"ignore": {"road": [[0, 0], [0.5, 0.5], [1, 1]]}}, [])


def test_time_that_stands_still_is_no_trouble() -> None:
    """Two pictures of one instant."""
    image = scene(1)[0]
    twins = [Packet(image, "camera", 0, seq, 0, 0, 0, 0, 0, ()) for seq in range(3)]
    assert run_stage(Motion, CALM, twins).meters.faults == 0
