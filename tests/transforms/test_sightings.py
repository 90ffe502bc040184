"""One event for each thing, from its first sight to its end."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeapp.api import Event, Tracks, View
from edgeapp.testing import Ran, run_stage
from edgeapp.transforms.sightings import Sightings
from tests.transforms.moving import Row, box, packet, picture, stream, tracks

NOBODY: dict[int, Row] = {}


def told(values: Sequence[Tracks], options: dict[str, Any] | None = None) -> Ran:
    """What comes of pictures, ten a second."""
    ran = run_stage(Sightings, options or {}, stream(values))
    assert not ran.log.said("error")
    return ran


def phases(ran: Ran) -> list[tuple[str, float]]:
    """Phase and time of each event."""
    return [(p.value.phase, p.t_ns / 1e9) for p in ran.packets]


def test_a_visit_is_new_then_ended_when_gone_for_long_enough() -> None:
    shown = [tracks({1: box(0.5)})] * 10 + [tracks(NOBODY)] * 50
    ran = told(shown)
    assert phases(ran) == [("new", 0.0), ("end", 4.0)]
    new, end = ran.values
    assert isinstance(new, Event)
    assert new.event == end.event
    assert (end.kind, end.label, end.began_ns) == ("track", "person", 0)
    assert end.facts == {"track": 1, "age_s": 0.9, "moved": 0.0}


def test_a_short_gap_is_no_end() -> None:
    shown = [tracks({1: box(0.5)}), *[tracks(NOBODY)] * 20, tracks({1: box(0.6)})]
    assert [phase for phase, _ in phases(told(shown))] == ["new", "end"]
    assert told(shown).values[1].facts["age_s"] == 2.1


def test_who_stays_is_told_of_every_update_s() -> None:
    ran = told([tracks({1: box(0.5)})] * 100, {"update_s": 3.0})
    assert phases(ran) == [
        ("new", 0.0),
        ("update", 3.0),
        ("update", 6.0),
        ("update", 9.0),
        ("end", 9.9),
    ]


def test_a_much_better_picture_is_told_at_once() -> None:
    far, near = box(0.5, height=0.2), box(0.5, height=0.5)
    ran = told([tracks({1: far}, image=picture()), tracks({1: near}, image=picture())])
    assert phases(ran) == [("new", 0.0), ("update", 0.1), ("end", 0.1)]


def test_the_stream_s_end_ends_what_is_open() -> None:
    ran = told([tracks({1: box(0.3), 2: box(0.7)})] * 5)
    assert phases(ran) == [("new", 0.0), ("new", 0.0), ("end", 0.4), ("end", 0.4)]


def test_a_reopened_source_ends_what_was_open_at_its_last_time() -> None:
    shown = [tracks({1: box(0.5)})] * 3
    ran = run_stage(Sightings, {}, [*stream(shown), *stream(shown, epoch=1, begin_s=50.0)])
    assert phases(ran) == [("new", 0.0), ("end", 0.2), ("new", 50.0), ("end", 50.2)]
    assert len({event.event for event in ran.values}) == 2


def test_what_a_picture_does_not_show_is_not_gone() -> None:
    right = picture(View(0.5, 0, 0.5, 1))
    shown = [tracks({1: box(0.2)}), *[tracks(NOBODY, image=right)] * 100, tracks({1: box(0.2)})]
    assert phases(told(shown)) == [("new", 0.0), ("update", 10.1), ("end", 10.1)]


def test_a_long_silence_is_no_end_if_it_is_still_there() -> None:
    """As behind a motion gate."""
    shown = [packet(tracks({1: box(0.5)}), t, seq=round(t)) for t in (0, 60, 61)]
    ran = run_stage(Sightings, {"update_s": 100.0}, shown)
    assert phases(ran) == [("new", 0.0), ("end", 61.0)]


def test_the_label_is_the_one_with_the_most_score_behind_it() -> None:
    shown = [
        tracks({1: box(0.5)}, kinds={1: kind}, score=score)
        for kind, score in [(2, 0.5), (1, 0.9), (1, 0.8), (2, 0.5), (2, 0.5)]
    ]
    end = told(shown).values[-1]
    assert end.label == "car"
    assert abs(end.score - 0.9) < 1e-6


def test_the_snapshot_is_the_best_cut_out_with_a_margin() -> None:
    row = (0.25, 0.2, 0.5, 0.6)
    new = told([tracks({1: row}, image=picture(width=400, height=200))]).values[0]
    view = new.image.view
    np.testing.assert_allclose(
        (view.left, view.top, view.width, view.height), (0.225, 0.16, 0.3, 0.48), atol=0.01
    )
    assert new.image.size == (120, 96)


def test_a_worse_picture_does_not_replace_the_snapshot() -> None:
    near, far = box(0.5, height=0.6), box(0.5, height=0.2)
    ran = told([tracks({1: row}, image=picture()) for row in (near, far, far)])
    assert ran.values[-1].image is ran.values[0].image
    assert ran.values[-1].box != ran.values[0].box


def test_the_snapshot_may_be_the_whole_picture_or_none() -> None:
    image = picture()
    assert (
        told([tracks({1: box(0.5)}, image=image)], {"snapshot": "picture"}).values[0].image is image
    )
    assert told([tracks({1: box(0.5)}, image=image)], {"snapshot": "none"}).values[0].image is None


def test_a_cut_out_does_not_keep_the_whole_picture_in_memory() -> None:
    image = picture(width=400, height=200)
    pixels = told([tracks({1: box(0.5)}, image=image)]).values[0].image.pixels
    assert pixels.base is None
    assert not np.shares_memory(pixels, image.pixels)


def test_snapshots_share_a_bounded_memory() -> None:
    """Whole pictures of 1 MB each: 64 find room, and again once those have ended."""
    pictures = [picture(width=700, height=500) for _ in range(70)]
    shown = [tracks({n + 1: box(0.5)}, image=image) for n, image in enumerate(pictures)]
    again = tracks({100: box(0.5)}, image=picture(width=700, height=500))
    ran = told([*shown, *[tracks(NOBODY)] * 90, again], {"snapshot": "picture", "gone_s": 8.0})
    kept = [event for event in ran.values if event.phase == "new" and event.image is not None]
    assert 60 <= len(kept) <= 66
    assert kept[-1].facts["track"] == 100


def test_how_far_it_moved_is_told() -> None:
    shown = [tracks({1: box(x)}) for x in (0.2, 0.5, 0.8, 0.5)]
    assert told(shown).values[-1].facts["moved"] == 0.6
