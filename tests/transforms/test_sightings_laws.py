"""Laws of every stage that makes events of tracks, whatever the tracks do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.api import Event, Packet, Tracks, View
from edgeapp.testing import run_stage
from edgeapp.transforms.lines import Lines
from edgeapp.transforms.sightings import Sightings
from edgeapp.transforms.zones import Zones
from tests.transforms.moving import box, packet, picture, tracks

STAGES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "sightings": (Sightings, {"update_s": 0.5, "gone_s": 1.0}),
    "zones": (
        Zones,
        {
            "zones": {
                "a": ((0.0, 0.0), (0.6, 0.0), (0.6, 1.0), (0.0, 1.0)),
                "b": ((0.3, 0.5), (1.0, 0.5), (0.7, 1.0)),
            },
            "dwell_s": 0.7,
            "enter_s": 0.1,
            "leave_s": 0.2,
            "gone_s": 1.0,
        },
    ),
    "lines": (Lines, {"lines": {"a": ((0.5, 0.0), (0.5, 1.0))}, "gone_s": 1.0}),
}


def stream(seed: int) -> list[Packet[Any]]:
    """Tracks that come, jump, vanish and return; pictures of parts; epochs; stopped anywhere."""
    chance = np.random.default_rng(seed)
    views = [None, picture(width=16, height=9), picture(View(0, 0, 0.5, 1), 16, 9)]
    t_s, epoch, packets = 0.0, 0, []
    places = {n: float(chance.random()) for n in range(1, 5)}
    for n in range(int(chance.integers(1, 40))):
        t_s += float(chance.choice([0.0, 0.1, 0.1, 0.3, 2.0]))
        epoch += int(chance.random() < 0.05)
        for one, x in places.items():
            places[one] = min(1.0, max(0.0, x + chance.normal(0, 0.15)))
        here = {one: box(x) for one, x in places.items() if chance.random() < 0.7}
        kinds = {one: int(chance.integers(0, 3)) for one in here}
        value = tracks(here, kinds=kinds, image=views[chance.integers(3)])
        packets.append(packet(value, t_s, seq=n, epoch=epoch))
    return packets


@pytest.mark.parametrize("name", STAGES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_every_event_that_begins_ends_once_and_last(name: str, seed: int) -> None:
    stage, options = STAGES[name]
    ran = run_stage(stage, options, stream(seed))
    assert not ran.log.said("error")
    open_: dict[str, Event] = {}
    ended: set[str] = set()
    things: set[tuple[Any, ...]] = set()
    for event in ran.values:
        thing = thing_of(event.facts)
        if event.phase == "new":
            assert event.event not in open_
            assert event.event not in ended
            assert thing not in things, "two open events of one thing"
            open_[event.event] = event
            things.add(thing)
        else:
            began = open_[event.event]
            assert (event.began_ns, event.kind) == (began.began_ns, began.kind)
        if event.phase == "end":
            del open_[event.event]
            ended.add(event.event)
            things.discard(thing)
    assert not open_


def thing_of(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an event is about."""
    return facts["track"], facts.get("zone"), facts.get("line")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_times_of_events_never_go_back_within_an_epoch(seed: int) -> None:
    packets = stream(seed)
    ran = run_stage(Sightings, STAGES["sightings"][1], packets)
    assert all(isinstance(p.value, Tracks) for p in packets)
    times = [p.t_ns for p in ran.packets]
    assert times == sorted(times)
