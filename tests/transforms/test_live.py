"""Live options of the built-in stages: tuned is as built, and what a stage remembers stays."""

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from edgeapp.api import At, Event, Labels, Packet, Score
from edgeapp.core.plugin import live_options
from edgeapp.plan.builtins import BUILTINS
from edgeapp.plan.discover import Registry
from edgeapp.plan.registry import register
from edgeapp.testing import packets
from edgeapp.testing.stage import context
from edgeapp.transforms.episodes import Episodes
from edgeapp.transforms.gate import Gate
from edgeapp.transforms.keep import Keep
from edgeapp.transforms.lines import Lines
from edgeapp.transforms.machine_health import MachineHealth
from edgeapp.transforms.marker import Marker
from edgeapp.transforms.motion import Motion
from edgeapp.transforms.pose_error import PoseError
from edgeapp.transforms.sightings import Sightings
from edgeapp.transforms.track import Track
from edgeapp.transforms.zones import Zones
from tests.transforms.moving import box, detections, stream, tracks
from tests.transforms.test_keep import found
from tests.transforms.test_machine_health import shaking
from tests.transforms.test_motion import scene
from tests.transforms.test_pose_error import pose
from tests.transforms.test_zones import HALF

Stream = Sequence[Packet[Any]]


def built(cls: type[Any], options: dict[str, Any]) -> Any:
    return cls(register(cls).options.model_validate(options), context())


def tune(stage: Any, options: dict[str, Any]) -> None:
    stage.tune(register(type(stage)).options.model_validate(options))


def answers(stage: Any, stream: Iterable[Packet[Any]]) -> list[str]:
    """What a stage says of packets, as text to compare."""
    said = []
    for packet in stream:
        out = stage.process(packet)
        for one in out if isinstance(out, list) else [out]:
            value = one.value if isinstance(one, At) else one
            said.append(f"{packet.seq} {_told(value)}")
    return said


def _told(value: Any) -> str:
    if isinstance(value, Event):
        return f"{value.phase} {value.kind} {value.label} {value.event} {value.facts}"
    for name in ("xyxy", "pixels", "position_m"):
        if hasattr(value, name):
            turn = getattr(value, "rotation_rad", "")
            return f"{crc32(getattr(value, name).tobytes())} {turn}"
    return str(value)


def walk(*places: float) -> Stream:
    """Somebody at these places, ten pictures a second."""
    return stream([tracks({1: box(x)} if x >= 0 else {}) for x in places])


SCORES = list(packets([Score(value) for value in (0.2, 1.2, 2.2, 1.6, 1.2, 0.8, 2.4, 0.1)]))
HEARD = list(
    packets([Labels(np.array([s], np.float32), ("dog",)) for s in (0.1, 0.6, 0.9, 0.4, 0.3, 0.1)])
)
WAY = walk(*[0.8] * 3, *[0.2] * 15, *[0.8] * 8, *[-1.0] * 20)


def blink(number: int, levels: Any) -> None:
    """A square of another size moves in each second picture from the third second on."""
    if number > 30 and number % 10 < 2:
        levels[40 : 40 + number % 40, 60 : 60 + number % 40] += 90


