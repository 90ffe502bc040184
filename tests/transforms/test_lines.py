"""Counting what crosses lines."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from edgeapp.api import Tracks
from edgeapp.testing import Ran, run_stage
from edgeapp.transforms.lines import Lines
from tests.transforms.moving import Row, box, stream, tracks

UPRIGHT = {"door": [[0.5, 0.3], [0.5, 0.9]]}
"""Drawn downwards: its right side, looking along it, is the left of the picture."""
LEVEL = {"kerb": [[0.2, 0.5], [0.8, 0.5]]}
"""Drawn from left to right: its right side is below."""
NOBODY: dict[int, Row] = {}


def told(values: Sequence[Tracks], lines: object = UPRIGHT, **options: Any) -> Ran:
    """What comes of pictures, ten a second."""
    ran = run_stage(Lines, {"lines": lines, **options}, stream(values))
    assert not ran.log.said("error")
    return ran


def at(*xs: float, one: int = 1) -> list[Tracks]:
    """A track at these places."""
    return [tracks({one: box(x)}) for x in xs]


def directions(ran: Ran) -> list[str]:
    """Of each crossing."""
    return [event.facts["direction"] for event in ran.values if event.phase == "new"]


def test_a_crossing_is_an_event_of_an_instant() -> None:
    ran = told(at(0.3, 0.4, 0.6, 0.7))
    assert [(p.value.phase, p.t_ns) for p in ran.packets] == [
        ("new", 2 * 10**8),
        ("end", 2 * 10**8),
    ]
    new, end = ran.values
    assert new.event == end.event
    assert (new.kind, new.label, new.began_ns) == ("line", "person", 2 * 10**8)
    assert new.facts == {"line": "door", "direction": "out", "track": 1, "in": 0, "out": 1}


def test_in_is_to_the_right_of_the_line_looking_along_it() -> None:
    assert directions(told(at(0.3, 0.7))) == ["out"]
    assert directions(told(at(0.7, 0.3))) == ["in"]
    down = [tracks({1: box(0.5, bottom=y)}) for y in (0.4, 0.6)]
    assert directions(told(down, LEVEL)) == ["in"]
    turned = {"kerb": [[0.8, 0.5], [0.2, 0.5]]}
    assert directions(told(down, turned)) == ["out"]


def test_directions_have_names_of_ones_own() -> None:
    ran = told(at(0.3, 0.7), to_right="west", to_left="east")
    assert ran.values[0].facts["direction"] == "east"
    assert (ran.values[0].facts["east"], ran.values[0].facts["west"]) == (1, 0)


def test_trembling_on_the_line_is_no_crossing() -> None:
    assert directions(told(at(0.4, *[0.51, 0.49] * 30, 0.4))) == []


def test_trembling_while_crossing_is_one_crossing() -> None:
    assert directions(told(at(0.4, *[0.51, 0.49] * 30, 0.6, 0.7))) == ["out"]


def test_there_and_back_and_there_again_counts_once_each_way() -> None:
    ran = told(at(0.3, 0.7, 0.3, 0.7, 0.3))
    assert directions(ran) == ["out", "in"]


def test_another_track_counts_for_itself() -> None:
    ran = told([*at(0.3, 0.7), *at(0.3, 0.7, one=2), *at(0.7, 0.3, one=3)])
    assert directions(ran) == ["out", "out", "in"]
    assert (ran.values[-1].facts["in"], ran.values[-1].facts["out"]) == (1, 2)


def test_who_walks_around_the_end_has_not_crossed() -> None:
    around = [(0.4, 0.6), (0.4, 0.95), (0.6, 0.95), (0.6, 0.6)]
    shown = [tracks({1: box(x, bottom=y)}) for x, y in around]
    assert directions(told(shown)) == []


def test_who_is_hidden_while_crossing_is_counted() -> None:
    shown = [*at(0.3, 0.4), *[tracks(NOBODY)] * 10, *at(0.6)]
    assert directions(told(shown)) == ["out"]


def test_the_centre_may_count_in_place_of_the_feet() -> None:
    down = [tracks({1: box(0.5, bottom=y)}) for y in (0.4, 0.6)]
    assert directions(told(down, LEVEL, anchor="centre")) == []


def test_a_reopened_source_goes_on_counting_but_knows_no_track() -> None:
    ran = run_stage(
        Lines,
        {"lines": UPRIGHT},
        [*stream(at(0.3, 0.7, 0.8)), *stream(at(0.3, 0.3, 0.7), epoch=1, begin_s=9.0)],
    )
    assert [event.facts["out"] for event in ran.values] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"lines": {"door": ((0.1, 0.1), (0.1, 0.1))}}, "two different ends"),
        ({"lines": {"door": ((0.1, 0.1), (1.1, 0.1))}}, "between 0 and 1"),
        ({"lines": {}}, "at least 1"),
        ({"lines": UPRIGHT, "to_right": "a", "to_left": "a"}, "different names"),
        ({"lines": UPRIGHT, "to_right": "track"}, "cannot be called 'track'"),
    ],
)
def test_lines_that_mean_nothing_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        run_stage(Lines, options, [])
