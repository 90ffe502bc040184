"""The person clip against a hand-made list of who comes and goes when.

`tests/reference/person_clip.json` says how the list was made. The detections are our own of
YOLOX-Nano for every frame, made by a real run; the script beside them makes them again.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import Detections, Event, Packet
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.lines import Lines
from edgeapp.transforms.sightings import Sightings
from edgeapp.transforms.track import Track
from edgeapp.transforms.zones import Zones

FRAMES = 1394
ENTRY_S, EXIT_S, CROSSING_S = 1.0, 0.6, 0.4
"""How far from the list the first and last sight and the crossing may be."""

Listed = dict[str, Any]


@pytest.fixture(scope="module")
def listed(repo: Path) -> Listed:
    """Who comes and goes when, by eye."""
    text = (repo / "tests" / "reference" / "person_clip.json").read_text()
    read: Listed = json.loads(text)
    return read


@pytest.fixture(scope="module")
def tracked(repo: Path, listed: Listed) -> list[Packet[Any]]:
    """The clip's detections through the tracker with its defaults."""
    kept = json.loads((repo / "tests" / "reference" / "person_clip_boxes.json").read_text())
    by_frame: dict[int, list[list[float]]] = defaultdict(list)
    for frame, *row in kept["rows"]:
        by_frame[frame].append(row)
    shown = []
    for frame in range(FRAMES):
        rows = np.array(by_frame[frame], np.float32).reshape(-1, 5)
        classes = np.zeros(len(rows), np.int32)
        shown.append(Detections(rows[:, :4].copy(), rows[:, 4].copy(), classes, ("person",)))
    return run_stage(Track, {}, packets(shown, rate_hz=listed["rate_hz"])).packets


def test_six_people_have_six_ids_and_keep_them(listed: Listed, tracked: list[Packet[Any]]) -> None:
    """Each is found from entry to exit under one id, and nobody else ever is."""
    people = listed["people"]
    for packet in tracked:
        for one in packet.value.ids.tolist():
            person = people[one - 1]
            assert person["first"] <= packet.seq <= person["last"], (one, packet.seq)
    frames = defaultdict(list)
    for packet in tracked:
        for one in packet.value.ids.tolist():
            frames[one].append(packet.seq)
    assert sorted(frames) == [1, 2, 3, 4, 5, 6]
    for one, person in enumerate(people, start=1):
        between = person["last"] - person["shoulders"] + 1
        print(f"{person['who']:<30} {len(frames[one])} of {between} frames")
        assert len(frames[one]) >= 0.95 * between


def test_sightings_begin_and_end_when_the_people_do(
    listed: Listed, tracked: list[Packet[Any]]
) -> None:
    events: list[Event] = run_stage(Sightings, {}, tracked).values
    new = [event for event in events if event.phase == "new"]
    end = [event for event in events if event.phase == "end"]
    assert len(new) == len(end) == len(listed["people"])
    for person, began, ended in zip(listed["people"], new, end, strict=True):
        assert began.event == ended.event
        entry_s = began.began_ns / 1e9 - person["shoulders"] / listed["rate_hz"]
        age_s = ended.facts["age_s"]
        assert isinstance(age_s, float)
        exit_s = ended.began_ns / 1e9 + age_s - person["last"] / listed["rate_hz"]
        print(f"{person['who']:<30} entry {entry_s:+.1f} s, exit {exit_s:+.1f} s")
        assert abs(entry_s) <= ENTRY_S
        assert abs(exit_s) <= EXIT_S
        assert ended.label == "person"


def test_everyone_crosses_the_line_once_and_when_the_list_says(
    listed: Listed, tracked: list[Packet[Any]]
) -> None:
    ran = run_stage(Lines, {"lines": {"exit": listed["line"]}, "anchor": "centre"}, tracked)
    crossings = [event for event in ran.values if event.phase == "new"]
    assert [event.facts["track"] for event in crossings] == [1, 2, 3, 4, 5, 6]
    assert crossings[-1].facts["out"] == 6
    assert crossings[-1].facts["in"] == 0
    for person, event in zip(listed["people"], crossings, strict=True):
        late_s = event.began_ns / 1e9 - person["over_the_line"] / listed["rate_hz"]
        print(f"{person['who']:<30} over the line {late_s:+.1f} s")
        assert abs(late_s) <= CROSSING_S


def test_everyone_stays_at_the_table(listed: Listed, tracked: list[Packet[Any]]) -> None:
    """Six stays of one person each, every one with its dwelling told, between entry and exit."""
    table = {"table": [[0.4, 0.6], [0.75, 0.6], [0.75, 1.0], [0.4, 1.0]]}
    ran = run_stage(Zones, {"zones": table, "dwell_s": 5.0}, tracked)
    for phase in ("new", "update", "end"):
        told = [event for event in ran.values if event.phase == phase]
        assert [event.facts["track"] for event in told] == [1, 2, 3, 4, 5, 6], phase
    for person, event in zip(listed["people"], ran.values[::3], strict=True):
        assert person["first"] <= event.began_ns / 1e8 <= person["over_the_line"]
        assert event.facts["inside"] == 1