CASES: dict[str, tuple[type[Any], dict[str, Any], dict[str, Any], Stream]] = {
    "keep score": (
        Keep,
        {},
        {"min_score": 0.6},
        list(packets([found(("dog", 0.5, 0.5), ("cat", 0.7, 0.3))] * 3)),
    ),
    "keep area and time": (
        Keep,
        {},
        {"min_area": 0.2, "steady_s": 1.5},
        list(packets([found(("dog", 0.5, 0.5), ("cat", 0.7, 0.3))] * 4)),
    ),
    "gate": (Gate, {"rise_above": 1}, {"rise_above": 2, "fall_below": 1.5, "for_s": 0}, SCORES),
    "gate for a while": (Gate, {"rise_above": 1}, {"rise_above": 1, "for_s": 2}, SCORES),
    "zones": (
        Zones,
        {"zones": HALF},
        {"zones": HALF, "enter_s": 0.6, "leave_s": 0.1, "dwell_s": 0.9, "gone_s": 0.2},
        WAY,
    ),
    "sightings": (Sightings, {}, {"update_s": 0.5, "gone_s": 0.5}, WAY),
    "lines": (
        Lines,
        {"lines": {"door": [[0.5, 0.0], [0.5, 1.0]]}},
        {"lines": {"door": [[0.5, 0.0], [0.5, 1.0]]}, "band": 0.4, "gone_s": 1},
        WAY,
    ),
    "track": (
        Track,
        {},
        {"enter_score": 0.8, "keep_score": 0.5, "min_hits": 3},
        stream([detections([box(0.3), box(0.7)], [0.7, 0.9])] * 5),
    ),
    "episodes": (
        Episodes,
        {"enter": 0.8},
        {"enter": 0.5, "leave": 0.35, "gap_s": 1.0, "min_s": 0.0, "pad_s": 0.5, "update_s": 1.0},
        HEARD,
    ),
    "machine_health": (
        MachineHealth,
        {"group": 2, "mounting": "rigid", "for_s": 0, "clear_s": 0},
        {
            "group": 2,
            "mounting": "rigid",
            "for_s": 2,
            "clear_s": 1,
            "hysteresis": 0.5,
            "alarm_zone": "D",
        },
        list(packets([shaking(v) for v in (1, 5, 5, 5, 2.5, 9, 9, 9, 1, 1)], rate_hz=1)),
    ),
    "motion": (
        Motion,
        {"warm_up_s": 1.0},
        {"warm_up_s": 1.0, "min_area": 0.02, "min_contrast": 60, "hold_s": 0.2, "idle_s": 1.0},
        list(packets(scene(80, blink), rate_hz=10)),
    ),
    "pose_error": (
        PoseError,
        {"z_mm": 300},
        {"z_mm": 200, "x_mm": 5, "rz_deg": 10, "deadband_mm": 2, "deadband_deg": 1},
        list(packets([pose((0.02, 0.001, 0.3), (10, 0, 5))])),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stage_that_is_tuned_answers_as_one_that_was_built_so(case: str) -> None:
    cls, first, then, packets_ = CASES[case]
    tuned = built(cls, first)
    tune(tuned, then)
    expected = answers(built(cls, then), packets_)
    assert answers(tuned, packets_) == expected
    assert answers(built(cls, first), packets_) != expected, "else this shows nothing"


def test_every_transform_with_live_options_is_among_these() -> None:
    registry = Registry()
    found = {
        plugin.factory
        for kind, name in BUILTINS
        if kind == "transform" and live_options((plugin := registry.find(kind, name)).options)
    }
    assert found == {cls for cls, *_ in CASES.values()} | {Marker}  # that needs a printed marker


def test_an_open_gate_stays_open_until_the_score_falls_below_the_new_limit() -> None:
    gate = built(Gate, {"rise_above": 1})
    stream_ = list(packets([Score(value) for value in (1.5, 1.8, 1.8, 1.6, 1.8)]))
    assert gate.process(stream_[0]) is not None
    tune(gate, {"rise_above": 2, "fall_below": 1.7})
    passed = [gate.process(packet) is not None for packet in stream_[1:]]
    assert passed == [True, True, False, False]


def test_a_stay_that_lasts_may_become_long_enough_by_a_shorter_limit() -> None:
    """It is the same event, and who was inside is not forgotten."""
    zones = built(Zones, {"zones": HALF, "dwell_s": 60})
    way = walk(*[0.2] * 30)
    events = [event for packet in way[:20] for event in zones.process(packet)]
    assert [event.phase for event in events] == ["new"]
    tune(zones, {"zones": HALF, "dwell_s": 1})
    events += [event for packet in way[20:] for event in zones.process(packet)]
    assert [event.phase for event in events] == ["new", "update"]
    assert events[0].event == events[1].event


def test_an_episode_that_lasts_ends_by_the_new_limit() -> None:
    episodes = built(Episodes, {"enter": 0.5, "leave": 0.2})
    stream_ = list(packets([Labels(np.array([0.6], np.float32), ("dog",))] * 4))
    told = [at.value.phase for packet in stream_[:2] for at in episodes.process(packet)]
    tune(episodes, {"enter": 0.9, "leave": 0.7})
    told += [at.value.phase for packet in stream_[2:] for at in episodes.process(packet)]
    assert told == ["new", "end"]


def test_what_motion_has_learned_of_the_scene_stays() -> None:
    """No picture passes as if all were new."""
    images = list(packets(scene(60), rate_hz=10))
    motion = built(Motion, {"warm_up_s": 1.0, "idle_s": 100})
    for packet in images[:30]:
        motion.process(packet)
    tune(motion, {"warm_up_s": 1.0, "idle_s": 100, "min_contrast": 20})
    assert [motion.process(packet) for packet in images[30:]] == [None] * 30


def test_an_alarm_that_is_on_stays_on_and_a_zone_is_not_told_anew() -> None:
    options = {"group": 2, "mounting": "rigid", "for_s": 0, "clear_s": 0}
    health = built(MachineHealth, options)
    stream_ = list(packets([shaking(4)] * 4, rate_hz=1))
    first = [event for packet in stream_[:2] for event in health.process(packet)]
    assert [(event.kind, event.phase) for event in first] == [("zone", "new"), ("alarm", "new")]
    tune(health, {**options, "for_s": 60})
    assert [event for packet in stream_[2:] for event in health.process(packet)] == []
