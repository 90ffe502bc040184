"""Who is in which part of the picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import Tracks, View
from edgeapp.testing import Ran, run_stage
from edgeapp.transforms._shapes import contains
from edgeapp.transforms.zones import Zones
from tests.transforms.moving import Row, box, picture, stream, tracks

HALF = {"left": [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]}
NOBODY: dict[int, Row] = {}


def told(values: Sequence[Tracks], **options: Any) -> Ran:
    """What comes of pictures, ten a second, with the left half as a zone."""
    ran = run_stage(Zones, {"zones": HALF, **options}, stream(values))
    assert not ran.log.said("error")
    return ran


def phases(ran: Ran) -> list[tuple[str, float]]:
    """Phase and time of each event."""
    return [(p.value.phase, p.t_ns / 1e9) for p in ran.packets]


def at(*xs: float) -> list[Tracks]:
    """Track 1, at these places."""
    return [tracks({1: box(x)}) for x in xs]


def test_a_stay_is_told_from_entering_to_leaving() -> None:
    ran = told(at(*[0.8] * 5, *[0.2] * 20, *[0.8] * 20))
    assert phases(ran) == [("new", 0.8), ("end", 3.5)]
    new, end = ran.values
    assert (new.kind, new.label, new.began_ns, new.event) == (
        "zone",
        "person",
        5 * 10**8,
        end.event,
    )
    assert end.facts == {"zone": "left", "track": 1, "dwell_s": 1.9, "dwelling": False, "inside": 0}


def test_flicker_at_the_edge_is_one_stay() -> None:
    ran = told(at(*[0.2] * 5, *[0.51, 0.49] * 20, *[0.2] * 5))
    assert [phase for phase, _ in phases(ran)] == ["new", "end"]


def test_who_only_brushes_the_zone_has_not_entered() -> None:
    assert phases(told(at(0.8, 0.4, 0.4, 0.8, 0.8))) == []


def test_dwelling_is_told_once() -> None:
    ran = told(at(*[0.2] * 60), dwell_s=2.0)
    assert phases(ran) == [("new", 0.3), ("update", 2.0), ("end", 5.9)]
    assert [event.facts["dwelling"] for event in ran.values] == [False, True, True]


def test_who_is_lost_inside_leaves_when_gone() -> None:
    ran = told([*at(*[0.2] * 10), *[tracks(NOBODY)] * 60])
    assert phases(ran) == [("new", 0.3), ("end", 4.0)]
    assert ran.values[-1].facts["dwell_s"] == 0.9


def test_who_is_not_looked_at_stays() -> None:
    right = picture(View(0.5, 0, 0.5, 1))
    ran = told([*at(*[0.2] * 10), *[tracks(NOBODY, image=right)] * 100, *at(0.2)])
    assert phases(ran) == [("new", 0.3), ("end", 11.0)]


def test_the_feet_say_where_someone_is_unless_told_otherwise() -> None:
    floor = {"floor": [[0.0, 0.7], [1.0, 0.7], [1.0, 1.0], [0.0, 1.0]]}
    standing = [tracks({1: box(0.5, bottom=0.8)})] * 5
    assert [phase for phase, _ in phases(told(standing, zones=floor))] == ["new", "end"]
    assert phases(told(standing, zones=floor, anchor="centre")) == []


def test_labels_are_told_apart() -> None:
    both = [tracks({1: box(0.2), 2: box(0.3)}, kinds={2: 1})] * 10
    ran = told(both, label="car")
    assert {(event.label, event.facts["track"]) for event in ran.values} == {("car", 2)}


def test_each_zone_has_its_own_stays_and_counts() -> None:
    zones = {**HALF, "all": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]}
    ran = told([tracks({1: box(0.2), 2: box(0.3), 3: box(0.8)})] * 10, zones=zones)
    counts = [(e.phase, e.facts["zone"], e.facts["inside"]) for e in ran.values]
    assert counts[:5] == [
        ("new", "left", 1),
        ("new", "left", 2),
        ("new", "all", 1),
        ("new", "all", 2),
        ("new", "all", 3),
    ]
    assert {(zone, inside) for phase, zone, inside in counts[5:]} == {
        ("left", 1), ("left", 0), ("all", 2), ("all", 1), ("all", 0),
    }  # fmt: skip


def test_a_reopened_source_ends_the_stays_at_their_last_time() -> None:
    ran = run_stage(
        Zones,
        {"zones": HALF},
        [*stream(at(*[0.2] * 6)), *stream(at(*[0.2] * 6), epoch=1, begin_s=90.0)],
    )
    assert phases(ran) == [("new", 0.3), ("end", 0.5), ("new", 90.3), ("end", 90.5)]


@pytest.mark.parametrize(
    ("corners", "problem"),
    [
        ([[0.1, 0.1], [0.9, 0.9]], "at least 3"),
        ([[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]], "its edges cross"),
        ([[0.1, 0.1], [1.5, 0.1], [0.5, 0.9]], "between 0 and 1"),
    ],
)
def test_a_zone_that_is_no_polygon_is_refused_by_name(
    corners: list[list[float]], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        run_stage(Zones, {"zones": {"yard": [tuple(corner) for corner in corners]}}, [])
    assert {"zones", "yard"} <= set(caught.value.errors()[0]["loc"])


def test_points_inside_a_bent_polygon_are_found() -> None:
    """An L: its notch is outside."""
    bent = np.array([(0, 0), (0.4, 0), (0.4, 0.6), (1, 0.6), (1, 1), (0, 1)])
    points = np.array([(0.2, 0.3), (0.7, 0.3), (0.7, 0.8), (0.2, 0.8), (0.5, 0.59)])
    assert contains(bent, points).tolist() == [True, False, True, True, False]
