"""A reload changes nothing for a stage that recalls: it answers as if it had gone on."""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import Event, Labels, Packet, Score
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry
from edgeapp.testing import Ran, packets, run_stage
from edgeapp.transforms.machine_health import MachineHealth
from tests.transforms.moving import box, detections, picture, stream, tracks
from tests.transforms.test_machine_health import PROMPT, shaking
from tests.transforms.test_motion import CALM, scene, walking

HALF = {"zones": {"left": [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]}, "dwell_s": 1.0}
KEEPS_ITS_OWN = {"anomaly"}
"""On the disk."""
HOLDS_NOTHING = {"window", "resample"}
"""But samples, with which nothing goes on after a gap."""


def scores(*values: float) -> list[Packet[Any]]:
    return list(packets([Score(value) for value in values], rate_hz=10))


def walkers() -> list[Any]:
    """Two who cross the picture, and each other."""
    there = np.linspace(0.1, 0.9, 20)
    return [detections([box(x, 0.4), box(1 - x, 0.6)], image=picture()) for x in there]


def followed() -> list[Any]:
    there = np.linspace(0.1, 0.9, 20)
    return [tracks({1: box(x, 0.4), 2: box(1 - x, 0.6)}, image=picture()) for x in there]


def speech() -> list[Packet[Any]]:
    level = [0.1] * 4 + [0.9] * 12 + [0.1] * 3 + [0.9] * 5 + [0.1] * 6
    values = [Labels(np.array([one, 1 - one], np.float32), ("speech", "noise")) for one in level]
    return [p._replace(span_ns=100_000_000) for p in packets(values, rate_hz=10)]


STORIES: dict[str, tuple[dict[str, Any], Callable[[], Iterable[Packet[Any]]]]] = {
    "gate": (
        {"rise_above": 0.5, "fall_below": 0.3, "for_s": 0.35},
        lambda: scores(*[0.1] * 3, *[0.6] * 8, *[0.4] * 4, *[0.2] * 3, *[0.4] * 3, *[0.6] * 9),
    ),
    "keep": ({"label": "person", "steady_s": 0.5}, lambda: stream(walkers())),
    "every": ({"packets": 7}, lambda: scores(*range(1, 31))),
    "track": ({"min_hits": 3}, lambda: stream(walkers())),
    "sightings": ({"update_s": 0.7}, lambda: stream(followed())),
    "zones": (HALF, lambda: stream(followed())),
    "lines": ({"lines": {"middle": [[0.5, 0.0], [0.5, 1.0]]}}, lambda: stream(followed())),
    "episodes": (
        {"enter": 0.5, "gap_s": 0.35, "pad_s": 0.1, "update_s": 0.5, "smooth_s": 0.25},
        speech,
    ),
    "machine_health": (
        {**PROMPT, "clear_s": 2, "for_s": 2},
        lambda: packets(
            [shaking(v) for v in [1, 1, 1, 5, 5, 5, 9, 9, 9, 9, 1, 1, 1, 1, 1]], rate_hz=1
        ),
    ),
    "motion": (
        CALM | {"where": "region"},
        lambda: packets(scene(30, walking(12, 22), size=(160, 90)), rate_hz=10),
    ),
}


def factory(name: str) -> Any:
    return Registry().find("transform", name).factory


def told(ran: Ran) -> list[Any]:
    """What came out, whatever events are called and wherever a picture lies in memory."""
    assert ran.meters.faults == 0
    assert not ran.log.said("error")
    names: dict[str, str] = {}
    found = []
    for packet in ran.packets:
        value = packet.value
        if isinstance(value, Event):
            name = names.setdefault(value.event, f"event {len(names)}")
            value = replace(value, event=name)
        found.append((packet._replace(value=None, epoch=0, part=0), plain(value)))
    return found


def plain(value: Any) -> Any:
    """A payload as something that can be compared."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    return value


@pytest.mark.parametrize("name", STORIES)
def test_a_reload_at_any_moment_changes_nothing(name: str) -> None:
    """Nothing is forgotten, told twice, ended in between or left open."""
    options, made = STORIES[name]
    sent, cls = list(made()), factory(name)

    def ran(reloaded_at: int | None) -> Ran:
        return run_stage(cls, options, sent, reloaded_at=reloaded_at)

    usual = told(ran(None))
    assert usual, "the story tells something"
    for moment in range(1, len(sent)):
        assert told(ran(moment)) == usual, f"reloaded before packet {moment}"


@pytest.mark.parametrize("name", STORIES)
def test_where_stream_time_went_back_it_is_another_stream(name: str) -> None:
    """As with a file that begins anew: all starts afresh, and what was open ends."""
    options, made = STORIES[name]
    sent = list(made())
    half = len(sent) // 2
    again = [*sent[:half], *sent[: len(sent) - half]]
    ran = run_stage(factory(name), options, again, reloaded_at=half)
    assert ran.meters.faults == 0
    assert {packet.epoch for packet in ran.packets} <= {0, 1}
    anew = run_stage(factory(name), options, sent[: len(sent) - half])
    said = [p._replace(value=None, epoch=0, part=0) for p in ran.packets if p.epoch == 1]
    usual = [p._replace(value=None, part=0) for p in anew.packets]
    assert said[-len(usual) :] == usual
    assert open_after(ran) == set()


def open_after(ran: Ran) -> set[str]:
    """Events that were begun and not ended; none is ended twice."""
    open_: set[str] = set()
    for value in (p.value for p in ran.packets if isinstance(p.value, Event)):
        if value.phase == "end":
            open_.remove(value.event)
        else:
            open_.add(value.event)
    return open_


def test_every_transform_with_memory_recalls_or_says_why_not() -> None:
    names = [name for kind, name in BUILTINS if kind == "transform"]
    plugins = [Registry().find("transform", name) for name in names]
    without = {
        plugin.name
        for plugin in plugins
        if not plugin.stateless and not hasattr(plugin.factory, "recall")
    }
    assert without == KEEPS_ITS_OWN | HOLDS_NOTHING
    recalling = {p.name for p in plugins if hasattr(p.factory, "recall")}
    assert recalling == set(STORIES), "each has a story here"


def test_ids_of_things_go_on(tmp_path: Path) -> None:
    sent = stream([detections([box(0.3)])] * 4 + [detections([box(0.3), box(0.8)])] * 4)
    ran = run_stage(factory("track"), {}, sent, reloaded_at=3, data_dir=tmp_path)
    assert [value.ids.tolist() for value in ran.values] == [
        *([], [1], [1], [1]),
        *([1], [1, 2], [1, 2], [1, 2]),
    ]


def test_an_alarm_goes_on_under_its_event_and_number(tmp_path: Path) -> None:
    sent = packets([shaking(v) for v in (9, 9, 9, 9)], rate_hz=1)
    ran = run_stage(MachineHealth, PROMPT, sent, reloaded_at=2, data_dir=tmp_path)
    alarms = [value for value in ran.values if value.kind == "alarm"]
    assert [(one.phase, one.facts["alarm"]) for one in alarms] == [("new", 1), ("end", 1)]
    assert alarms[0].event == alarms[1].event
